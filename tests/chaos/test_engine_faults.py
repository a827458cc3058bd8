"""Engines that crash, hang, and eat memory under a real hub, on a real Kafka and a real S3 server.

The audio that does it costs its own attempts and nothing else: other audio is transcribed meanwhile and after it, and
the third time it is dead-lettered with what it has done, its record unchanged.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from lfk.brokers.kafka import KafkaBroker
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, on_servers
from tests.chaos.faulty import FaultyLfk, hub, recording
from tests.services.s3 import S3Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.slow]

ATTEMPTS = 3
HEALTHY = 12
#: What the audio makes the engine do, and what is to be said of it.
FAULTS = {
    "segfault": "engine_crashed",
    "killed": "engine_crashed",
    "offspring": "engine_crashed",
    "hang": "engine_timeout",
    "leak": "engine_out_of_memory",
}


@pytest.fixture
def lfk(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> FaultyLfk:
    lfk = FaultyLfk(on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix))
    lfk.environ = {
        **lfk.environ,
        "LFK_ATTEMPTS": str(ATTEMPTS),
        "LFK_BACKOFF": "0.2",
        "LFK_BACKOFF_FACTOR": "1",
    }
    expect_ok(lfk("init"))
    return lfk


def by_name(answers: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({answer["event_id"] for answer in answers}) == len(answers)
    return {Path(answer["path_to_audio"]).stem: answer for answer in answers}


def test_a_fault_costs_its_own_audio_its_attempts(lfk: FaultyLfk, tmp_path: Path) -> None:
    for number in range(HEALTHY):
        recording(tmp_path / "recordings", f"healthy {number}", number)
    for number, fault in enumerate(FAULTS):
        recording(tmp_path / "recordings", fault, 100 + number, fault)
    expect_ok(lfk("sync", "recordings"))
    # Faults in a row would make the hub try its engines on speech of its own, which they would count as begun, too.
    limits = {"LFK_JOB_TIMEOUT_BASE": "3", "LFK_ENGINE_MEMORY": "200M", "LFK_BREAKER": str(len(FAULTS) * ATTEMPTS + 1)}
    with hub(lfk, tmp_path / "temporary", **limits) as running:
        running.wait_for(HEALTHY + len(FAULTS))
        recording(tmp_path / "recordings", "healthy after it all", 500)
        expect_ok(lfk("sync", "recordings"))
        running.wait_for(HEALTHY + len(FAULTS) + 1)
        engines = [child.pid for child in psutil.Process(running.pid).children()]
        assert len(engines) == 2
    answers = by_name(running.answers)
    for fault, code in FAULTS.items():
        error = answers.pop(fault)["error"]
        assert (error["code"], error["attempts"], error["retryable"]) == (code, ATTEMPTS, True), error
    assert len(answers) == HEALTHY + 1
    assert {answer["status"] for answer in answers.values()} == {"done"}

    begun = Counter(fault for fault, _pid in lfk.begun)
    assert begun == {**dict.fromkeys(FAULTS, ATTEMPTS), "None": HEALTHY + 1}
    assert len(expect_ok(lfk("transcripts", "--json")).of("transcript")) == HEALTHY + len(FAULTS) + 1
    assert_dead_letters(lfk)


def assert_dead_letters(lfk: Lfk) -> None:
    """One for each fault: the record as it was sent, and what became of it."""
    broker = KafkaBroker({"bootstrap.servers": lfk.environ["BOOTSTRAP_SERVERS"]})
    sent = {record.key: record for record in broker.snapshot(lfk.environ["LFK_TOPIC_AUDIO"])}
    letters = list(broker.snapshot(lfk.environ["LFK_TOPIC_DLQ"]))
    found = {}
    for letter in letters:
        assert letter.value == sent[letter.key].value
        assert letter.headers["lfk.error.attempts"] == str(ATTEMPTS).encode("ascii")
        found[Path((letter.key or b"").decode()).stem] = letter.headers["lfk.error.code"].decode("ascii")
    assert len(letters) == len(found)
    assert found == FAULTS


@pytest.mark.parametrize(
    ("fault", "setting", "value"),
    [("grow", "LFK_ENGINE_RECYCLE_MEMORY", "250M"), (None, "LFK_ENGINE_RECYCLE_JOBS", "2")],
)
def test_an_engine_that_has_grown_old_is_replaced_between_jobs(
    lfk: FaultyLfk, tmp_path: Path, fault: str | None, setting: str, value: str
) -> None:
    """Nobody's attempt is lost by it, whether it is for memory that it keeps or for the number of its jobs."""
    jobs = 8
    for number in range(jobs):
        recording(tmp_path / "recordings", f"talk {number}", number, fault)
    expect_ok(lfk("sync", "recordings"))
    with hub(lfk, tmp_path / "temporary", **{setting: value}) as running:
        running.wait_for(jobs)
        wait_until(lambda: len(psutil.Process(running.pid).children()) == 2)
    assert {answer["status"] for answer in running.answers} == {"done"}
    engines = Counter(pid for _fault, pid in lfk.begun)
    assert sum(engines.values()) == jobs, running.notes
    assert max(engines.values()) <= 2
    assert len(engines) >= jobs / 2
