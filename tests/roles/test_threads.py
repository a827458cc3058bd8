"""Job threads: which errors are the audio's, and which are this hub's own trouble."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from lfk.brokers.base import Delivered, Partition
from lfk.core.errors import AudioUndecodable, LfkError, ScratchFull, StoreUnreachable
from lfk.core.messages import Announcement
from lfk.roles.hub.job import Job, JobRunner
from lfk.roles.hub.threads import Ended, JobThreads

JOB = Job(Delivered(Partition("lfk.audio", 0), 1, 1, None, b""), "0" * 32)


class FailingRunner:
    def __init__(self, error: LfkError) -> None:
        self._error = error

    def run(self, _job: Job, _begin: Callable[[], None]) -> Announcement:
        raise self._error


@pytest.mark.parametrize(
    ("error", "store_works", "scratch_works", "outage"),
    [
        (ScratchFull("no room"), True, False, True),
        (ScratchFull("no room"), False, True, False),
        (StoreUnreachable("no answer"), False, True, True),
        (StoreUnreachable("no answer"), True, False, False),
        (AudioUndecodable("noise"), False, False, False),
    ],
)
def test_a_probe_tells_whose_trouble_it_is(
    error: LfkError, store_works: bool, scratch_works: bool, outage: bool
) -> None:
    def unused(*_arguments: Any) -> None:
        raise AssertionError

    threads = JobThreads(
        cast(JobRunner, FailingRunner(error)),
        1,
        store_works=lambda: store_works,
        scratch_works=lambda: scratch_works,
        record_failure=unused,
    )
    threads.start(JOB)
    report = threads.reports.get(timeout=10.0)
    threads.close(1.0)
    assert report == Ended(JOB, error=error, outage=outage)
