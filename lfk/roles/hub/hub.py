"""The hub: reads references, has them done, answers each exactly once.

One thread, the one that calls :meth:`Hub.run`, owns the group membership, the holdings and every decision; job
threads only run jobs and report. The order that makes it safe::

    1. a record is delivered      the ledger takes it in, or knows that it is done
    2. an attempt begins          recorded in the committed note before any engine work
    3. a job ends                 its answer waits; result and files are in the store already
    4. answers are settled        announcement (or retry, or dead letter) and progress in one transaction
    5. a partition goes           its jobs are orphaned: they may finish into the store, but answer nothing
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence

from lfk.brokers.base import Broker, Delivered, Partition, Progress
from lfk.brokers.codec import Codec
from lfk.core.admission import Admission
from lfk.core.errors import AttemptsExhausted, Kind, LfkError
from lfk.core.messages import Announcement
from lfk.roles.hub.answers import (
    announcement_record,
    dead_letter,
    failed_announcement,
    receive,
    retry_record,
)
from lfk.roles.hub.holdings import Answer, Holdings
from lfk.roles.hub.job import Job
from lfk.roles.hub.plan import HubPlan, Summary
from lfk.roles.hub.threads import Begin, Ended, JobThreads, Recorded

log = logging.getLogger(__name__)

#: One wait for the broker while jobs run: bounds how long a job waits to begin and an answer to be seen.
_BUSY_POLL_SECONDS = 0.02
#: The same while nothing runs.
_IDLE_POLL_SECONDS = 0.2
#: References taken in ahead per lane and job thread, so that there is a choice of what to start next.
_WINDOW = 4
#: Retries read ahead of their time, in all; beyond that their partitions are paused.
_DUE_LIMIT = 500
#: Settlements tried at the end: one may fail, the next reads again what stands, one more settles the rest.
_LAST_SETTLEMENTS = 3
#: How long a job whose store or scratch is out of order waits before it looks again.
_OUTAGE_SECONDS = 5.0


class Hub:
    """See the module. Built by the wiring; :meth:`run` returns when the hub is told to stop or has nothing to do."""

    def __init__(
        self,
        *,
        broker: Broker,
        codec: Codec,
        threads: JobThreads,
        plan: HubPlan,
        stop: threading.Event,
        stop_engines: Callable[[], None],
        model_of: Callable[[Delivered], str],
        report: Callable[[Announcement], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``model_of`` names the model that a record asks for, ``report`` gets every announcement that is settled."""
        self._codec = codec
        self._threads = threads
        self._plan = plan
        self._stop = stop
        self._stop_engines = stop_engines
        self._report = report
        self._model_of = model_of
        self._clock = clock
        self._lanes = list(plan.lanes)
        self._lane_of = {topic: lane for lane, topic in plan.lanes.items()}
        self._admission: Admission[Job] = Admission(plan.weights)
        self._holdings = Holdings(plan.topics.dlq, self._concluded)
        self._running: dict[int, tuple[Hashable, Job]] = {}
        self._seen_running: tuple[Job, ...] = ()
        #: Jobs on their last attempt after earlier ones died with their hub, and whether one of them runs.
        self._suspects: deque[Job] = deque()
        self._alone = False
        #: Models of the jobs that were started last: engines are likely to have them loaded.
        self._loaded: deque[str] = deque(maxlen=plan.engines)
        self._due: list[tuple[float, int, Job]] = []
        self._tie = itertools.count()
        self._begins: list[Begin] = []
        self._paused: set[Partition] = set()
        self._settled_at = 0.0
        self._active_at = time.monotonic()
        #: The group has told which partitions are this hub's; before that nothing says that there is no work.
        self._joined = False
        self._fatal: LfkError | None = None
        self.summary = Summary()
        self._member = broker.member(plan.group, list(self._lane_of), self)

    @property
    def running(self) -> tuple[Job, ...]:
        """Jobs in the hands of threads, as of the last change; may be read by any thread."""
        return self._seen_running

    # --- life

    def run(self) -> Summary:
        """Work until told to stop, idle for long enough, or through with the allowed number of jobs.

        Raises:
            BrokerError: the broker refuses this hub (topics, rights).
            LfkError: of kind fatal, where this hub cannot work at all.
        """
        try:
            while not self._finished():
                self._turn()
            self._wind_down()
        finally:
            self._threads.close(timeout=1.0)
            self._member.close()
        if self._fatal is not None:
            raise self._fatal
        return self.summary

    def _finished(self) -> bool:
        if self._stop.is_set():
            return True
        if self._plan.max_jobs and self.summary.answered >= self._plan.max_jobs:
            return True
        if not self._plan.exit_when_idle or not self._joined or self._holdings.in_hand:
            return False
        return time.monotonic() - self._active_at >= self._plan.exit_when_idle

    def _turn(self) -> None:
        """One round: read, sort out what threads report, begin, settle, start."""
        busy = bool(self._running) or self._holdings.unsettled
        record = self._member.poll(_BUSY_POLL_SECONDS if busy else _IDLE_POLL_SECONDS)
        if record is not None:
            self._take_in(record)
        self._serve()
        self._wake_due()
        self._start_jobs()
        self._steer_flow()
        if self._holdings.in_hand:
            self._active_at = time.monotonic()

    def _serve(self) -> None:
        """Everything that running jobs wait for."""
        self._drain_reports()
        if self._holdings.held and not self._stop.is_set():
            return
        self._grant_begins()
        if self._holdings.unsettled and time.monotonic() - self._settled_at >= self._plan.settle_interval:
            self._settle()

    def _wind_down(self) -> None:
        """Finish what runs within the grace time, release the rest, settle what is answered."""
        deadline = time.monotonic() + self._plan.grace
        if self._running:
            log.info("stopping: %d jobs have %.0f s to finish", len(self._running), self._plan.grace)
        self._stop.set()
        for partition in self._holdings.partitions:
            self._pause(partition)
        engines_told = False
        while self._running:
            if not engines_told and time.monotonic() >= deadline:
                engines_told = True
                self._stop_engines()
            self._member.poll(_BUSY_POLL_SECONDS)
            self._serve()
        for _attempt in range(_LAST_SETTLEMENTS):
            if self._holdings.unsettled:
                self._settle()

    def _settle(self) -> None:
        self._settled_at = time.monotonic()
        self._holdings.settle(self._member)

    # --- group life (called by the member, inside poll)

    def assigned(self, committed: Mapping[Partition, Progress | None]) -> Mapping[Partition, int | None]:
        """Load each partition's ledger from what the group committed, and start from that very read."""
        self._holdings.load(committed)
        self._joined = True
        self._active_at = time.monotonic()
        log.info("assigned: %s", _names(committed))
        return {partition: progress.offset if progress else None for partition, progress in committed.items()}

    def revoked(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Settle what is ready (unless it is too late), then forget these partitions."""
        if not lost and self._holdings.unsettled:
            self._settle()
        gone = self._holdings.drop(partitions)
        self._paused.difference_update(partitions)
        self._admission.drop(gone)
        self._due = [item for item in self._due if id(item[2]) not in gone]
        heapq.heapify(self._due)
        self._suspects = deque(job for job in self._suspects if id(job) not in gone)
        log.info("revoked: %s", _names(partitions))

    # --- taking in

    def _take_in(self, record: Delivered) -> None:
        if not self._holdings.deliver(record):
            return
        job, due = receive(record)
        self._holdings.keep(job)
        if due > self._clock():
            self._wait(job, due)
        else:
            self._queue(job)

    def _queue(self, job: Job) -> None:
        begun = self._holdings.attempts(job)
        if begun and begun >= self._plan.retry.attempts - 1:
            # Attempts that died with their hub: the last one runs alone, so that it can hurt nobody else.
            self._suspects.append(job)
            return
        record = job.record
        # One job per audio and topic at a time; a record without a key is an audio of its own.
        key = (record.partition.topic, record.key or (record.partition, record.offset))
        job.model = self._model_of(record)
        lane = self._lane_of[record.partition.topic]
        job.rank = self._lanes.index(lane)
        self._admission.add(lane, key, job, job.model)

    def _wait(self, job: Job, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._tie), job))

    def _wake_due(self) -> None:
        while self._due and self._due[0][0] <= self._clock():
            self._queue(heapq.heappop(self._due)[2])

    def _start_jobs(self) -> None:
        while (lanes := self._lanes_with_room()) and not self._stop.is_set():
            if self._plan.max_jobs and self.summary.answered + len(self._running) >= self._plan.max_jobs:
                return
            if self._suspects or self._alone:
                if not self._running:
                    self._alone = True
                    self._start(self._suspects.popleft(), None)
                return
            item = self._admission.next(self._loaded, lanes)
            if item is None:
                return
            self._start(item[1], item[0])
            self._loaded.append(item[1].model)

    def _lanes_with_room(self) -> Sequence[str]:
        """Lanes whose jobs may start now.

        Where bulk work has taken every place, one more is there for what goes before it: it is fetched at once, and
        gets the next engine that is free.
        """
        if len(self._running) < self._plan.slots:
            return self._lanes
        *before, bulk = self._lanes
        full = len(self._running) > self._plan.slots
        topics = {job.record.partition.topic for _key, job in self._running.values()}
        return before if not full and self._plan.lanes[bulk] in topics else ()

    def _start(self, job: Job, key: Hashable) -> None:
        self._running[id(job)] = (key, job)
        self._seen_running = tuple(job for _key, job in self._running.values())
        used = job.earlier_attempts + self._holdings.attempts(job)
        if job.verdict is None and used >= self._plan.retry.attempts:
            job.verdict = AttemptsExhausted(f"{used} attempts began and none came to an end")
        if job.verdict is not None:
            self._threads.record(job, failed_announcement(job, job.verdict, used), job.verdict)
        else:
            self._threads.start(job)

    def _steer_flow(self) -> None:
        """Pause what has enough waiting, resume what has not; what is not taken in is there for other hubs."""
        window = _WINDOW * self._plan.slots
        for partition in self._holdings.partitions:
            waiting = self._admission.waiting(self._lane_of[partition.topic])
            full = waiting >= window or len(self._due) >= _DUE_LIMIT or self._holdings.pressed(partition)
            if full:
                self._pause(partition)
            elif partition in self._paused:
                self._member.resume([partition])
                self._paused.discard(partition)

    def _pause(self, partition: Partition) -> None:
        if partition not in self._paused:
            self._member.pause([partition])
            self._paused.add(partition)

    # --- what threads report

    def _drain_reports(self) -> None:
        while True:
            try:
                report = self._threads.reports.get_nowait()
            except queue.Empty:
                return
            if isinstance(report, Begin):
                self._begins.append(report)
            elif isinstance(report, Ended):
                self._ended(report)
            else:
                self._recorded(report)

    def _grant_begins(self) -> None:
        """Record the starts of attempts in one commit, then let them start."""
        asked, self._begins = self._begins, []
        wanted: list[Begin] = []
        for begin in asked:
            if self._stop.is_set() or begin.job.orphaned:
                begin.refused.set()
                begin.granted.set()
            else:
                wanted.append(begin)
        if wanted and self._holdings.begin(self._member, [begin.job for begin in wanted]):
            for begin in wanted:
                begin.granted.set()
        else:
            self._begins.extend(wanted)

    def _ended(self, ended: Ended) -> None:
        job, error = ended.job, ended.error
        if job.orphaned:
            self._let_go(job)
        elif ended.announcement is not None:
            self._let_go(job)
            record = announcement_record(ended.announcement, job, self._codec, self._plan.topics)
            self._holdings.answer(Answer(job, [record], ended.announcement))
        elif error is None or error.kind is Kind.FATAL or (self._stop.is_set() and error.kind is Kind.TRANSIENT):
            # Not the job's doing: this hub stops or cannot work, and the next one goes on with it.
            self._let_go(job)
            self._holdings.take_back(job)
            if error is not None and error.kind is Kind.FATAL:
                self._fatal = error
                self._stop.set()
        elif ended.outage:
            log.warning("store or scratch are out of order; the reference waits: %s", error, extra=_about(job))
            self._let_go(job)
            self._holdings.take_back(job)
            self._wait(job, self._clock() + _OUTAGE_SECONDS)
        else:
            self._failed(job, error)

    def _failed(self, job: Job, error: LfkError) -> None:
        attempts = job.earlier_attempts + self._holdings.attempts(job) + (not job.begun)
        wait = self._plan.retry.wait(attempts, random.random) if error.kind is Kind.TRANSIENT else None
        if wait is None:
            log.error("%s at %s: %s", error.code, job.stage, error, extra=_about(job))
            job.verdict = error
            self._threads.record(job, failed_announcement(job, error, attempts), error)
            return
        log.warning("%s at %s, again in %.0f s: %s", error.code, job.stage, wait, error, extra=_about(job))
        self._let_go(job)
        self.summary.retried += 1
        again = retry_record(job, error, attempts, self._clock() + wait, self._plan.topics)
        self._holdings.answer(Answer(job, [again], None))

    def _recorded(self, report: Recorded) -> None:
        job = report.job
        self._let_go(job)
        if job.orphaned:
            return
        failure = report.announcement.error
        attempts = failure.attempts if failure else 0
        records = [
            announcement_record(report.announcement, job, self._codec, self._plan.topics),
            dead_letter(job, report.error, attempts, self._plan.topics),
        ]
        self._holdings.answer(Answer(job, records, report.announcement))

    def _let_go(self, job: Job) -> None:
        """The job's thread is free again."""
        key, _job = self._running.pop(id(job))
        self._seen_running = tuple(other for _key, other in self._running.values())
        self._admission.release(key)
        self._alone = False

    def _concluded(self, answer: Answer) -> None:
        """The answer is the broker's now."""
        announcement = answer.announcement
        if announcement is None:
            return
        if announcement.status == "done":
            self.summary.done += 1
            self.summary.reused += announcement.reused
            self.summary.audio_seconds += announcement.duration or 0.0
        else:
            self.summary.failed += 1
        self._report(announcement)


def _names(partitions: Mapping[Partition, object] | Sequence[Partition]) -> str:
    return ", ".join(f"{p.topic}/{p.number}" for p in partitions) or "nothing"


def _about(job: Job) -> dict[str, str | None]:
    return {"event_id": job.event_id, "job_id": job.job_id}
