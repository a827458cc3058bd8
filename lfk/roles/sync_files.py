"""The way of one file through sync, many at a time, with one owner.

For every file, in this order: placed by the layout, waited for until it has settled, looked at in the store, uploaded
if need be, reference sent, reference confirmed, remembered and, where that is asked for, verified and taken away. A
failure at any step leaves the later ones undone, and the next pass does them. Whoever calls :meth:`FileSync.offer` and
:meth:`FileSync.step` is the one owner of all state; worker threads only move bytes, and hand what they did back
through a queue.

An outage of store or broker ends everything at once instead of file by file: what is left is found again by the
next scan, because the folder itself is the queue.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from lfk.core.errors import (
    AudioEmpty,
    BrokerFull,
    BucketMissing,
    ContentChanged,
    Kind,
    LfkError,
    PreconditionFailed,
    Unreachable,
)
from lfk.core.location import Location
from lfk.core.sync_plan import Action, Decision, Known, Stamp
from lfk.roles.forgotten import Forgotten
from lfk.roles.leaving import Leaver, Leaving
from lfk.roles.patience import send_when_room
from lfk.roles.placing import Destination, Placing
from lfk.roles.rolling import RollingRecorder
from lfk.roles.scan import Found, Misfit, stamp_of, unreadable
from lfk.roles.sender import ReferenceSender
from lfk.roles.source import shown
from lfk.roles.sync_events import BytesMoved, Event, Fate, FileDone, FileFound, Outcome, Summary
from lfk.roles.sync_job import SyncJob
from lfk.roles.sync_state import SyncState
from lfk.roles.sync_work import Offer, Waits, Work, unsettled
from lfk.roles.tombstones import Tombstones
from lfk.roles.uploader import Extractor, Result, Stopped, Task, Uploader
from lfk.stores.base import ObjectStore

log = logging.getLogger(__name__)

#: Files under way at a time, in whatever step: enough that uploads never wait for confirmations, and little memory.
_OPEN_LIMIT = 256
#: How often a file may be found changed, or its object replaced, before it is given up for this pass.
_ATTEMPTS = 5
#: The shortest wait before a changed file is looked at again, where no settle time is asked for.
_RETRY_SECONDS = 0.05
#: How long the owner sleeps at most before it looks whether it should stop.
TICK_SECONDS = 0.2
#: How long confirmations are waited for once a pass is over early.
_LAST_SECONDS = 10.0


class FileSync:
    """See the module. :meth:`offer` files, :meth:`step` in between, :meth:`finish` what is open."""

    def __init__(
        self,
        job: SyncJob,
        store: ObjectStore,
        sender: ReferenceSender | None,
        state: SyncState,
        report: Callable[[Event], None],
        stop: threading.Event,
        *,
        recorder: RollingRecorder | None = None,
        extractor: Extractor | None = None,
        scratch: Path | None = None,
    ) -> None:
        """``report`` is called from the owner and from worker threads.

        Args:
            sender: may be None in a dry run.
            recorder: keeps references that the store alone would not bring back.
            extractor: in the form that the job names, if it names one.
            scratch: folder for objects that are read back; None for the system's.

        Raises:
            InvalidLocation: the prefix cannot be part of a key.
        """
        self._job = job
        self.placing = Placing(job, state)
        self._sender = sender
        self._state = state
        self._report = report
        self._stop = stop
        self._recorder = recorder
        self._uploader = Uploader(
            store,
            job.identity,
            lambda: self.over,
            tombstones=Tombstones(store, job.roots.records),
            forgotten=Forgotten(store, job.roots.records, listed=True),
            extractor=extractor,
            dry_run=job.dry_run,
        )
        leaves = job.afterwards is not None and not job.dry_run
        self._leaving = Leaving(job, store, lambda: self.over, scratch) if leaves else None
        self._pool = ThreadPoolExecutor(max(1, job.transfers), thread_name_prefix="lfk-sync")
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._open: dict[str, Work] = {}
        self._waits = Waits()
        self._moving = threading.Lock()
        self._outage: LfkError | None = None
        self.summary = Summary()

    # --- for the owner

    @property
    def open(self) -> int:
        """Files under way."""
        return len(self._open)

    @property
    def outage(self) -> LfkError | None:
        """What keeps anything from being done now."""
        return self._outage

    @property
    def over(self) -> bool:
        """Nothing new is to be begun: told to stop, or an outage."""
        return self._stop.is_set() or self._outage is not None

    def offer(self, found: Found, *, complete: bool = False, trust: bool = False) -> None:
        """Take one file on; waits while too many are open.

        Args:
            complete: it is known to be closed, so it need not settle.
            trust: do not ask the store about a file that is as it was when its reference was confirmed.
        """
        while len(self._open) >= _OPEN_LIMIT and not self.over:
            self.step(TICK_SECONDS)
        if (under_way := self._open.get(found.relative)) is not None:
            self._hurry(under_way, found.stamp, complete=complete)
            return
        if trust and (confirmed := self.placing.confirmed(found)) is not None:
            if self._leaving is not None:
                self._offer_to_leave(found, confirmed[1])
            return
        self._report(FileFound(found.stamp.size))
        try:
            destination = self.placing.of(found.relative)
        except LfkError as error:
            self._report(BytesMoved(found.stamp.size))
            self._end(FileDone(found.relative, Outcome.FAILED, found.stamp, error=error))
            return
        work = self._take_on(found, destination)
        wait = 0.0 if complete else unsettled(found.stamp, self._job.settle, time.time())
        if wait > 0:
            self._waits.add(work, wait)
        else:
            self._begin(work)

    def notice(self, found: Found, *, complete: bool) -> None:
        """Offer a file that has changed, if it is more than just made: its closing, or else the next scan, tells."""
        if found.stamp.size or complete:
            self.offer(found, complete=complete, trust=True)

    def pass_over(self, found: Found, location: Location) -> None:
        """Tell that a file is unchanged, as its caller has made sure."""
        self._report(FileFound(found.stamp.size))
        self._report(BytesMoved(found.stamp.size))
        self._end(FileDone(found.relative, Outcome.UNCHANGED, found.stamp, location))

    def refuse(self, misfit: Misfit) -> None:
        """Tell that something in the folder cannot be synced."""
        self._report(FileFound(0))
        self._end(FileDone(misfit.relative, Outcome.FAILED, error=misfit.error))

    def step(self, timeout: float) -> None:
        """Do what is due and handle what workers and broker have told, waiting for it at most ``timeout`` seconds."""
        for work in self._waits.over():
            self._resume(work)
        try:
            self._events.get(timeout=self._waits.next(timeout))()
            while True:
                self._events.get_nowait()()
        except queue.Empty:
            self._state.commit_when_due()

    def finish(self) -> None:
        """Handle everything that is open to its end; where it is over early, only what cannot be undone."""
        while self._open and not self.over:
            self.step(TICK_SECONDS)
        if self._open:
            self._abandon()
        self._state.commit()
        self.summary.outage = self._outage

    def close(self) -> None:
        """Let the worker threads go."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wake(self) -> None:
        """End a :meth:`step` that waits. From any thread."""
        self._events.put(lambda: None)

    # --- steps of one file, all on the owner's thread

    def _offer_to_leave(self, found: Found, known: Known) -> None:
        """A file that was done with before, but had to stay: it may leave by now."""
        work = self._take_on(found, self.placing.of(found.relative))
        work.leaves_only, work.result = True, Result(Decision(Action.SKIP), known)
        self._settled(work, known)

    def _take_on(self, found: Found, destination: Destination) -> Work:
        path = self._job.source / found.relative
        work = Work(found.relative, path, found.stamp, destination, time.monotonic(), found.absent)
        self._open[found.relative] = work
        return work

    def _hurry(self, work: Work, stamp: Stamp, *, complete: bool) -> None:
        """A file under way was offered again: one that only waits to settle begins if it is known to be complete."""
        if work.turn is None:
            work.again = Offer(stamp, complete)
        elif complete:
            work.turn = None
            work.stamp = stamp
            self._begin(work)

    def _resume(self, work: Work) -> None:
        """Its wait is over: go on if it has not changed meanwhile."""
        try:
            stamp = stamp_of(work.path.stat())
        except (OSError, LfkError) as error:
            self._broke(work, error)
        else:
            if stamp == work.stamp:
                self._begin(work)
            else:
                work.stamp = stamp
                self._changed(work)

    def _changed(self, work: Work) -> None:
        work.attempts += 1
        if work.attempts < _ATTEMPTS:
            self._waits.add(work, max(self._job.settle, _RETRY_SECONDS))
        else:
            self._fail(work, ContentChanged("it is still being written", hint="sync again once it is complete"))

    def _begin(self, work: Work) -> None:
        if work.leaves_only:
            work.leaves_only = False
            self._report(FileFound(work.stamp.size))
        if work.stamp.size == 0:
            self._fail(work, AudioEmpty("the file is empty (0 bytes)"))
            return
        destination = work.destination
        known = self.placing.known(work.relative, destination)
        task = Task(work.path, work.stamp, destination.location, known, destination.asked, work.absent)
        # Good for one upload, which finds out.
        work.absent = False
        work.future = self._pool.submit(self._perform, work, task)

    def _perform(self, work: Work, task: Task) -> None:
        """On a worker thread, so that neither a large file nor a full broker holds the owner up."""
        try:
            result = self._uploader.process(task, lambda size: self._moved(work, size))
            self._events.put(lambda: self._worked(work, result))
            if result.known is not None and result.decision.action is not Action.SKIP and not self._job.dry_run:
                self._refer(work, result.known)
        except Exception as error:  # noqa: BLE001 - it is raised again, or shown, by the owner
            self._events.put(partial(self._broke, work, error))

    def _moved(self, work: Work, size: int) -> None:
        with self._moving:
            work.moved += size
        self._report(BytesMoved(size))

    def _broke(self, work: Work, error: Exception) -> None:
        if isinstance(error, Stopped):
            self._drop(work)
        elif isinstance(error, ContentChanged):
            self._changed(work)
        elif isinstance(error, PreconditionFailed) and work.attempts < _ATTEMPTS:
            # Somebody else wrote that object meanwhile: looking again decides what that means.
            work.attempts += 1
            self._waits.add(work, 0.0)
        elif isinstance(error, FileNotFoundError) and self._job.afterwards is not None:
            # Another sync of this folder was faster: it is where it was to go.
            log.info("%s has gone meanwhile", shown(work.relative))
            self._forget(work)
            self._offer_again(work)
        elif isinstance(error, OSError):
            self._fail(work, unreadable(error))
        elif isinstance(error, LfkError):
            self._give_up(work, error)
        else:
            raise error

    def _worked(self, work: Work, result: Result) -> None:
        work.result = result
        if result.known is not None and not self._job.dry_run:
            self._state.put(work.relative, result.known)
        if result.decision.action is Action.SKIP or self._job.dry_run:
            self._settled(work, result.known)

    def _refer(self, work: Work, known: Known) -> None:
        """On a worker thread."""
        work.reference = work.refer(self._job, known, self._recorder)
        assert self._sender is not None, "only a dry run has no sender"  # noqa: S101 - states the constructor's rule
        send_when_room(
            self._sender,
            work.destination.location,
            work.reference,
            lambda error: self._events.put(lambda: self._confirmed(work, error)),
            lambda: self.over,
        )

    def _confirmed(self, work: Work, error: Exception | None) -> None:
        if isinstance(error, LfkError):
            self._give_up(work, error)
        elif error is not None:
            raise error
        elif work.result is not None and work.result.known is not None:
            known = replace(work.result.known, confirmed=work.destination.asked)
            self._state.put(work.relative, known)
            self._settled(work, known)

    def _settled(self, work: Work, known: Known | None) -> None:
        """Its reference is confirmed: what is left is that it may leave."""
        if self._leaving is None or known is None:
            self._succeed(work)
        else:
            leaver = Leaver(work.relative, work.path, work.destination.placed.address, known)
            work.future = self._pool.submit(self._leave, work, leaver, self._leaving)

    def _leave(self, work: Work, leaver: Leaver, leaving: Leaving) -> None:
        """On a worker thread."""
        try:
            self._events.put(partial(self._left, work, leaving.take(leaver)))
        except Exception as error:  # noqa: BLE001 - as in _perform
            self._events.put(partial(self._broke, work, error))

    def _left(self, work: Work, fate: Fate) -> None:
        work.fate = fate
        if work.leaves_only and fate is Fate.KEPT:
            # Told before, and nothing has become of it.
            del self._open[work.relative]
            self._offer_again(work)
        else:
            self._succeed(work)

    # --- ends

    def _succeed(self, work: Work) -> None:
        self._close(work, work.done())

    def _give_up(self, work: Work, error: LfkError) -> None:
        """A failure of this file, or of everything."""
        if isinstance(error, Unreachable | BucketMissing | BrokerFull) or error.kind is Kind.FATAL:
            self._outage = self._outage or error
            self._drop(work)
        else:
            self._fail(work, error)

    def _fail(self, work: Work, error: LfkError) -> None:
        self._close(work, work.failed(error))

    def _close(self, work: Work, done: FileDone) -> None:
        self._forget(work)
        self._end(done)
        self._offer_again(work)

    def _forget(self, work: Work) -> None:
        del self._open[work.relative]
        if work.leaves_only:
            self._report(FileFound(work.stamp.size))
        if (missing := work.stamp.size - work.moved) != 0:
            self._report(BytesMoved(missing))

    def _offer_again(self, work: Work) -> None:
        """Once it is no longer under way: what changed meanwhile must not wait for a scan."""
        if work.again is None or self.over:
            return
        try:
            stamp = stamp_of(work.path.stat())
            self.notice(Found(work.relative, stamp), complete=work.again == Offer(stamp, complete=True))
        except (OSError, LfkError):
            log.info("%s has gone since it was synced", shown(work.relative))

    def _end(self, done: FileDone) -> None:
        self.summary.add(done)
        self._report(done)

    def _drop(self, work: Work) -> None:
        self.summary.left += 1
        del self._open[work.relative]

    def _abandon(self) -> None:
        """It is over early: take back what has not begun, wait for the rest, briefly for confirmations."""
        patience = time.monotonic() + _LAST_SECONDS
        while True:
            self._waits.clear()
            for work in list(self._open.values()):
                if work.turn is not None or (work.future is not None and work.future.cancel()):
                    self._drop(work)
            unconfirmed_only = all(work.result is not None for work in self._open.values())
            if not self._open or (unconfirmed_only and time.monotonic() >= patience):
                break
            self.step(TICK_SECONDS)
        for work in list(self._open.values()):
            self._drop(work)
