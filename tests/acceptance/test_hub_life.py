"""A hub's life as its operator sees it: health, static name, topics; on a real Kafka and a real S3 server."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from lfk.brokers.kafka import KafkaBroker
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.services.process import free_ports
from tests.services.s3 import S3Server
from tests.services.toxiproxy import Toxiproxy
from tests.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.slow]

FILES = 12


@pytest.fixture
def lfk(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> Lfk:
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    lfk.environ = {
        **lfk.environ,
        "LFK_CANNED_SECONDS": "0",
        "LFK_ATTEMPTS": "1",
        "LFK_PARTITIONS": "2",
        "LFK_KAFKA_SESSION_TIMEOUT_MS": "10000",
    }
    expect_ok(lfk("init"))
    return lfk


def ask(port: int, path: str) -> tuple[int, Any]:
    """Status and content; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, None


def done(lfk: Lfk) -> int:
    announced = expect_ok(lfk("transcripts", "--json")).of("transcript")
    assert all(one["status"] == "done" for one in announced)
    return len({one["event_id"] for one in announced})


def end(hub: subprocess.Popen[str]) -> str:
    if hub.poll() is None:
        hub.send_signal(signal.SIGTERM)
    return hub.communicate(timeout=60)[0]


def test_a_store_out_of_reach_is_told_and_waited_out(
    lfk: Lfk, tmp_path: Path, minio: S3Server, toxiproxy: Toxiproxy, topic_prefix: str
) -> None:
    make_recordings(tmp_path / "recordings", FILES)
    expect_ok(lfk("sync", "recordings"))
    (port,) = free_ports(1)
    upstream = minio.endpoint_url.removeprefix("http://")
    with toxiproxy.proxy(upstream, name=topic_prefix) as proxy:
        hub_lfk = Lfk(
            tmp_path,
            **{
                **lfk.environ,
                "AWS_ENDPOINT_URL_S3": f"http://{proxy.address}",
                "LFK_HEALTH": f"127.0.0.1:{port}",
                "LFK_CANNED_SECONDS": "0.3",
            },
        )
        hub = hub_lfk.start("hub", "--workers", "2")
        try:
            wait_until(lambda: ask(port, "/readyz")[0] == 200, "the hub never gets ready")
            proxy.cut()
            wait_until(lambda: ask(port, "/readyz")[0] == 503, "the hub does not notice")
            status, told = ask(port, "/healthz")
            assert status == 200
            assert (told["status"], told["trouble"]["part"]) == ("trouble", "store")
            assert told["trouble"]["code"] == "store_unreachable"
            proxy.restore()
            wait_until(lambda: ask(port, "/readyz")[0] == 200, "the hub does not get well")
            wait_until(lambda: done(lfk) == FILES, "not everything is answered")
        finally:
            output = end(hub)
    assert hub.returncode == 0, output
    assert "takes no work: store" in output
    assert "well again" in output


def test_answered_references_leave_their_topics(lfk: Lfk, tmp_path: Path, kafka: str, topic_prefix: str) -> None:
    make_recordings(tmp_path / "recordings", FILES)
    for _ in range(20):
        # The skip is quick, so references alone fill the topic.
        expect_ok(lfk("sync", "recordings"))
        expect_ok(lfk("submit", "simple/"))
    lfk.environ = {**lfk.environ, "LFK_TRIM_INTERVAL": "1"}
    broker = KafkaBroker({"bootstrap.servers": kafka})
    topic = f"{topic_prefix}.audio"
    hub = lfk.start("hub", "--workers", "2")
    try:
        wait_until(
            lambda: sum(one.first for one in broker.standing(f"{topic_prefix}.hub", topic).values()) > 0,
            "nothing is trimmed",
        )
        wait_until(lambda: done(lfk) == FILES * 21, "not everything is answered")
    finally:
        end(hub)
        broker.close()


def test_references_lost_by_the_broker_come_back_from_the_store(
    lfk: Lfk, tmp_path: Path, kafka: str, topic_prefix: str
) -> None:
    make_recordings(tmp_path / "first", 2)
    expect_ok(lfk("sync", "first"))
    expect_ok(lfk("hub", "--max-jobs", "2"))
    make_recordings(tmp_path / "second", FILES, approach="segmentation")
    expect_ok(lfk("sync", "second"))
    broker = KafkaBroker({"bootstrap.servers": kafka})
    standing = broker.standing(f"{topic_prefix}.hub", f"{topic_prefix}.audio")
    broker.trim({partition: one.end for partition, one in standing.items()})
    broker.close()
    hub = lfk.start("hub", "--workers", "2")
    try:
        wait_until(lambda: done(lfk) >= 2 + FILES, "what was lost does not come back")
    finally:
        output = end(hub)
    assert "references before it are gone" in output
    assert f"{FILES} references sent again" in output


def test_a_static_name_keeps_partitions_and_belongs_to_one_hub(lfk: Lfk, tmp_path: Path) -> None:
    make_recordings(tmp_path / "recordings", FILES)
    lfk.environ = {**lfk.environ, "LFK_INSTANCE": "hub-1", "LFK_KAFKA_SESSION_TIMEOUT_MS": "45000"}
    first = lfk.start("hub", "--workers", "1", "-v")
    expect_ok(lfk("sync", "recordings"))
    wait_until(lambda: done(lfk) == FILES, "not everything is answered")
    assert "assigned" in end(first)
    # Its partitions wait for it: the next process of that name goes on with them at once.
    expect_ok(lfk("submit", "simple/"))
    began = time.monotonic()
    second = lfk.start("hub", "--workers", "1", "-v")
    try:
        wait_until(lambda: done(lfk) == 2 * FILES, "the restarted hub does not go on")
        assert time.monotonic() - began < 40
        third = lfk.start("hub", "--workers", "1")
        try:
            output = second.communicate(timeout=90)[0]
        finally:
            end(third)
        assert second.returncode == 2, output
        assert "LFK_INSTANCE" in output
    finally:
        end(second)
