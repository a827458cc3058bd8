"""Hubs under faults, on a real Kafka and a real S3 server: nothing is lost, repeated, torn or stuck.

``make test`` runs the short rows, ``make chaos`` the full ones (see tests/chaos/rows.py). Where a run fails, its hubs'
logs stay where the failure says, and its seed makes it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.test_pipeline import on_servers
from tests.chaos.faults import SESSION_SECONDS
from tests.chaos.hubs import Hubs
from tests.chaos.results import record
from tests.chaos.rows import ROWS, Row, Size
from tests.chaos.run import Plan, Stage, perform
from tests.conftest import StartServer, fresh_bucket
from tests.services import kafka as kafka_server
from tests.services import minio as minio_server
from tests.services.process import free_ports
from tests.services.s3 import S3Server
from tests.services.toxiproxy import Toxiproxy

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.slow]

#: Servers that start, and what is read when a run is over.
_AROUND_SECONDS = 180

#: Makes the servers of a row and says where they are.
Builder = Callable[[Row, Size, int], Stage]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    full = metafunc.config.getoption("--full")
    first = metafunc.config.getoption("--seed")
    scale = metafunc.config.getoption("--scale")
    cases = []
    for row in ROWS:
        size = row.full.scaled(scale) if full and row.full else row.short
        if size is None or (full and not row.full):
            continue
        limit = pytest.mark.timeout(size.limit + _AROUND_SECONDS)
        cases += [
            pytest.param(row, size, seed, id=f"{row.name}-seed-{seed}", marks=limit)
            for seed in range(first, first + size.runs)
        ]
    metafunc.parametrize(("row", "size", "seed"), cases)


@pytest.fixture
def stage(
    request: pytest.FixtureRequest, tmp_path: Path, own_server: StartServer, minio: S3Server
) -> Iterator[Builder]:
    """Builds the place of a run: topics, group and bucket of its own, and servers as its row wants them."""
    with ExitStack() as stack:

        def proxied(upstream: str, **options: Any) -> Any:
            toxiproxy: Toxiproxy = request.getfixturevalue("toxiproxy")
            name = f"chaos-{secrets.token_hex(6)}"
            return stack.enter_context(toxiproxy.proxy(upstream, name=name, **options))

        def build(row: Row, size: Size, seed: int) -> Stage:
            folder = tmp_path / f"{row.name}-seed-{seed}"
            folder.mkdir()
            prefix = f"chaos-{secrets.token_hex(6)}"
            made: dict[str, Any] = {}
            if row.broker == "shared":
                bootstrap = request.getfixturevalue("kafka")
            else:
                port = free_ports(1)[0] if row.broker == "proxied" else None
                broker = own_server(kafka_server, advertised=port)
                bootstrap, made["broker_process"] = broker.address.bootstrap, broker.process
                if row.broker == "proxied":
                    made["broker_proxy"] = proxied(bootstrap, port=port)
                    bootstrap = made["broker_proxy"].address
            store = minio
            if row.store == "own":
                own = own_server(minio_server)
                store, made["store_process"] = own.address, own.process
            endpoint = store.endpoint_url
            if row.store == "proxied":
                made["store_proxy"] = proxied(urlsplit(endpoint).netloc)
                endpoint = f"http://{made['store_proxy'].address}"
            bucket = stack.enter_context(fresh_bucket(store))
            lfk = on_servers(folder, bootstrap, store, bucket, prefix)
            lfk.environ = {**lfk.environ, "AWS_ENDPOINT_URL_S3": endpoint, **settings(row, size)}
            return Stage(lfk, bootstrap, store, bucket, prefix, folder, **made)

        yield build


def settings(row: Row, size: Size) -> dict[str, str]:
    """What hubs are told: short sessions and waits, so that much happens in little time."""
    return {
        "LFK_CANNED_SECONDS": str(size.engine),
        "LFK_ATTEMPTS": str(row.attempts),
        "LFK_BACKOFF": "0.5",
        "LFK_BACKOFF_FACTOR": "1.5",
        "LFK_GRACE": "3",
        "LFK_TRIM_INTERVAL": "10",
        "LFK_KAFKA_SESSION_TIMEOUT_MS": str(int(1000 * SESSION_SECONDS)),
        "LFK_KAFKA_HEARTBEAT_INTERVAL_MS": "1000",
    }


def test_nothing_is_lost_repeated_torn_or_stuck(
    request: pytest.FixtureRequest, stage: Builder, row: Row, size: Size, seed: int
) -> None:
    place = stage(row, size, seed)
    environ = {**row.environ, "CHAOS_SEED": str(seed)} if row.environ else {}
    plan = Plan(size.fault, size.jobs, size.poisons, row.hubs, row.attempts, seed, size.limit)
    outcome = perform(place, plan, Hubs(place.lfk, place.folder, environ, mortal=bool(environ)))
    print(f"{row.name}, seed {seed}: {outcome.told}")
    options = request.config.option
    if options.full:
        record(row, outcome, seed, options.scale)
    broken = outcome.verdict.broken(outage=row.outage)
    assert not broken, again(row, seed, place.folder, f" --full --scale {options.scale}" * options.full, broken)


def again(row: Row, seed: int, folder: Path, how: str, broken: Mapping[str, Sequence[str]]) -> str:
    """What a failure has to say: what broke, where the logs are, and how to make the run again."""
    arguments = f"tests/chaos -n0 -k {row.name}-seed-{seed} --seed {seed}{how}"
    return "\n".join(
        [
            f"{row.name} with seed {seed} broke promises; the hubs' logs are in {folder}",
            f"again: .venv/bin/python -m pytest {arguments}",
            *(f"  {name}: {case}" for name, cases in broken.items() for case in cases[:10]),
        ]
    )
