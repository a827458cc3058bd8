"""What this hub has in hand: its partitions, their ledgers, the jobs, the answers that wait, and the commit of it all.

Owned by the hub's one thread. Nothing counts before the broker has it: a ledger is changed for an attempt before it
begins and for an answer after it is settled, and when the outcome of a commit is not known, nothing more is committed
until the broker has been asked what stands.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lfk.brokers.base import Delivered, Member, Partition, Progress, Record
from lfk.core.errors import MessageTooLarge, SettlementLost, SettlementRefused, Unreachable
from lfk.core.ledger import Ledger
from lfk.core.messages import Announcement
from lfk.roles.group_progress import HOLD_SECONDS, committed_ledger
from lfk.roles.hub.job import Job

log = logging.getLogger(__name__)

#: A part of a record (value, headers, key) that is larger than this is left out where the broker refuses the whole.
_LARGE_PART = 256 * 1024
#: What the names of the hub's own headers begin with.
_OURS = "lfk.error."


@dataclass(slots=True)
class Answer:
    """The records that answer a job; the announcement among them, unless it is to be tried again."""

    job: Job
    records: list[Record]
    announcement: Announcement | None


@dataclass(slots=True)
class _Owned:
    """A partition that this hub owns: its ledger, and the jobs in hand by offset."""

    ledger: Ledger
    jobs: dict[int, Job] = field(default_factory=dict)
    #: Something changed that the broker does not know yet.
    dirty: bool = False


class Holdings:
    """See the module."""

    def __init__(self, dlq: str, concluded: Callable[[Answer], None]) -> None:
        """``concluded`` is called for every answer once the broker has it."""
        self._dlq = dlq
        self._concluded = concluded
        self._owned: dict[Partition, _Owned] = {}
        self._answers: list[Answer] = []
        self._unsure = False
        self._held_until = 0.0

    # --- partitions

    def load(self, committed: Mapping[Partition, Progress | None]) -> None:
        """Take over partitions as the group left them."""
        self._held_until = 0.0
        for partition, progress in committed.items():
            self._owned[partition] = _Owned(committed_ledger(partition, progress))

    def drop(self, partitions: Sequence[Partition]) -> set[int]:
        """Partitions have gone: their jobs are orphaned. Returns the ``id`` of each such job."""
        self._held_until = 0.0
        gone: set[int] = set()
        for partition in partitions:
            owned = self._owned.pop(partition, None)
            for job in owned.jobs.values() if owned else ():
                job.orphaned = True
                gone.add(id(job))
        self._answers = [answer for answer in self._answers if id(answer.job) not in gone]
        return gone

    @property
    def partitions(self) -> Sequence[Partition]:
        """What is owned now."""
        return list(self._owned)

    @property
    def in_hand(self) -> int:
        """References taken in and not settled."""
        return sum(owned.ledger.open for owned in self._owned.values())

    def by_partition(self) -> dict[Partition, int]:
        """As :attr:`in_hand`, for each partition that is owned."""
        return {partition: owned.ledger.open for partition, owned in self._owned.items()}

    def pressed(self, partition: Partition) -> bool:
        """The partition's note is near its limit."""
        return self._owned[partition].ledger.pressed

    def skip(self, partition: Partition, first: int) -> None:
        """The broker has dropped what was below ``first``: nothing waits for it any more."""
        owned = self._owned[partition]
        owned.ledger.skip(first)
        owned.dirty = True

    def in_hand_of(self, partition: Partition) -> int:
        """References of one partition taken in and not settled."""
        return self._owned[partition].ledger.open

    # --- jobs

    def deliver(self, record: Delivered) -> bool:
        """Whether a delivered record is new here; False if it is done already or not ours."""
        owned = self._owned.get(record.partition)
        return owned is not None and owned.ledger.deliver(record.offset)

    def keep(self, job: Job) -> None:
        """The job of a record that :meth:`deliver` took in."""
        self._owned[job.record.partition].jobs[job.record.offset] = job

    def attempts(self, job: Job) -> int:
        """Attempts begun at this delivery, by this hub or by one that is gone."""
        return self._owned[job.record.partition].ledger.attempts(job.record.offset)

    def begin(self, member: Member, jobs: Sequence[Job]) -> bool:
        """Record that an attempt at each of these begins; False if it could not be recorded (yet)."""
        for job in jobs:
            self._owned[job.record.partition].ledger.begin(job.record.offset)
        if self._commit(member, [], {job.record.partition for job in jobs}):
            for job in jobs:
                job.begun = True
            return True
        for job in jobs:
            self._owned[job.record.partition].ledger.withdraw(job.record.offset)
        return False

    def take_back(self, job: Job) -> None:
        """An attempt that something else than the job has ended does not count."""
        if job.begun:
            owned = self._owned[job.record.partition]
            owned.ledger.withdraw(job.record.offset)
            owned.dirty = True
            job.begun = False

    def answer(self, answer: Answer) -> None:
        """An answer waits for the next settlement."""
        self._answers.append(answer)

    # --- settling

    @property
    def held(self) -> bool:
        """A commit was refused because the group is being shared out: the next one waits for that to be over.

        A commit amid it would wait for the coordinator, and the coordinator for this thread to poll.
        """
        return time.monotonic() < self._held_until

    @property
    def unsettled(self) -> bool:
        """There is something that the broker does not know yet."""
        return bool(self._answers) or any(owned.dirty for owned in self._owned.values())

    def settle(self, member: Member) -> None:
        """Settle every answer that is ready; what cannot be settled now stays for the next time."""
        answers = list(self._answers)
        partitions = {answer.job.record.partition for answer in answers}
        partitions |= {partition for partition, owned in self._owned.items() if owned.dirty}
        if not partitions or not self._commit(member, answers, partitions):
            return
        self._answers = []
        for answer in answers:
            self._owned[answer.job.record.partition].ledger.finish(answer.job.record.offset)
            self._conclude(answer)

    def _commit(self, member: Member, answers: Sequence[Answer], partitions: set[Partition]) -> bool:
        """Answers and progress together; False if nothing of it counts (yet)."""
        if self._unsure:
            # Reading again may conclude some of these answers, so the caller comes again with what is left.
            self._read_again(member)
            return False
        finished: dict[Partition, set[int]] = {partition: set() for partition in partitions}
        for answer in answers:
            finished[answer.job.record.partition].add(answer.job.record.offset)
        progress = {}
        for partition, offsets in finished.items():
            mark = self._owned[partition].ledger.progress(offsets)
            if mark is not None:
                progress[partition] = Progress(*mark)
        try:
            if progress:
                member.settle([record for answer in answers for record in answer.records], progress)
        except SettlementRefused as error:
            log.info("not settled yet: %s", error)
            self._held_until = time.monotonic() + HOLD_SECONDS
            return False
        except (SettlementLost, Unreachable) as error:
            log.warning("not settled; reading again what is: %s", error)
            self._unsure = True
            return False
        except MessageTooLarge:
            self._unsure = True
            if not _slim(answers, self._dlq):
                raise
            return False
        for partition in partitions:
            self._owned[partition].dirty = False
        return True

    def _read_again(self, member: Member) -> None:
        """After a commit of unknown outcome the broker's word counts: what it has settled is concluded."""
        try:
            committed = member.committed(list(self._owned))
        except Unreachable as error:
            log.warning("the group's progress is out of reach: %s", error)
            return
        settled: set[int] = set()
        for partition, owned in self._owned.items():
            ledger = committed_ledger(partition, committed.get(partition))
            for offset, job in sorted(owned.jobs.items()):
                if ledger.settled(offset):
                    settled.add(id(job))
                else:
                    ledger.deliver(offset)
                    # This hub owns the partition, so it knows of attempts at least what the broker does.
                    ledger.recall(offset, owned.ledger.attempts(offset))
            owned.ledger = ledger
            owned.dirty = True
        answers, self._answers = self._answers, []
        for answer in answers:
            if id(answer.job) in settled:
                self._conclude(answer)
            else:
                self._answers.append(answer)
        self._unsure = False

    def _conclude(self, answer: Answer) -> None:
        self._owned[answer.job.record.partition].jobs.pop(answer.job.record.offset, None)
        self._concluded(answer)


