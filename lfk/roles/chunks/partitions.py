"""What a gateway has in hand of its partitions, and the one commit that ends an audio.

An audio's chunks stay open in the ledger of their partition until its answer (the reference, or the failure) is
settled, in one transaction with the progress. So what is committed is the first chunk of the oldest audio that is not
answered, and whoever comes next reads from there. Where the outcome of a commit is not known, nothing more is
committed until the broker has been asked what stands.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lfk.brokers.base import Delivered, Member, Partition, Progress, Record
from lfk.core.errors import MessageTooLarge, SettlementLost, SettlementRefused, Unreachable
from lfk.core.ledger import NOTE_LIMIT, Ledger
from lfk.roles.chunks.audio import Audio, AudioKey, Joined
from lfk.roles.group_progress import HOLD_SECONDS, committed_ledger

log = logging.getLogger(__name__)

#: With more chunks open than this no note is written, as a ledger would not read one of so many.
_NOTED = 50_000
#: A value larger than this is a dead letter's, and goes where the broker refuses the record whole.
_LARGE_VALUE = 512 * 1024
#: Uploads that were answered, remembered so that a repeated chunk of one does not begin it anew.
_REMEMBERED = 10_000


@dataclass(slots=True)
class Answer:
    """The records that answer an audio, and the offsets that are done with it."""

    partition: Partition
    offsets: Sequence[int]
    records: list[Record]
    outcome: Joined


@dataclass(slots=True)
class Owned:
    """A partition of this gateway."""

    ledger: Ledger
    #: When a record of it came last, by the gateway's clock.
    heard: float
    #: One past the last delivered offset.
    position: int = 0
    #: Audios of which something has come, and that are not being stored or answered yet.
    partial: dict[AudioKey, Audio] = field(default_factory=dict)
    #: Audios that are being stored, in the order in which they are to be answered where they have one name.
    storing: list[Audio] = field(default_factory=list)
    #: The last chunk of each audio that was complete, by key.
    ended: OrderedDict[AudioKey, tuple[bytes, int]] = field(default_factory=OrderedDict)
    dirty: bool = False

    def end(self, audio: Audio) -> None:
        """An audio is complete or given up: remember how it ended."""
        del self.partial[audio.key]
        self.ended[audio.key] = audio.last
        self.ended.move_to_end(audio.key)
        if len(self.ended) > _REMEMBERED:
            self.ended.popitem(last=False)


class Partitions:
    """See the module. Owned by the gateway's one thread."""

    def __init__(self, concluded: Callable[[Answer], None], clock: Callable[[], float] = time.monotonic) -> None:
        """``concluded`` is called for every answer once the broker has it."""
        self._concluded = concluded
        self._clock = clock
        self.owned: dict[Partition, Owned] = {}
        self._answers: list[Answer] = []
        self._unsure = False
        self._held_until = 0.0

    # --- group life

    def load(self, committed: Mapping[Partition, Progress | None]) -> None:
        """Take over partitions as the group left them."""
        self._held_until = 0.0
        for partition, progress in committed.items():
            self.owned[partition] = Owned(committed_ledger(partition, progress), self._clock())

    def drop(self, partitions: Sequence[Partition]) -> Sequence[Audio]:
        """Partitions have gone; returns the audios that were in hand, orphaned."""
        self._held_until = 0.0
        gone: list[Audio] = []
        for partition in partitions:
            owned = self.owned.pop(partition, None)
            if owned is not None:
                gone += [*owned.partial.values(), *owned.storing]
        for audio in gone:
            audio.orphaned = True
        self._answers = [answer for answer in self._answers if answer.partition in self.owned]
        return gone

    def skip(self, partition: Partition, first: int) -> None:
        """The broker has dropped what was below ``first``: nothing waits for it any more."""
        owned = self.owned[partition]
        owned.ledger.skip(first)
        owned.position = max(owned.position, first)
        owned.dirty = True

    # --- records

    def deliver(self, record: Delivered) -> Owned | None:
        """The partition of a record that is new here; None if it is done already or not ours."""
        owned = self.owned.get(record.partition)
        if owned is None:
            return None
        owned.heard = self._clock()
        owned.position = record.offset + 1
        return owned if owned.ledger.deliver(record.offset) else None

    def finish(self, owned: Owned, offset: int) -> None:
        """A record needs no answer: it repeats one that has had it."""
        owned.ledger.finish(offset)
        owned.dirty = True

    def answer(self, answer: Answer) -> None:
        """An answer waits for the next settlement."""
        self._answers.append(answer)

    @property
    def in_hand(self) -> int:
        """Chunks taken in and not settled."""
        return sum(owned.ledger.open for owned in self.owned.values())

    # --- settling

    @property
    def held(self) -> bool:
        """A commit was refused because the group is being shared out."""
        return self._clock() < self._held_until

    @property
    def unsettled(self) -> bool:
        """There is something that the broker does not know yet."""
        return bool(self._answers) or any(owned.dirty for owned in self.owned.values())

    def settle(self, member: Member) -> None:
        """Settle every answer that is ready; what cannot be settled now stays for the next time."""
        if self._unsure:
            self._read_again(member)
            return
        answers = list(self._answers)
        finished: dict[Partition, list[int]] = {p: [] for p, owned in self.owned.items() if owned.dirty}
        for answer in answers:
            finished.setdefault(answer.partition, []).extend(answer.offsets)
        progress = {}
        for partition, offsets in finished.items():
            mark = _mark(self.owned[partition].ledger, offsets)
            if mark is not None:
                progress[partition] = mark
        if not progress:
            return
        try:
            member.settle([record for answer in answers for record in answer.records], progress)
        except SettlementRefused as error:
            log.info("not settled yet: %s", error)
            self._held_until = self._clock() + HOLD_SECONDS
            return
        except (SettlementLost, Unreachable) as error:
            log.warning("not settled; reading again what is: %s", error)
            self._unsure = True
            return
        except MessageTooLarge:
            self._unsure = True
            if not _slim(answers):
                raise
            return
        for partition in progress:
            self.owned[partition].dirty = False
        self._answers = []
        for answer in answers:
            for offset in answer.offsets:
                self.owned[answer.partition].ledger.finish(offset)
            self._concluded(answer)

    def _read_again(self, member: Member) -> None:
        """After a commit of unknown outcome the broker's word counts: what it has settled is concluded."""
        try:
            committed = member.committed(list(self.owned))
        except Unreachable as error:
            log.warning("the group's progress is out of reach: %s", error)
            return
        answers, self._answers = self._answers, []
        for answer in answers:
            stands = committed_ledger(answer.partition, committed.get(answer.partition))
            if all(stands.settled(offset) for offset in answer.offsets):
                for offset in answer.offsets:
                    self.owned[answer.partition].ledger.finish(offset)
                self._concluded(answer)
            else:
                self._answers.append(answer)
        for owned in self.owned.values():
            owned.dirty = True
        self._unsure = False


def _slim(answers: Sequence[Answer]) -> bool:
    """Take the values out of large dead letters that the broker refuses; True if there were any."""
    slimmed = False
    for answer in answers:
        for index, record in enumerate(answer.records):
            size = len(record.value or b"")
            if size > _LARGE_VALUE:
                headers = {**record.headers, "lfk.error.value.omitted": str(size).encode("ascii")}
                answer.records[index] = Record(record.topic, record.key, None, headers)
                slimmed = True
    return slimmed


def _mark(ledger: Ledger, finished: Sequence[int]) -> Progress | None:
    mark = ledger.progress(finished)
    if mark is None:
        return None
    offset, note = mark
    if len(note) > NOTE_LIMIT or ledger.open > _NOTED:
        # Audios that were answered beyond the oldest one are then joined again after a restart: work, and no harm.
        return Progress(offset)
    return Progress(offset, note)
