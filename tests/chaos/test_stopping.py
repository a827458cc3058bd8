"""A hub that is told to stop amid long work, on a real Kafka and a real S3 server: nothing is lost by it."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.services.s3 import S3Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.slow]

JOBS = 40
#: Enough for a group to notice a killed member (6 s) and share its partitions out again.
IDLE = "25"


def announcements(lfk: Lfk) -> list[dict[str, Any]]:
    return expect_ok(lfk("transcripts", "--json")).of("transcript")


def finished(lfk: Lfk) -> int:
    return len(announcements(lfk))


def assert_whole(server: S3Server, bucket: str, announced: list[dict[str, Any]]) -> None:
    """Every announced manifest is there, and every file that it lists is what it says."""
    client = server.client()

    def read(location: str) -> bytes:
        key = location.removeprefix(f"s3://{bucket}/")
        content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    for one in announced:
        manifest = json.loads(read(one["path_to_transcript"]))["lfk"]
        for entry in manifest["files"].values():
            content = read(entry["location"])
            assert len(content) == entry["size"]
            assert hashlib.sha256(content).hexdigest() == entry["sha256"]


@pytest.fixture
def lfk(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> Lfk:
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    lfk.environ = {
        **lfk.environ,
        "LFK_CANNED_SECONDS": "0.5",
        "LFK_KAFKA_SESSION_TIMEOUT_MS": "6000",
        "LFK_KAFKA_HEARTBEAT_INTERVAL_MS": "1000",
        "LFK_GRACE": "1",
    }
    make_recordings(tmp_path / "recordings", JOBS)
    expect_ok(lfk("init"))
    expect_ok(lfk("sync", "recordings"))
    return lfk


def test_a_hub_told_to_stop_hands_its_work_back(lfk: Lfk, minio: S3Server, minio_bucket: str) -> None:
    lfk.environ = {**lfk.environ, "LFK_CANNED_SECONDS": "60"}
    hub = lfk.start("hub", "--workers", "2", "--json")
    wait_until(
        lambda: any(one["jobs"] for one in expect_ok(lfk("status", "--json")).of("status")[0]["hubs"]),
        "the hub begins nothing",
    )
    began = time.monotonic()
    stop([hub])
    assert time.monotonic() - began < 15
    assert hub.returncode == 0
    assert finished(lfk) == 0
    lfk.environ = {**lfk.environ, "LFK_CANNED_SECONDS": "0"}
    expect_ok(lfk("hub", "--workers", "2", "--exit-when-idle", IDLE))
    announced = announcements(lfk)
    assert len(announced) == len({one["event_id"] for one in announced}) == JOBS
    assert all(one["status"] == "done" for one in announced)
    assert_whole(minio, minio_bucket, announced)


def stop(hubs: list[subprocess.Popen[str]]) -> None:
    """SIGTERM to all that live, and wait for them."""
    for hub in hubs:
        if hub.poll() is None:
            hub.send_signal(signal.SIGTERM)
    for hub in hubs:
        if hub.stdout is not None and not hub.stdout.closed:
            hub.communicate(timeout=60)
