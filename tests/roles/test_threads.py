"""Job threads: what they report of jobs, and of looks at the hub itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from lfk.brokers.base import Delivered, Partition
from lfk.core.errors import AudioUndecodable, LfkError, ModelMissing, StoreUnreachable, Suspect
from lfk.core.messages import Announcement
from lfk.roles.hub.job import Job
from lfk.roles.hub.runner import JobRunner
from lfk.roles.hub.threads import Ended, JobThreads, Probed, UnexpectedFailure

JOB = Job(Delivered(Partition("lfk.audio", 0), 1, 1, None, b""), "0" * 32)


class FailingRunner:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, _job: Job, _begin: Callable[[], None]) -> Announcement:
        raise self._error


NOISE = AudioUndecodable("noise")


def threads_of(error: Exception = NOISE, probes: dict[Suspect, Callable[[], None]] | None = None) -> JobThreads:
    def unused(*_arguments: Any) -> None:
        raise AssertionError

    return JobThreads(cast(JobRunner, FailingRunner(error)), 1, probes=probes or {}, record_failure=unused)


def raising(error: Exception) -> Callable[[], None]:
    def probe() -> None:
        raise error

    return probe


def nothing() -> None:
    """A part that is well."""


def told(threads: JobThreads) -> object:
    report = threads.reports.get(timeout=10.0)
    threads.close(1.0)
    return report


def test_an_error_of_a_job_is_reported() -> None:
    threads = threads_of(NOISE)
    threads.start(JOB)
    assert told(threads) == Ended(JOB, error=NOISE)


def test_a_fault_of_lfk_ends_a_job_and_no_thread() -> None:
    threads = threads_of(ZeroDivisionError())
    threads.start(JOB)
    report = threads.reports.get(timeout=10.0)
    assert isinstance(report, Ended)
    assert isinstance(report.error, UnexpectedFailure)
    threads.probe([])
    assert told(threads) == Probed()


DOWN, NONE = StoreUnreachable("no answer"), ModelMissing("no weights")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([Suspect.SCRATCH], Probed()),
        ([Suspect.STORE], Probed(Suspect.STORE, DOWN)),
        ([Suspect.SCRATCH, Suspect.STORE], Probed(Suspect.STORE, DOWN)),
        ([Suspect.MODEL, Suspect.SCRATCH], Probed(Suspect.MODEL, NONE)),
    ],
)
def test_a_look_tells_which_part_is_not_well(asked: list[Suspect], expected: Probed) -> None:
    probes = {Suspect.SCRATCH: nothing, Suspect.STORE: raising(DOWN), Suspect.MODEL: raising(NONE)}
    threads = threads_of(probes=probes)
    threads.probe(asked)
    assert told(threads) == expected


def test_a_fault_of_lfk_in_a_look_is_trouble() -> None:
    threads = threads_of(probes={Suspect.ENGINE: raising(ZeroDivisionError())})
    threads.probe([Suspect.ENGINE])
    report = told(threads)
    assert isinstance(report, Probed)
    assert report.suspect is Suspect.ENGINE
    assert isinstance(report.error, LfkError)
