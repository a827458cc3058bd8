"""Fresh uploads go before bulk work that waits for the engines already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lfk.brokers.kafka import KafkaBroker
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.chaos.faulty import hub, recording
from tests.services.s3 import S3Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.slow]


def test_a_fresh_upload_gets_the_next_engine(
    tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    """One engine works on bulk audio, and two more of those are fetched: every place of the hub is taken by them."""
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    expect_ok(lfk("init"))
    make_recordings(tmp_path / "bulk", 9)
    fresh = lfk.environ
    lfk.environ = {**fresh, "LFK_TOPIC_AUDIO": fresh["LFK_TOPIC_BULK"]}
    expect_ok(lfk("sync", "bulk"))
    lfk.environ = fresh
    recording(tmp_path / "fresh", "urgent", 99)
    temporary = tmp_path / "temporary"
    with hub(lfk, temporary, 1, LFK_CANNED_SECONDS="4", LFK_PREFETCH="2", LFK_GRACE="1") as running:
        wait_until(lambda: len(list(temporary.glob("scratch/*/job-*/audio.wav"))) == 3)
        expect_ok(lfk("sync", "fresh"))
        wait_until(lambda: any(is_urgent(answer) for answer in list(running.answers)))
    broker = KafkaBroker({"bootstrap.servers": lfk.environ["BOOTSTRAP_SERVERS"]})
    (sent,) = (record.timestamp for record in broker.snapshot(lfk.environ["LFK_TOPIC_AUDIO"]))
    (answered,) = (answer["timestamp"] for answer in running.answers if is_urgent(answer))
    passed = [answer for answer in running.answers if sent < answer["timestamp"] < answered]
    # The job that runs comes to its end, and one more may have begun before the fresh one was fetched.
    assert len(passed) <= 2


def is_urgent(answer: Mapping[str, Any]) -> bool:
    return str(answer["path_to_audio"]).endswith("/urgent.wav")
