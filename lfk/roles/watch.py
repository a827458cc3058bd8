"""Watch: sync as a service. What changes goes up within moments; what was missed is found by the next scan.

The folder is the queue: nothing that waits is held anywhere else, so memory stays flat, and a restart, an outage of
store or broker, or a lost event costs a scan and no file. The first scan asks the store about every file; later ones
trust what is remembered as confirmed.
"""

from __future__ import annotations

import heapq
import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from lfk.core.errors import Kind, LfkError, Unreachable
from lfk.core.retry import RetryPolicy
from lfk.core.sync_plan import Stamp
from lfk.roles.changes import Changes
from lfk.roles.health import Pulse
from lfk.roles.outages import outlast
from lfk.roles.scan import Found, Misfit, stamp_of, unreadable
from lfk.roles.sync import Synchroniser
from lfk.roles.sync_events import Event, FileDone, Paused, Resumed, Summary
from lfk.roles.sync_files import TICK_SECONDS, FileSync
from lfk.roles.sync_job import SyncJob

log = logging.getLogger(__name__)

#: How often a file that failed for a passing reason is tried again.
_AGAIN = RetryPolicy(attempts=1_000_000, backoff=5.0, factor=2.0)
#: A failure that needs somebody to act is looked at again this often, without anybody asking.
_PERMANENT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How changes are noticed (see :class:`lfk.roles.changes.Changes`), and seconds between scans."""

    rescan: float
    #: Where no changes are told.
    poll: float = 10.0
    by: str = "auto"

    def seconds(self, *, live: bool) -> float:
        """Until the next scan."""
        return self.rescan if live else min(self.rescan, self.poll)


@dataclass(slots=True)
class _Failure:
    """A file that failed as it was then: not tried again before its time unless it changes."""

    stamp: Stamp | None
    attempts: int
    due: float


class Watcher:
    """See the module. :meth:`run` is the one owner; it ends when told to stop."""

    def __init__(
        self,
        job: SyncJob,
        open_sync: Callable[[Callable[[Event], None]], AbstractContextManager[Synchroniser]],
        report: Callable[[Event], None],
        stop: threading.Event,
        *,
        pace: Pace,
    ) -> None:
        """``open_sync`` makes a synchroniser with fresh connections; it is called again after every outage."""
        self._job = job
        self._open_sync = open_sync
        self._report = report
        self._stop = stop
        self._pace = pace
        self._failures: dict[str, _Failure] = {}
        self._due: list[tuple[float, str]] = []
        self._scanned = False
        self._files: FileSync | None = None
        self.pulse = Pulse()
        #: When a scan last came to its end, seconds since the epoch.
        self.scanned: float | None = None
        self.summary = Summary()

    @property
    def open(self) -> int:
        """Files under way; may be asked for by any thread."""
        files = self._files
        return files.open if files is not None else 0

    def run(self) -> Summary:
        """Serve until told to stop.

        Raises:
            LfkError: store or broker refuse at the very start, or for a reason that waiting does not change.
        """
        begun = time.monotonic()
        with Changes(self._job.source, self._job.selection, self._job.own_paths, self._pace.by) as changes:
            outlast(partial(self._session, changes), self._paused, self._stop)
        self.summary.seconds = time.monotonic() - begun
        return self.summary

    def _paused(self, error: LfkError, seconds: float) -> None:
        self._report(Paused(error, seconds))
        self.pulse.waits(error)

    def _session(self, changes: Changes, resumed: bool) -> tuple[bool, LfkError] | None:
        """Serve with one set of connections; returns what ended it, and whether it had worked before."""
        served = False
        try:
            with self._open_sync(self._note) as sync:
                sync.prepare()
                served = True
                self._files = sync.files
                self.pulse.serves()
                if resumed:
                    self._report(Resumed())
                changes.listener = sync.files.wake
                try:
                    self._serve(sync, changes)
                finally:
                    changes.listener = None
                error = sync.files.outage
        except LfkError as refused:
            if not isinstance(refused, Unreachable) and not self._scanned:
                raise
            error = refused
        if error is not None and error.kind is Kind.FATAL:
            raise error
        return None if error is None else (served, error)

    def _serve(self, sync: Synchroniser, changes: Changes) -> None:
        next_scan = time.monotonic()
        marked: int | None = None
        while not sync.files.over:
            self.pulse.beat()
            if time.monotonic() >= next_scan or changes.overflowed():
                changes.keep()
                self._scan(sync, changes)
                next_scan = time.monotonic() + self._pace.seconds(live=changes.live)
            self._take(sync.files, changes)
            sync.files.step(TICK_SECONDS)
            if self._job.done_marker and sync.files.open == 0 and marked != sync.files.summary.ended:
                marked = sync.files.summary.ended
                self._mark(sync)
        sync.files.finish()

    def _scan(self, sync: Synchroniser, changes: Changes) -> None:
        trust = self._scanned
        for item in sync.scan(trust=trust):
            self.pulse.beat()
            if self._wants(item):
                sync.take(item, trust=trust)
            # A long scan must not hold up what happens meanwhile.
            self._take(sync.files, changes)
        if not sync.files.over:
            self._scanned, self.scanned = True, time.time()

    def _mark(self, sync: Synchroniser) -> None:
        """Nothing is under way, for the first time or after something was."""
        sync.mark()
        marking = sync.files.summary.marking
        if marking is not None and marking != self.summary.marking:
            self.summary.marking = marking
            self._report(marking)

    def _take(self, files: FileSync, changes: Changes) -> None:
        """Offer what has changed, and what failed and is due again."""
        for relative, complete in changes.take().items():
            self._offer(files, relative, complete=complete)
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            due, relative = heapq.heappop(self._due)
            failure = self._failures.get(relative)
            if failure is not None and failure.due == due:
                self._offer(files, relative, complete=False)

    def _offer(self, files: FileSync, relative: str, *, complete: bool) -> None:
        try:
            files.notice(Found(relative, stamp_of((self._job.source / relative).stat())), complete=complete)
        except FileNotFoundError:
            # Gone again: moved on or deleted, which is nobody's failure.
            self._failures.pop(relative, None)
        except OSError as error:
            files.refuse(Misfit(relative, unreadable(error)))
        except LfkError as error:
            files.refuse(Misfit(relative, error))

    def _wants(self, item: Found | Misfit) -> bool:
        failure = self._failures.get(item.relative)
        if failure is None:
            return True
        stamp = item.stamp if isinstance(item, Found) else None
        return stamp != failure.stamp or time.monotonic() >= failure.due

    def _note(self, event: Event) -> None:
        # A scan may pass over a million files, or wait for room, between two turns.
        self.pulse.beat()
        if isinstance(event, FileDone):
            self.summary.add(event)
            if event.error is None:
                self._failures.pop(event.relative, None)
            else:
                self._remember(event, event.error)
        self._report(event)

    def _remember(self, done: FileDone, error: LfkError) -> None:
        before = self._failures.get(done.relative)
        attempts = before.attempts + 1 if before is not None and before.stamp == done.stamp else 1
        passing = error.kind is Kind.TRANSIENT
        wait = _AGAIN.wait(attempts, random.random) if passing else None
        due = time.monotonic() + (wait or _PERMANENT_SECONDS)
        self._failures[done.relative] = _Failure(done.stamp, attempts, due)
        heapq.heappush(self._due, (due, done.relative))
