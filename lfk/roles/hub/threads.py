"""Job threads: each takes a job, runs it, and reports how it ended. They touch neither broker nor ledger."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lfk.core.errors import LfkError, Suspect
from lfk.core.messages import Announcement
from lfk.roles.at_work import at_work
from lfk.roles.hub.job import Job
from lfk.roles.hub.runner import JobRunner

log = logging.getLogger(__name__)


class Released(Exception):
    """The hub stops, is in trouble or has lost the job: whoever gets the reference next does it."""


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


@dataclass(frozen=True, slots=True)
class Recorded:
    """A job's final failure is in the store, or (``unrecorded``) why it is not."""

    job: Job
    announcement: Announcement
    error: LfkError
    unrecorded: LfkError | None = None


@dataclass(frozen=True, slots=True)
class Probed:
    """The hub has looked at itself: what is wrong and with which part, or both None."""

    suspect: Suspect | None = None
    error: LfkError | None = None


Report = Begin | Ended | Recorded | Probed


class UnexpectedFailure(LfkError):
    """A fault of lfk itself, which must not take the hub down with it."""

    code = "internal"
    suspect = Suspect.ENGINE
    hint = "report this with the hub's log"


class JobThreads:
    """A fixed number of threads; the hub gives each at most one errand, so nothing queues up here."""

    def __init__(
        self,
        runner: JobRunner,
        count: int,
        *,
        probes: Mapping[Suspect, Callable[[], None]],
        record_failure: Callable[[Job, Announcement, LfkError], None],
    ) -> None:
        """``probes`` look at parts of the hub and raise what is wrong; ``record_failure`` keeps one in the store."""
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._errands: queue.SimpleQueue[Callable[[], Report] | None] = queue.SimpleQueue()
        self._runner = runner
        self._probes = probes
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

    def probe(self, suspects: Iterable[Suspect]) -> None:
        """Look at parts of the hub itself."""
        self._errands.put(lambda: self._look(suspects))

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
        with at_work(job):
            return self._run_to_its_end(job)

    def _run_to_its_end(self, job: Job) -> Report:
        try:
            return Ended(job, announcement=self._runner.run(job, lambda: self._begin(job)))
        except Released:
            return Ended(job)
        except LfkError as error:
            return Ended(job, error=error)
        except Exception as error:
            log.exception("a fault of lfk itself, at %s", job.stage)
            return Ended(job, error=UnexpectedFailure(f"{type(error).__name__} in stage {job.stage}"))

    def _record(self, job: Job, announcement: Announcement, error: LfkError) -> Report:
        try:
            with at_work(job):
                self._record_failure(job, announcement, error)
        except LfkError as unrecorded:
            return Recorded(job, announcement, error, unrecorded)
        return Recorded(job, announcement, error)

    def _look(self, suspects: Iterable[Suspect]) -> Report:
        for suspect in sorted(suspects):
            try:
                self._probes[suspect]()
            except LfkError as error:
                return Probed(suspect, error)
            except Exception as error:
                log.exception("a fault of lfk itself, in a look at the %s", suspect.value)
                return Probed(suspect, UnexpectedFailure(f"{type(error).__name__} in a look at the {suspect.value}"))
        return Probed()

    def _begin(self, job: Job) -> None:
        request = Begin(job, threading.Event(), threading.Event())
        self.reports.put(request)
        request.granted.wait()
        if request.refused.is_set():
            raise Released
