"""What a broker in memory holds: records, groups, and who reads which partition.

The broker and its publishers and members share one cluster; whoever changes ``logs`` or ``groups`` holds
``changed``.
"""

from __future__ import annotations

import itertools
import threading
import zlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lfk.brokers.base import Delivered, Partition, Progress, Record
from lfk.core.errors import BrokerUnreachable, LfkError, MessageTooLarge, SettlementLost, TopicMissing

#: As Kafka's own default for `message.max.bytes`.
MAX_RECORD_BYTES = 1048588

#: How far a settlement gets before it fails.
Reached = Literal["nothing", "records", "everything"]


@dataclass(slots=True, eq=False)
class Log:
    """One partition: what was written to it, and the offset of what comes next."""

    records: list[Delivered] = field(default_factory=list)
    first: int = 0
    end: int = 0

    def at(self, offset: int) -> int:
        """The index of the first record at ``offset`` or behind it."""
        return bisect_left(self.records, offset, key=lambda record: record.offset)


@dataclass(slots=True, eq=False)
class Seat:
    """A member as its group knows it."""

    group: str
    topics: tuple[str, ...]
    #: The group has given the member up, and it does not know yet.
    evicted: bool = False


@dataclass(slots=True)
class Group:
    """Who reads, and how far they are."""

    seats: list[Seat] = field(default_factory=list)
    committed: dict[Partition, Progress] = field(default_factory=dict)
    #: Who delivers a partition now, and who is to.
    owners: dict[Partition, Seat] = field(default_factory=dict)
    targets: dict[Partition, Seat] = field(default_factory=dict)


class MemoryCluster:
    """Topics appear when they are first written to or joined."""

    def __init__(self, *, partitions: int, transactional: bool, clock: Callable[[], float]) -> None:
        """``partitions`` of topics that nobody planned; ``clock`` (seconds) gives the records' timestamps."""
        self.transactional = transactional
        self.clock = clock
        #: False: nothing answers, until it is set again.
        self.reachable = True
        #: Of the next settlement.
        self.fault: tuple[LfkError, Reached] | None = None
        self.changed = threading.Condition()
        self.logs: dict[str, list[Log]] = {}
        self.groups: dict[str, Group] = {}
        self._partitions = partitions
        self._turns = itertools.count()

    def require_reachable(self, doing: str) -> None:
        """Raises ``BrokerUnreachable`` while nothing is to answer; ``doing`` says what was wanted."""
        if not self.reachable:
            raise BrokerUnreachable(f"{doing}: the broker in memory was told not to answer")

    def existing(self, topic: str) -> list[Log]:
        """A topic's partitions; raises ``TopicMissing``."""
        if topic not in self.logs:
            raise TopicMissing(f"there is no topic {topic}")
        return self.logs[topic]

    def topic(self, topic: str) -> list[Log]:
        """A topic's partitions, made if need be."""
        return self.logs.setdefault(topic, [Log() for _ in range(self._partitions)])

    def log(self, partition: Partition) -> Log:
        """One partition of a topic that is there."""
        return self.logs[partition.topic][partition.number]

    def append(self, records: Sequence[Record], *, gap: bool = False) -> None:
        """Write records; ``gap``: the end of their transaction takes an offset of every partition written to.

        The caller holds ``changed``.
        """
        written: list[Log] = []
        for record in records:
            logs = self.topic(record.topic)
            turn = next(self._turns) if record.key is None else zlib.crc32(record.key)
            number = turn % len(logs)
            log = logs[number]
            log.records.append(
                Delivered(
                    partition=Partition(record.topic, number),
                    offset=log.end,
                    timestamp=int(self.clock() * 1000),
                    key=record.key,
                    value=record.value,
                    headers=dict(record.headers),
                )
            )
            log.end += 1
            if log not in written:
                written.append(log)
        for log in written if gap else ():
            log.end += 1
        self.changed.notify_all()

    def join(self, seat: Seat) -> None:
        """Take a seat into its group, and share the partitions out anew."""
        with self.changed:
            group = self.groups.setdefault(seat.group, Group())
            group.seats.append(seat)
            for topic in seat.topics:
                self.topic(topic)
            self._rebalance(group)

    def leave(self, seat: Seat) -> None:
        """Share out anew without it. The caller holds ``changed``."""
        group = self.groups[seat.group]
        if seat in group.seats:
            group.seats.remove(seat)
        for partition in [p for p, owner in group.owners.items() if owner is seat]:
            del group.owners[partition]
        self._rebalance(group)

    def _rebalance(self, group: Group) -> None:
        """Even shares; a partition stays with its owner unless that one has more than its share."""
        group.targets = {}
        for topic in sorted({topic for seat in group.seats for topic in seat.topics}):
            seats = [seat for seat in group.seats if topic in seat.topics]
            partitions = [Partition(topic, number) for number in range(len(self.logs[topic]))]
            most = -(-len(partitions) // len(seats))
            shares = dict.fromkeys(seats, 0)
            for partition in partitions:
                owner = group.owners.get(partition)
                if owner in shares and shares[owner] < most:
                    group.targets[partition] = owner
                    shares[owner] += 1
            for partition in partitions:
                if partition not in group.targets:
                    seat = min(seats, key=shares.__getitem__)
                    group.targets[partition] = seat
                    shares[seat] += 1
        self.changed.notify_all()

    def settle(self, seat: Seat, outgoing: Sequence[Record], progress: Mapping[Partition, Progress]) -> None:
        """Publish and commit, both or neither, as far as no fault is set.

        Raises:
            LfkError: the fault that is set.
            BrokerUnreachable, MessageTooLarge, SettlementLost: as of a real broker.
        """
        self.require_reachable("settling")
        for record in outgoing:
            check_size(record)
        with self.changed:
            fault, self.fault = self.fault, None
            error, reached = fault or (None, "everything")
            if seat.evicted:
                error, reached = SettlementLost("settling: the group has given this member up"), "nothing"
            if reached != "nothing":
                self.append(outgoing, gap=self.transactional)
            if reached == "everything":
                self.groups[seat.group].committed.update(progress)
            if error is not None:
                raise error


def check_size(record: Record) -> None:
    """Raises ``MessageTooLarge`` as a real broker would."""
    size = len(record.key or b"") + len(record.value or b"")
    if size > MAX_RECORD_BYTES:
        raise MessageTooLarge(f"the record has {size} bytes; the broker takes {MAX_RECORD_BYTES}")
