"""A broker in memory, for tests of roles and of programs built on lfk: no network, no process, faults on request.

It behaves as Kafka does where that matters: keyed records keep to a partition, a transaction leaves a gap in the
offsets behind it, a partition moves to another member only after its owner has let go of it inside ``poll``, a member
that has lost a partition is not kept from committing it, and one that was thrown out of its group is. It keeps
everything, for as long as it lives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from lfk.brokers.base import (
    Delivered,
    GroupListener,
    Partition,
    Standing,
    TopicPlan,
    TopicState,
)
from lfk.brokers.memory_cluster import Log, MemoryCluster, Reached
from lfk.brokers.memory_parts import MemoryMember, MemoryPublisher
from lfk.core.errors import LfkError

#: How long a follower waits before it yields None.
_FOLLOW_SECONDS = 0.05


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
        self.cluster = MemoryCluster(partitions=partitions, transactional=transactional, clock=clock)
        self._configs: dict[str, Mapping[str, str]] = {}

    # --- what tests do to it

    @property
    def reachable(self) -> bool:
        """False: nothing answers, until it is set again."""
        return self.cluster.reachable

    @reachable.setter
    def reachable(self, answers: bool) -> None:
        self.cluster.reachable = answers

    def fail_next_settlement(self, error: LfkError, *, after: Reached) -> None:
        """The next settlement raises ``error``, although it got as far as ``after``."""
        self.cluster.fault = (error, after)

    def evict(self, member: MemoryMember) -> None:
        """The group gives a member up, as after a session time-out; its next poll tells it, and it joins anew."""
        with self.cluster.changed:
            member.seat.evicted = True
            self.cluster.leave(member.seat)

    def remake(self, topic: str) -> None:
        """Delete a topic and create it again, with nothing in it."""
        with self.cluster.changed:
            self.cluster.logs[topic] = [Log() for _ in self.cluster.logs[topic]]

    # --- as declared

    def publisher(self) -> MemoryPublisher:
        return MemoryPublisher(self.cluster)

    def member(self, group: str, topics: Sequence[str], listener: GroupListener) -> MemoryMember:
        self.cluster.require_reachable("joining the group")
        member = MemoryMember(self.cluster, group, topics, listener)
        self.cluster.join(member.seat)
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
        with self.cluster.changed:
            found = [
                record
                for partition, start in places.items()
                for record in self.cluster.log(partition).records[self.cluster.log(partition).at(start) :]
            ]
        yield from found

    def follow(self, topic: str, since: int | None = None) -> Iterator[Delivered | None]:
        places = self._starts(topic, since)
        while True:
            with self.cluster.changed:
                found = [
                    record
                    for partition, start in places.items()
                    for record in self.cluster.log(partition).records[self.cluster.log(partition).at(start) :]
                ]
                if not found:
                    self.cluster.changed.wait(_FOLLOW_SECONDS)
            for record in found:
                places[record.partition] = record.offset + 1
                yield record
            if not found:
                yield None

    def positions(self, topic: str, since: int) -> Mapping[Partition, int]:
        self.cluster.require_reachable(f"finding {topic} by time")
        with self.cluster.changed:
            return {
                Partition(topic, number): next((r.offset for r in log.records if r.timestamp >= since), log.end)
                for number, log in enumerate(self.cluster.existing(topic))
            }

    def ensure_topics(self, wanted: Sequence[TopicPlan]) -> Sequence[str]:
        self.cluster.require_reachable("listing topics")
        with self.cluster.changed:
            created = [plan for plan in wanted if plan.name not in self.cluster.logs]
            for plan in created:
                self.cluster.logs[plan.name] = [Log() for _ in range(plan.partitions)]
                self._configs[plan.name] = dict(plan.config)
        return [plan.name for plan in created]

    def partitions(self, topic: str) -> int:
        self.cluster.require_reachable(f"looking up {topic}")
        return len(self.cluster.logs.get(topic, ()))

    def describe(self, topics: Sequence[str]) -> Mapping[str, TopicState]:
        self.cluster.require_reachable("describing topics")
        return {
            name: TopicState(len(self.cluster.logs[name]), self._configs.get(name, {}))
            for name in topics
            if name in self.cluster.logs
        }

    def standing(self, group: str, topic: str) -> Mapping[Partition, Standing]:
        self.cluster.require_reachable(f"measuring {topic}")
        with self.cluster.changed:
            committed = self.cluster.groups[group].committed if group in self.cluster.groups else {}
            return {
                Partition(topic, number): Standing(committed.get(Partition(topic, number)), log.first, log.end)
                for number, log in enumerate(self.cluster.logs.get(topic, ()))
            }

    def trim(self, done: Mapping[Partition, int]) -> None:
        self.cluster.require_reachable("trimming")
        with self.cluster.changed:
            for partition, offset in done.items():
                log = self.cluster.log(partition)
                del log.records[: log.at(offset)]
                log.first = max(log.first, min(offset, log.end))

    def settles_atomically(self, name: str) -> bool:  # noqa: ARG002 - nobody else is here
        self.cluster.require_reachable("starting transactions")
        return self.cluster.transactional

    def check(self) -> str:
        self.cluster.require_reachable("asking the broker")
        return "a broker in memory"

    def close(self) -> None:
        """Nothing is held."""

    def _starts(self, topic: str, since: int | None) -> dict[Partition, int]:
        self.cluster.require_reachable(f"reading {topic}")
        if since is not None:
            return dict(self.positions(topic, since))
        return {Partition(topic, number): 0 for number in range(len(self.cluster.existing(topic)))}