def _slim(answers: Sequence[Answer], dlq: str) -> bool:
    """Take large parts out of records that the broker refuses; True if there were any.

    Dead letters alone carry a sender's value and headers; a key is carried by every answer.
    """
    slimmed = False
    for answer in answers:
        for index, record in enumerate(answer.records):
            lighter = _lighter(record) if record.topic == dlq else _without_key(record)
            slimmed = slimmed or lighter is not record
            answer.records[index] = lighter
    return slimmed


def _lighter(record: Record) -> Record:
    """The dead letter without its value if that is large, else without the sender's headers or its key."""
    if (size := len(record.value or b"")) > _LARGE_PART:
        return replace(record, value=None, headers={**record.headers, **_omitted("value", size)})
    size = sum(len(name) + len(value) for name, value in record.headers.items())
    if size > _LARGE_PART:
        ours = {name: value for name, value in record.headers.items() if name.startswith(_OURS)}
        kept = {name: value for name, value in ours.items() if len(value) <= _LARGE_PART}
        return replace(record, headers={**kept, **_omitted("headers", size)})
    return _without_key(record)


def _without_key(record: Record) -> Record:
    size = len(record.key or b"")
    if size <= _LARGE_PART:
        return record
    return replace(record, key=None, headers={**record.headers, **_omitted("key", size)})


def _omitted(part: str, size: int) -> dict[str, bytes]:
    return {f"{_OURS}{part}.omitted": str(size).encode("ascii")}
