"""A broker in memory, for tests of roles and of programs built on lfk: no network, no process, faults on request.

It behaves as Kafka does where that matters: keyed records keep to a partition, a transaction leaves a gap in the
offsets behind it, a partition moves to another member only after its owner has let go of it inside ``poll``, a member
that has lost a partition is not kept from committing it, and one that was thrown out of its group is. It keeps
everything, for as long as it lives.
"""

from __future__ import annotations

import itertools
import threading
import time
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lfk.brokers.base import (
    Delivered,
    GroupListener,
    Partition,
    Progress,
    Record,
    Standing,
    TopicPlan,
    TopicState,
)
from lfk.brokers.memory_parts import MemoryMember, MemoryPublisher, check_size
from lfk.core.errors import BrokerUnreachable, LfkError, SettlementLost, TopicMissing

#: How long a follower waits before it yields None.
_FOLLOW_SECONDS = 0.05

#: How far a settlement gets before it fails.
Reached = Literal["nothing", "records", "everything"]


@dataclass(slots=True, eq=False)
class _Log:
    """One partition: what was written to it, and the offset of what comes next."""

    records: list[Delivered] = field(default_factory=list)
    first: int = 0
    end: int = 0

    def at(self, offset: int) -> int:
        """The index of the first record at ``offset`` or behind it."""
        return bisect_left(self.records, offset, key=lambda record: record.offset)


@dataclass(slots=True)
class _Group:
    members: list[MemoryMember] = field(default_factory=list)
    committed: dict[Partition, Progress] = field(default_factory=dict)
    #: Who delivers a partition now, and who is to.
    owners: dict[Partition, MemoryMember] = field(default_factory=dict)
    targets: dict[Partition, MemoryMember] = field(default_factory=dict)


