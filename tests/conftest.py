"""What all tests share: a clean environment, and real servers on demand.

Fixtures: ``kafka`` (a bootstrap address), ``s3_server`` (each S3 server in turn), ``minio``, ``toxiproxy``,
``schema_registry``, ``bucket`` and ``minio_bucket`` (fresh, removed afterwards), ``topic_prefix``, ``own_server`` for
tests that stop and kill one, and ``tool`` for programs that check what is deployed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from lfk.settings import specs
from tests.services.chromium import HOW, can_install, find_chromium
from tests.services.pool import Missing, Pool, RemotePool, Servers
from tests.services.process import Running
from tests.services.programs import GoProgram, MissingError, Program, require
from tests.services.s3 import S3Server
from tests.services.schema_registry import SchemaRegistry
from tests.services.toxiproxy import Toxiproxy

# A busy machine is slow, not wrong. Where every run must come to the same verdict, the examples are the same, too.
settings.register_profile(
    "lfk", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("lfk")

StartServer = Callable[..., Running[Any]]

_SERVERS = pytest.StashKey[Servers]()
_CACHE = pytest.StashKey[Path]()
_REQUIRED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[_SERVERS] = RemotePool(*worker["lfk_servers"])
        config.stash[_CACHE] = Path(worker["lfk_cache"])
        config.stash[_REQUIRED] = worker["lfk_required"]
        return
    pool = Pool(dict(os.environ))
    config.stash[_SERVERS] = pool
    config.stash[_CACHE] = pool.cache
    config.stash[_REQUIRED] = os.environ.get("LFK_REQUIRE_SERVICES") == "1"
    _forget_settings()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    pool = node.config.stash[_SERVERS]
    address, secret = pool.listen()
    node.workerinput["lfk_servers"] = (address, secret)
    node.workerinput["lfk_cache"] = str(pool.cache)
    node.workerinput["lfk_required"] = node.config.stash[_REQUIRED]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    pool = session.config.stash.get(_SERVERS, None)
    if isinstance(pool, Pool):
        pool.close(keep_logs=exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    pool = config.stash.get(_SERVERS, None)
    if isinstance(pool, Pool) and pool.folder.is_dir():
        terminalreporter.write_line(f"logs of the test servers: {pool.folder}")


def _forget_settings() -> None:
    """Take every setting of lfk out of the environment: no test may depend on whose machine it runs on."""
    known = {name for spec in specs().values() for name in (spec.env, *spec.older)}
    for name in list(os.environ):
        if name.startswith(("LFK_", "AWS_")) or name.removesuffix("_FILE") in known:
            del os.environ[name]


def _server(request: pytest.FixtureRequest, name: str) -> Any:
    answer = request.config.stash[_SERVERS].get(name)
    if isinstance(answer, Missing):
        _do_without(request.config, answer.reason)
    return answer


def _do_without(config: pytest.Config, reason: str) -> NoReturn:
    if config.stash[_REQUIRED]:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """The bootstrap address of a Kafka broker that all tests share; take topics from ``topic_prefix``."""
    bootstrap: str = _server(request, "kafka").bootstrap
    return bootstrap


@pytest.fixture(scope="session", params=["minio", "versitygw"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Each S3 server in turn; all tests share it, so take a ``bucket``."""
    server: S3Server = _server(request, request.param)
    return server


@pytest.fixture(scope="session")
def minio(request: pytest.FixtureRequest) -> S3Server:
    """The first S3 server alone, where one is enough."""
    server: S3Server = _server(request, "minio")
    return server


@pytest.fixture(scope="session")
def toxiproxy(request: pytest.FixtureRequest) -> Toxiproxy:
    """The control interface of a toxiproxy that all tests share; give proxies unique names."""
    proxy: Toxiproxy = _server(request, "toxiproxy")
    return proxy


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> str:
    """The path of a Chromium."""
    found = find_chromium()
    if found is None:
        # Where nobody could install it, tests of pages are skipped whatever is required.
        if can_install():
            _do_without(request.config, HOW)
        pytest.skip(HOW)
    return found


@pytest.fixture(scope="session")
def schema_registry(request: pytest.FixtureRequest) -> SchemaRegistry:
    """A Schema Registry that all tests share; take subjects from ``topic_prefix``."""
    registry: SchemaRegistry = _server(request, "schema-registry")
    return registry


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[str]:
    """A fresh bucket on ``s3_server``, removed afterwards with all that is in it."""
    with fresh_bucket(s3_server) as name:
        yield name


@pytest.fixture
def minio_bucket(minio: S3Server) -> Iterator[str]:
    """A fresh bucket on ``minio``, removed afterwards with all that is in it."""
    with fresh_bucket(minio) as name:
        yield name


@pytest.fixture
def topic_prefix() -> str:
    """A beginning for topic and group names that no other test uses."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def own_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Starts servers for this test alone: ``own_server(kafka, advertised=port)`` with a module of ``tests.services``.

    What comes back has the server's ``address`` and its ``process``, to stop, kill and start again. Always a local
    program, as a container cannot be treated so.
    """
    with contextlib.ExitStack() as stack:

        def start(module: Any, **options: Any) -> Running[Any]:
            return stack.enter_context(own_service(request, module, tmp_path_factory.mktemp("server"), **options))

        yield start


@pytest.fixture(scope="session")
def tool(request: pytest.FixtureRequest) -> Callable[[Program], Path]:
    """What ``make services`` has fetched of ``tests.services.tools``: the path of a program, the folder of files."""

    def find(program: Program) -> Path:
        cache = request.config.stash[_CACHE]
        try:
            return program.executable(cache) if isinstance(program, GoProgram) else require(program, cache)
        except MissingError as error:
            _do_without(request.config, str(error))

    return find


@contextlib.contextmanager
def own_service(request: pytest.FixtureRequest, module: Any, folder: Path, **options: Any) -> Iterator[Running[Any]]:
    """What ``own_server`` starts, for fixtures that keep it for longer than a test."""
    with contextlib.ExitStack() as stack:
        try:
            server: Running[Any] = stack.enter_context(module.start(folder, request.config.stash[_CACHE], **options))
        except MissingError as error:
            _do_without(request.config, str(error))
        yield server


@contextlib.contextmanager
def fresh_bucket(server: S3Server) -> Iterator[str]:
    """A bucket that is removed at the end with all that is in it; tests take the fixtures where they can."""
    name = f"lfk-{secrets.token_hex(6)}"
    client = server.client()
    client.create_bucket(Bucket=name)
    try:
        yield name
    finally:
        _remove_bucket(client, name)


def _remove_bucket(client: Any, bucket: str) -> None:
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", ()):
            client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        entries = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        _delete(client, bucket, [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries])
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        _delete(client, bucket, [{"Key": entry["Key"]} for entry in page.get("Contents", ())])
    client.delete_bucket(Bucket=bucket)


def _delete(client: Any, bucket: str, objects: list[dict[str, str]]) -> None:
    # A server that works through a thousand deletions takes longer than a client of the tests waits for an answer.
    for first in range(0, len(objects), 100):
        client.delete_objects(Bucket=bucket, Delete={"Objects": objects[first : first + 100], "Quiet": True})
