"""The hub: reads references, has them done, answers each exactly once.

One thread, the one that calls :meth:`Hub.run`, owns the group membership, the holdings and every decision; job
threads only run jobs and report. The order that makes it safe::

    1. a record is delivered      the ledger takes it in, or knows that it is done
    2. an attempt begins          recorded in the committed note before any engine work
    3. a job ends                 its answer waits; result and files are in the store already
    4. answers are settled        announcement (or retry, or dead letter) and progress in one transaction
    5. a partition goes           its jobs are orphaned: they may finish into the store, but answer nothing

A hub that is in trouble itself (its store, its disk, its default model, its engines) begins nothing and costs no job an
attempt; if the trouble lasts, it leaves its partitions to the other hubs until it is well.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence

from lfk.brokers.base import Broker, Delivered, Partition, Progress
from lfk.brokers.codec import Codec
from lfk.core.errors import AttemptsExhausted, AudioForgotten, Kind, LfkError, Suspect
from lfk.core.messages import Announcement
from lfk.core.retry import MAX_WAIT_SECONDS
from lfk.roles.hub.answers import (
    announcement_record,
    dead_letter,
    failed_announcement,
    receive,
    retry_record,
)
from lfk.roles.hub.flow import MOST_IN_HAND, Flow
from lfk.roles.hub.holdings import Answer, Holdings
from lfk.roles.hub.job import Job
from lfk.roles.hub.plan import HubPlan, Summary
from lfk.roles.hub.self_check import SelfCheck, Trouble
from lfk.roles.hub.threads import Begin, Ended, JobThreads, Probed, Recorded
from lfk.roles.hub.trace import trace_job
from lfk.roles.hub.waiting import Waiting
from lfk.roles.tracing import Tracer

log = logging.getLogger(__name__)

#: One wait for what threads report, while jobs run: a report is seen at once, and the broker as often as this.
_BUSY_WAIT_SECONDS = 0.02
#: One wait for the broker, while nothing runs.
_IDLE_POLL_SECONDS = 0.2
#: References taken in ahead per lane and job thread, so that there is a choice of what to start next.
_WINDOW = 4
#: Settlements tried at the end: one may fail, the next reads again what stands, one more settles the rest.
_LAST_SETTLEMENTS = 3
#: How long a job waits that has met trouble of its hub's.
_AGAIN_SECONDS = 2.0
#: Trouble that lasts longer than this is not worth waiting for: other hubs may be well.
_LEAVE_SECONDS = 30.0
#: A store or registry that does not answer is mostly out of everybody's reach, and what engines have found waits here.
_LEAVE_STORE_SECONDS = 300.0
_SHARED = frozenset({Suspect.STORE, Suspect.REGISTRY})


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
        describe: Callable[[Job], None],
        report: Callable[[Announcement], None],
        references_missed: Callable[[], None],
        tracer: Tracer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``describe`` notes what a job's record asks for, ``report`` gets every announcement that is settled.

        ``references_missed`` is called when references have gone from their topic unread.
        """
        self._codec = codec
        self._threads = threads
        self._plan = plan
        self._stop = stop
        self._stop_engines = stop_engines
        self._report = report
        self._references_missed = references_missed
        self._tracer = tracer
        self._clock = clock
        self._waiting = Waiting(plan, describe)
        self._holdings = Holdings(plan.topics.dlq, self._concluded)
        self._running: dict[int, tuple[Hashable, Job]] = {}
        self._seen_running: tuple[Job, ...] = ()
        self._seen_in_hand: Mapping[Partition, int] = {}
        self._begins: list[Begin] = []
        self._self_check = SelfCheck(threads.probe, plan.breaker)
        #: Out of the group because of trouble.
        self._away = False
        #: An engine of this hub has done some work.
        self._worked = False
        self._turned_at = time.monotonic()
        self._settled_at = 0.0
        self._active_at = time.monotonic()
        #: The group has told which partitions are this hub's; before that nothing says that there is no work.
        self._joined = False
        self._leading = Partition(plan.lanes["fresh"], 0)
        self._leads = False
        self._fatal: LfkError | None = None
        self.summary = Summary()
        self._member = broker.member(plan.group, list(plan.lanes.values()), self)
        self._flow = Flow(self._member)

    # --- seen from other threads

    @property
    def running(self) -> tuple[Job, ...]:
        """Jobs in the hands of threads, as of the last change."""
        return self._seen_running

    @property
    def in_hand(self) -> Mapping[Partition, int]:
        """The partitions that are this hub's, each with its references that are taken in and not settled."""
        return self._seen_in_hand

    @property
    def trouble(self) -> Trouble | None:
        """What keeps this hub from working, if anything does."""
        return self._self_check.trouble

    @property
    def joined(self) -> bool:
        """The group has told which partitions are this hub's."""
        return self._joined and not self._away

    @property
    def leads(self) -> bool:
        """It holds the first partition of fresh references, so what one hub of the group has to do is this one's."""
        return self._leads

    @property
    def stopping(self) -> bool:
        """It was told to stop, or is through."""
        return self._stop.is_set()

    def turned(self) -> float:
        """Seconds since this hub's thread last turned."""
        return time.monotonic() - self._turned_at

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
        if not self._plan.exit_when_idle or not self.joined or self._holdings.in_hand or self.trouble:
            return False
        return time.monotonic() - self._active_at >= self._plan.exit_when_idle

    def _turn(self) -> None:
        """One round: read, sort out what threads report, begin, settle, start."""
        self._turned_at = time.monotonic()
        busy = bool(self._running) or self._holdings.unsettled
        record = self._member.poll(0.0 if busy else _IDLE_POLL_SECONDS)
        if record is not None:
            self._take_in(record)
        # Whoever runs a job is not to wait for the broker: with nothing new from there, the wait is for reports.
        self._serve(_BUSY_WAIT_SECONDS if busy and record is None else 0.0)
        self._self_check.look()
        self._keep_away()
        for job in self._waiting.woken(self._clock()):
            self._queue(job)
        self._start_jobs()
        self._flow.steer(self._holdings.partitions, self._enough())
        self._seen_in_hand = self._holdings.by_partition()
        if self._holdings.in_hand:
            self._active_at = time.monotonic()

    def _serve(self, wait: float = 0.0) -> None:
        """Everything that running jobs wait for; waits so many seconds for the first report."""
        self._drain_reports(wait)
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
        self._flow.pause(self._holdings.partitions)
        engines_told = False
        while self._running:
            if not engines_told and time.monotonic() >= deadline:
                engines_told = True
                self._stop_engines()
            self._turned_at = time.monotonic()
            self._member.poll(0.0)
            self._serve(_BUSY_WAIT_SECONDS)
        for _attempt in range(_LAST_SETTLEMENTS):
            if self._holdings.unsettled:
                self._settle()

    def _settle(self) -> None:
        self._settled_at = time.monotonic()
        self._holdings.settle(self._member)

    def _keep_away(self) -> None:
        """Leave the partitions to others while trouble lasts, and come back when it is over."""
        trouble = self.trouble
        patience = _LEAVE_STORE_SECONDS if trouble and trouble.suspect in _SHARED else _LEAVE_SECONDS
        if trouble is not None and not self._away and time.time() - trouble.since >= patience:
            log.warning("leaving the group until this hub is well")
            self._away = True
            self._member.leave()
        elif trouble is None and self._away:
            self._away = self._joined = False
            self._member.join()

    # --- group life (called by the member, inside poll)

    def assigned(self, committed: Mapping[Partition, Progress | None]) -> Mapping[Partition, int | None]:
        """Load each partition's ledger from what the group committed, and start from that very read."""
        self._holdings.load(committed)
        self._joined = True
        self._leads = self._leads or self._leading in committed
        self._active_at = time.monotonic()
        log.info("assigned: %s", _names(committed))
        return {partition: progress.offset if progress else None for partition, progress in committed.items()}

    def revoked(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Settle what is ready (unless it is too late), then forget these partitions."""
        if not lost and self._holdings.unsettled:
            self._settle()
        self._leads = self._leads and self._leading not in partitions
        gone = self._holdings.drop(partitions)
        self._flow.forget(partitions)
        self._waiting.drop(gone)
        log.info("revoked: %s", _names(partitions))

    def missed(self, partition: Partition, first: int) -> None:
        """References have gone unread: the store still knows what is outstanding."""
        log.warning("%s/%d begins at %d: references before it are gone", partition.topic, partition.number, first)
        self._holdings.skip(partition, first)
        self._references_missed()

    # --- taking in

    def _take_in(self, record: Delivered) -> None:
        if not self._holdings.deliver(record):
            return
        job, due = receive(record, self._plan.topics.retry)
        self._holdings.keep(job)
        if due > (now := self._clock()):
            # No hub asks for a longer wait, whatever is written there.
            self._waiting.add_later(job, min(due, now + MAX_WAIT_SECONDS))
        else:
            self._queue(job)

    def _queue(self, job: Job) -> None:
        # Attempts begun and not ended have died with their hub.
        begun = self._holdings.attempts(job)
        self._waiting.add(job, suspect=begun > 0 and begun >= self._plan.retry.attempts - 1)

    def _start_jobs(self) -> None:
        while not self._stop.is_set() and self.trouble is None:
            if self._plan.max_jobs and self.summary.answered + len(self._running) >= self._plan.max_jobs:
                return
            item = self._waiting.next(self._seen_running)
            if item is None:
                return
            self._start(*item)

    def _start(self, key: Hashable, job: Job) -> None:
        self._running[id(job)] = (key, job)
        self._seen_running = tuple(job for _key, job in self._running.values())
        used = job.earlier_attempts + self._holdings.attempts(job)
        if job.verdict is None and used >= self._plan.retry.attempts:
            job.verdict, job.spent = AttemptsExhausted(f"{used} attempts began and none came to an end"), used
        if job.verdict is not None:
            self._threads.record(job, failed_announcement(job, job.verdict, job.spent), job.verdict)
        else:
            self._threads.start(job)

    def _enough(self) -> Callable[[Partition], bool]:
        """Tells of a partition whether nothing more of it should be taken in."""
        holdings, topics = self._holdings, self._plan.lanes.values()
        full = {topic for topic in topics if self._waiting.able(topic) >= _WINDOW * self._plan.slots}
        if self._waiting.many_due:
            full.add(self._plan.topics.retry)
        if self.trouble is not None:
            full.update(topics)
        return lambda partition: (
            partition.topic in full or holdings.in_hand_of(partition) >= MOST_IN_HAND or holdings.pressed(partition)
        )

    # --- what threads report

    def _drain_reports(self, wait: float) -> None:
        while True:
            try:
                report = self._threads.reports.get(block=wait > 0, timeout=wait or None)
            except queue.Empty:
                return
            wait = 0.0
            if isinstance(report, Begin):
                self._begins.append(report)
            elif isinstance(report, Ended):
                self._ended(report)
            elif isinstance(report, Recorded):
                self._recorded(report)
            else:
                self._probed(report)

    def _grant_begins(self) -> None:
        """Record the starts of attempts in one commit, then let them start."""
        asked, self._begins = self._begins, []
        wanted: list[Begin] = []
        for begin in asked:
            # In trouble, too: a job that waits here has an engine, which is needed for a look at the engines.
            if self._stop.is_set() or begin.job.orphaned or self.trouble is not None:
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
            if job.transcribed:
                self._worked = True
                self._self_check.worked()
            self._let_go(job)
            self._trace(job, None)
            record = announcement_record(ended.announcement, job, self._codec, self._plan.topics)
            self._holdings.answer(Answer(job, [record], ended.announcement))
        elif error is None or (self._stop.is_set() and (error.suspect or error.kind is Kind.TRANSIENT)):
            # Not the job's doing: this hub stops or is in trouble, and the next one goes on with it.
            self._let_go(job)
            self._holdings.take_back(job)
            if not self._stop.is_set():
                self._queue(job)
        elif error.kind is Kind.FATAL and not self._worked:
            # It cannot work at all, as it is set up: somebody has to act before it is started again.
            self._let_go(job)
            self._holdings.take_back(job)
            self._fatal = error
            self._stop.set()
        elif not self._self_check.hold(ended, error):
            self._failed(job, error)

    def _probed(self, report: Probed) -> None:
        """What was held is the job's own failure, or waits until this hub is well."""
        for held, ours in self._self_check.told(report):
            job = held.job
            if job.orphaned:
                self._let_go(job)
            elif ours:
                log.warning("the reference waits: %s", held.error, extra=_about(job))
                if isinstance(held, Ended):
                    self._holdings.take_back(job)
                # When this hub stops, nothing is started any more.
                self._waiting.add_again(self._free_thread(job), job, self._clock() + _AGAIN_SECONDS)
            elif isinstance(held, Recorded):
                # The answer matters more than its copy in the store; the dead letter says the same.
                log.warning("the failure is not recorded in the store: %s", held.unrecorded, extra=_about(job))
                self._answer_failed(held)
            elif held.error is not None:
                self._failed(job, held.error)

    def _failed(self, job: Job, error: LfkError) -> None:
        attempts = job.earlier_attempts + self._holdings.attempts(job) + (not job.begun)
        wait = self._plan.retry.wait(attempts, random.random) if error.kind is Kind.TRANSIENT else None
        if wait is None:
            log.error("%s at %s: %s", error.code, job.stage, error, extra=_about(job))
            if isinstance(error, AudioForgotten):
                self._answer_forgotten(job, error)
                return
            job.verdict, job.spent = error, attempts
            self._threads.record(job, failed_announcement(job, error, attempts), error)
            return
        log.warning("%s at %s, again in %.0f s: %s", error.code, job.stage, wait, error, extra=_about(job))
        self._let_go(job)
        self.summary.retried += 1
        self._trace(job, error)
        again = retry_record(job, error, attempts, self._clock() + wait, self._plan.topics)
        self._holdings.answer(Answer(job, [again], None))

    def _recorded(self, report: Recorded) -> None:
        job = report.job
        if job.orphaned:
            self._let_go(job)
        elif isinstance(report.unrecorded, AudioForgotten):
            self._answer_forgotten(job, report.unrecorded)
        elif report.unrecorded is None or not self._self_check.hold(report, report.unrecorded):
            self._answer_failed(report)

    def _answer_failed(self, report: Recorded) -> None:
        job = report.job
        self._let_go(job)
        failure = report.announcement.error
        attempts = failure.attempts if failure else 0
        self._trace(job, report.error)
        records = [
            announcement_record(report.announcement, job, self._codec, self._plan.topics),
            dead_letter(job, report.error, attempts, self._plan.topics),
        ]
        self._holdings.answer(Answer(job, records, report.announcement))

    def _trace(self, job: Job, error: LfkError | None) -> None:
        """An attempt is over."""
        if self._tracer is not None:
            job.trace = trace_job(self._tracer, job, error)

    def _answer_forgotten(self, job: Job, error: AudioForgotten) -> None:
        """Neither a dead letter nor a record of it: both would be kept, and name what was to be forgotten."""
        self._let_go(job)
        attempts = job.earlier_attempts + self._holdings.attempts(job)
        announcement = failed_announcement(job, error, attempts)
        record = announcement_record(announcement, job, self._codec, self._plan.topics)
        self._holdings.answer(Answer(job, [record], announcement))

    def _let_go(self, job: Job) -> None:
        """The job's thread is free again, and so is its audio."""
        self._waiting.release(self._free_thread(job))

    def _free_thread(self, job: Job) -> Hashable:
        """The job's thread is free again; the key that keeps its audio's other jobs waiting."""
        key, _job = self._running.pop(id(job))
        self._seen_running = tuple(other for _key, other in self._running.values())
        return key

    def _concluded(self, answer: Answer) -> None:
        """The answer is the broker's now."""
        announcement = answer.announcement
        if announcement is None:
            return
        if announcement.status == "done":
            self.summary.done += 1
            self.summary.reused += announcement.reused
            self.summary.audio_seconds += announcement.duration or 0.0
            log.info("answered: %s", "reused" if announcement.reused else "done", extra=_about(answer.job))
        else:
            self.summary.failed += 1
        self._report(announcement)


def _names(partitions: Mapping[Partition, object] | Sequence[Partition]) -> str:
    return ", ".join(f"{p.topic}/{p.number}" for p in partitions) or "nothing"


def _about(job: Job) -> dict[str, str | None]:
    return {"event_id": job.event_id, "job_id": job.job_id}