class MemoryBroker:
    """See :class:`lfk.brokers.base.Broker`. Topics appear when they are first written to or joined."""

    def __init__(
        self,
        *,
        partitions: int = 4,
        transactional: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``partitions`` of topics that nobody planned; ``clock`` (seconds) gives the records' timestamps."""
        self.address = "memory"
        #: False: nothing answers, until it is set again.
        self.reachable = True
        self._partitions = partitions
        self._transactional = transactional
        self._clock = clock
        self._changed = threading.Condition()
        self._logs: dict[str, list[_Log]] = {}
        self._configs: dict[str, Mapping[str, str]] = {}
        self._groups: dict[str, _Group] = {}
        self._turns = itertools.count()
        self._fault: tuple[LfkError, Reached] | None = None

    # --- what tests do to it

    def fail_next_settlement(self, error: LfkError, *, after: Reached) -> None:
        """The next settlement raises ``error``, although it got as far as ``after``."""
        self._fault = (error, after)

    def evict(self, member: MemoryMember) -> None:
        """The group gives a member up, as after a session time-out; its next poll tells it, and it joins anew."""
        with self._changed:
            member._evicted = True
            self._leave(member)

    def remake(self, topic: str) -> None:
        """Delete a topic and create it again, with nothing in it."""
        with self._changed:
            self._logs[topic] = [_Log() for _ in self._logs[topic]]

    # --- as declared

    def publisher(self) -> MemoryPublisher:
        return MemoryPublisher(self)

    def member(self, group: str, topics: Sequence[str], listener: GroupListener) -> MemoryMember:
        self._require_reachable("joining the group")
        member = MemoryMember(self, group, topics, listener, transactional=self._transactional)
        self._join(member)
        return member

    def snapshot(
        self,
        topic: str,
        since: int | None = None,
        starts: Mapping[Partition, int] | None = None,
        *,
        undecided: bool = False,  # noqa: ARG002 - a transaction is written whole here
    ) -> Iterator[Delivered]:
        places = self._starts(topic, since) if starts is None else starts
        with self._changed:
            found = [
                record
                for partition, start in places.items()
                for record in self._log(partition).records[self._log(partition).at(start) :]
            ]
        yield from found

    def follow(self, topic: str, since: int | None = None) -> Iterator[Delivered | None]:
        places = self._starts(topic, since)
        while True:
            with self._changed:
                found = [
                    record
                    for partition, start in places.items()
                    for record in self._log(partition).records[self._log(partition).at(start) :]
                ]
                if not found:
                    self._changed.wait(_FOLLOW_SECONDS)
            for record in found:
                places[record.partition] = record.offset + 1
                yield record
            if not found:
                yield None

    def positions(self, topic: str, since: int) -> Mapping[Partition, int]:
        self._require_reachable(f"finding {topic} by time")
        with self._changed:
            return {
                Partition(topic, number): next((r.offset for r in log.records if r.timestamp >= since), log.end)
                for number, log in enumerate(self._existing(topic))
            }

    def ensure_topics(self, wanted: Sequence[TopicPlan]) -> Sequence[str]:
        self._require_reachable("listing topics")
        with self._changed:
            created = [plan for plan in wanted if plan.name not in self._logs]
            for plan in created:
                self._logs[plan.name] = [_Log() for _ in range(plan.partitions)]
                self._configs[plan.name] = dict(plan.config)
        return [plan.name for plan in created]

    def partitions(self, topic: str) -> int:
        self._require_reachable(f"looking up {topic}")
        return len(self._logs.get(topic, ()))

    def describe(self, topics: Sequence[str]) -> Mapping[str, TopicState]:
        self._require_reachable("describing topics")
        return {
            name: TopicState(len(self._logs[name]), self._configs.get(name, {}))
            for name in topics
            if name in self._logs
        }

    def standing(self, group: str, topic: str) -> Mapping[Partition, Standing]:
        self._require_reachable(f"measuring {topic}")
        with self._changed:
            committed = self._groups[group].committed if group in self._groups else {}
            return {
                Partition(topic, number): Standing(committed.get(Partition(topic, number)), log.first, log.end)
                for number, log in enumerate(self._logs.get(topic, ()))
            }

    def trim(self, done: Mapping[Partition, int]) -> None:
        self._require_reachable("trimming")
        with self._changed:
            for partition, offset in done.items():
                log = self._log(partition)
                del log.records[: log.at(offset)]
                log.first = max(log.first, min(offset, log.end))

    def settles_atomically(self) -> bool:
        self._require_reachable("starting transactions")
        return self._transactional

    def check(self) -> str:
        self._require_reachable("asking the broker")
        return "a broker in memory"

    def close(self) -> None:
        """Nothing is held."""

    # --- for publishers and members, which are parts of this

    def _require_reachable(self, doing: str) -> None:
        if not self.reachable:
            raise BrokerUnreachable(f"{doing}: the broker in memory was told not to answer")

    def _existing(self, topic: str) -> list[_Log]:
        if topic not in self._logs:
            raise TopicMissing(f"there is no topic {topic}")
        return self._logs[topic]

    def _topic(self, topic: str) -> list[_Log]:
        return self._logs.setdefault(topic, [_Log() for _ in range(self._partitions)])

    def _log(self, partition: Partition) -> _Log:
        return self._logs[partition.topic][partition.number]

    def _starts(self, topic: str, since: int | None) -> dict[Partition, int]:
        self._require_reachable(f"reading {topic}")
        if since is not None:
            return dict(self.positions(topic, since))
        return {Partition(topic, number): 0 for number in range(len(self._existing(topic)))}

    def _append(self, records: Sequence[Record], *, gap: bool = False) -> None:
        """Write records; ``gap``: the end of their transaction takes an offset of every partition written to."""
        written: list[_Log] = []
        for record in records:
            logs = self._topic(record.topic)
            turn = next(self._turns) if record.key is None else zlib.crc32(record.key)
            number = turn % len(logs)
            log = logs[number]
            log.records.append(
                Delivered(
                    partition=Partition(record.topic, number),
                    offset=log.end,
                    timestamp=int(self._clock() * 1000),
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
        self._changed.notify_all()

    def _join(self, member: MemoryMember) -> None:
        with self._changed:
            group = self._groups.setdefault(member.group, _Group())
            group.members.append(member)
            for topic in member.topics:
                self._topic(topic)
            self._rebalance(group)

    def _leave(self, member: MemoryMember) -> None:
        group = self._groups[member.group]
        if member in group.members:
            group.members.remove(member)
        for partition in [p for p, owner in group.owners.items() if owner is member]:
            del group.owners[partition]
        self._rebalance(group)

    def _rebalance(self, group: _Group) -> None:
        """Even shares; a partition stays with its owner unless that one has more than its share."""
        group.targets = {}
        for topic in sorted({topic for member in group.members for topic in member.topics}):
            members = [member for member in group.members if topic in member.topics]
            partitions = [Partition(topic, number) for number in range(len(self._logs[topic]))]
            most = -(-len(partitions) // len(members))
            shares = {id(member): 0 for member in members}
            for partition in partitions:
                owner = group.owners.get(partition)
                if owner in members and shares[id(owner)] < most:
                    group.targets[partition] = owner
                    shares[id(owner)] += 1
            for partition in partitions:
                if partition not in group.targets:
                    member = min(members, key=lambda member: shares[id(member)])
                    group.targets[partition] = member
                    shares[id(member)] += 1
        self._changed.notify_all()

    def _settle(self, member: MemoryMember, outgoing: Sequence[Record], progress: Mapping[Partition, Progress]) -> None:
        self._require_reachable("settling")
        for record in outgoing:
            check_size(record)
        with self._changed:
            fault, self._fault = self._fault, None
            error, reached = fault or (None, "everything")
            if member._evicted:
                error, reached = SettlementLost("settling: the group has given this member up"), "nothing"
            if reached != "nothing":
                self._append(outgoing, gap=self._transactional)
            if reached == "everything":
                self._groups[member.group].committed.update(progress)
            if error is not None:
                raise error
