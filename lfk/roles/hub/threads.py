"""Job threads: each takes a job, runs it, and reports how it ended. They touch neither broker nor ledger."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from lfk.core.errors import AccessDenied, BucketMissing, LfkError, ScratchFull, StoreFull, Unreachable
from lfk.core.messages import Announcement
from lfk.roles.hub.job import Job, JobRunner

log = logging.getLogger(__name__)


class Released(Exception):
    """The hub stops or has lost the job: whoever gets the reference next does it."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A job asks to begin an attempt; ``granted`` is set once that is recorded, ``refused`` with it if not."""

    job: Job
    granted: threading.Event
    refused: threading.Event


@dataclass(frozen=True, slots=True)
class Ended:
    """A job has ended: with an announcement, with an error, or (both None) released."""

    job: Job
    announcement: Announcement | None = None
    error: LfkError | None = None
    #: The hub's own store or scratch is out of order, confirmed by a probe: it costs no attempt.
    outage: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """A job's final failure is in the store."""

    job: Job
    announcement: Announcement
    error: LfkError


Report = Begin | Ended | Recorded

#: Errors that may be the store's and not the audio's; a probe of the hub's own store decides.
_MAYBE_OUTAGE = (Unreachable, AccessDenied, BucketMissing, StoreFull)


class UnexpectedFailure(LfkError):
    """A fault of lfk itself, which must not take the hub down with it."""

    code = "internal"
    hint = "report this with the hub's log"


class JobThreads:
    """A fixed number of threads; the hub gives each at most one errand, so nothing queues up here."""

    def __init__(
        self,
        runner: JobRunner,
        count: int,
        *,
        store_works: Callable[[], bool],
        scratch_works: Callable[[], bool],
        record_failure: Callable[[Job, Announcement, LfkError], None],
    ) -> None:
        """``store_works`` and ``scratch_works`` probe what the hub itself needs; ``record_failure`` keeps a failure in
        the store."""
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._errands: queue.SimpleQueue[Callable[[], Report] | None] = queue.SimpleQueue()
        self._runner = runner
        self._store_works = store_works
        self._scratch_works = scratch_works
        self._record_failure = record_failure
        self._threads = [threading.Thread(target=self._work, name=f"lfk-job-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def start(self, job: Job) -> None:
        """Run a job."""
        self._errands.put(lambda: self._run(job))

    def record(self, job: Job, announcement: Announcement, error: LfkError) -> None:
        """Keep a job's final failure in the store."""
        self._errands.put(lambda: self._record(job, announcement, error))

    def close(self, timeout: float) -> None:
        """Let every thread end after its errand, at most ``timeout`` seconds each."""
        for _ in self._threads:
            self._errands.put(None)
        for thread in self._threads:
            thread.join(timeout)

    def _work(self) -> None:
        while (errand := self._errands.get()) is not None:
            self.reports.put(errand())

    def _run(self, job: Job) -> Report:
        try:
            return Ended(job, announcement=self._runner.run(job, lambda: self._begin(job)))
        except Released:
            return Ended(job)
        except LfkError as error:
            return Ended(job, error=error, outage=self._is_outage(error))
        except Exception as error:
            log.exception("a fault of lfk itself, at %s", job.stage, extra={"event_id": job.event_id})
            return Ended(job, error=UnexpectedFailure(f"{type(error).__name__} in stage {job.stage}"))

    def _record(self, job: Job, announcement: Announcement, error: LfkError) -> Report:
        try:
            self._record_failure(job, announcement, error)
        except LfkError as unrecorded:
            if self._is_outage(unrecorded):
                return Ended(job, error=error, outage=True)
            # The answer matters more than its copy in the store; the dead letter says the same.
            log.warning("the failure is not recorded in the store: %s", unrecorded, extra={"event_id": job.event_id})
        return Recorded(job, announcement, error)

    def _is_outage(self, error: LfkError) -> bool:
        if isinstance(error, ScratchFull):
            return not self._scratch_works()
        return isinstance(error, _MAYBE_OUTAGE) and not self._store_works()

    def _begin(self, job: Job) -> None:
        request = Begin(job, threading.Event(), threading.Event())
        self.reports.put(request)
        request.granted.wait()
        if request.refused.is_set():
            raise Released
