"""Engines that crash, hang, and eat memory under a real hub, on a real Kafka and a real S3 server.

The audio that does it costs its own attempts and nothing else: other audio is transcribed meanwhile and after it, and
the third time it is dead-lettered with what it has done, its record unchanged.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.pipeline import RunningHub, tone
from lfk.brokers.kafka import KafkaBroker
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, on_servers
from tests.services.s3 import S3Server

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


class FaultyLfk(Lfk):
    """The command with an engine that goes wrong where the audio says so."""

    @property
    def begun(self) -> Path:
        """What engines have begun, one a line: the fault and the engine's process."""
        return self.folder / "begun"

    def _argv(self, arguments: tuple[str, ...]) -> list[str]:
        python, _m, _lfk, *rest = super()._argv(arguments)
        return [python, "-m", "tests.chaos.faulty_lfk", str(self.begun), *rest]


@pytest.fixture
def lfk(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> FaultyLfk:
    plain = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    lfk = FaultyLfk(tmp_path)
    root = str(Path(__file__).resolve().parents[2])
    lfk.environ = {
        **plain.environ,
        "PYTHONPATH": root,
        "LFK_ATTEMPTS": str(ATTEMPTS),
        "LFK_BACKOFF": "0.2",
        "LFK_BACKOFF_FACTOR": "1",
    }
    expect_ok(lfk("init"))
    return lfk


@contextmanager
def hub(lfk: Lfk, folder: Path, **environ: str) -> Iterator[RunningHub]:
    """A hub with two engines, which must end as told and leave neither process nor file."""
    running = RunningHub(lfk, folder / "temporary", "--workers", "2", **environ)
    try:
        yield running
    finally:
        status, left = running.stop()
    assert status in (0, 1), running.notes
    assert left == []
    assert [path for path in running.temporary.rglob("*") if path.is_file()] == []


def recording(folder: Path, name: str, number: int, fault: str | None = None) -> None:
    """A little recording, with the mark of a fault behind its samples."""
    path = folder / "recordings" / "simple" / "tiny" / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    tone(path, number)
    if fault is not None:
        path.write_bytes(path.read_bytes() + f"fault:{fault}".encode("ascii"))


def by_name(answers: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({answer["event_id"] for answer in answers}) == len(answers)
    return {Path(answer["path_to_audio"]).stem: answer for answer in answers}


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_a_fault_costs_its_own_audio_its_attempts(lfk: FaultyLfk, tmp_path: Path) -> None:
    for number in range(HEALTHY):
        recording(tmp_path, f"healthy {number}", number)
    for number, fault in enumerate(FAULTS):
        recording(tmp_path, fault, 100 + number, fault)
    expect_ok(lfk("sync", "recordings"))
    with hub(lfk, tmp_path, LFK_JOB_TIMEOUT_BASE="3", LFK_ENGINE_MEMORY="200M") as running:
        running.wait_for(HEALTHY + len(FAULTS))
        recording(tmp_path, "healthy after it all", 500)
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

    begun = Counter(line.split()[0] for line in lfk.begun.read_text(encoding="ascii").splitlines())
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
        recording(tmp_path, f"talk {number}", number, fault)
    expect_ok(lfk("sync", "recordings"))
    with hub(lfk, tmp_path, **{setting: value}) as running:
        running.wait_for(jobs)
        until(lambda: len(psutil.Process(running.pid).children()) == 2)
    assert {answer["status"] for answer in running.answers} == {"done"}
    engines = Counter(line.split()[1] for line in lfk.begun.read_text(encoding="ascii").splitlines())
    assert sum(engines.values()) == jobs, running.notes
    assert max(engines.values()) <= 2
    assert len(engines) >= jobs / 2
