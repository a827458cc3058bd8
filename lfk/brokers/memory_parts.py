"""Publishers and members of the broker in memory: the parts of it that a role holds in its hands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from lfk.brokers.base import Delivered, GroupListener, Partition, Progress, Record
from lfk.brokers.memory_cluster import MemoryCluster, Seat, check_size
from lfk.core.errors import BrokerUnreachable


class MemoryPublisher:
    """See :class:`lfk.brokers.base.Publisher`. Confirms at once."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster

    def send(self, record: Record, confirmed: Callable[[Exception | None], None]) -> None:
        check_size(record)
        try:
            self._cluster.require_reachable(f"sending to {record.topic}")
        except BrokerUnreachable as error:
            confirmed(error)
            return
        with self._cluster.changed:
            self._cluster.append([record])
        confirmed(None)

    def flush(self, timeout: float) -> int:  # noqa: ARG002 - nothing is ever on its way
        return 0

    def close(self) -> None:
        """Nothing is held."""


class MemoryMember:
    """See :class:`lfk.brokers.base.Member`."""

    def __init__(self, cluster: MemoryCluster, group: str, topics: Sequence[str], listener: GroupListener) -> None:
        self.transactional = cluster.transactional
        self.seat = Seat(group, tuple(topics))
        self._cluster = cluster
        self._listener = listener
        self._places: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._away = False

    def poll(self, timeout: float) -> Delivered | None:
        deadline = time.monotonic() + timeout
        while True:
            self._live()
            self._find_again()
            with self._cluster.changed:
                record = self._next() if self._cluster.reachable else None
                left = deadline - time.monotonic()
                if record is not None or left <= 0:
                    return record
                self._cluster.changed.wait(left)

    def pause(self, partitions: Sequence[Partition]) -> None:
        self._paused |= set(partitions) & set(self._places)

    def resume(self, partitions: Sequence[Partition]) -> None:
        self._paused -= set(partitions)

    def settle(self, outgoing: Sequence[Record], progress: Mapping[Partition, Progress]) -> None:
        self._cluster.settle(self.seat, outgoing, progress)

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Progress | None]:
        self._cluster.require_reachable("reading the group's progress")
        with self._cluster.changed:
            committed = self._cluster.groups[self.seat.group].committed
            return {partition: committed.get(partition) for partition in partitions}

    def leave(self) -> None:
        self._away = True

    def join(self) -> None:
        self._away = False
        self._cluster.join(self.seat)

    def close(self) -> None:
        if self._places and not self.seat.evicted:
            self._let_go(sorted(self._places), lost=False)
        with self._cluster.changed:
            self._cluster.leave(self.seat)

    def _live(self) -> None:
        """Group life: let go of what is to go, take what is free, tell the listener of both."""
        if self._away:
            self._let_go(sorted(self._places), lost=False)
            with self._cluster.changed:
                self._cluster.leave(self.seat)
            return
        if self.seat.evicted:
            self._let_go(sorted(self._places), lost=True)
            self.seat.evicted = False
            self._cluster.join(self.seat)
        with self._cluster.changed:
            group = self._cluster.groups[self.seat.group]
            going = sorted(p for p in self._places if group.targets.get(p) is not self.seat)
        if going:
            self._let_go(going, lost=False)
        with self._cluster.changed:
            coming = sorted(p for p, to in group.targets.items() if to is self.seat and p not in group.owners)
            group.owners.update(dict.fromkeys(coming, self.seat))
        if coming:
            starts = self._listener.assigned(self.committed(coming))
            for partition in coming:
                start = starts.get(partition)
                self._places[partition] = self._cluster.log(partition).first if start is None else start

    def _let_go(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        if partitions:
            self._listener.revoked(partitions, lost=lost)
        with self._cluster.changed:
            owners = self._cluster.groups[self.seat.group].owners
            for partition in partitions:
                del self._places[partition]
                self._paused.discard(partition)
                if owners.get(partition) is self.seat:
                    del owners[partition]
            self._cluster.changed.notify_all()

    def _find_again(self) -> None:
        """Go on where a log begins if it no longer has what is to be read, and tell of what is missing."""
        for partition, place in sorted(self._places.items()):
            log = self._cluster.log(partition)
            if log.first <= place <= log.end:
                continue
            if place > log.end:
                self._listener.revoked([partition], lost=True)
                self._listener.assigned({partition: None})
                self._paused.discard(partition)
            self._places[partition] = log.first
            self._listener.missed(partition, log.first)

    def _next(self) -> Delivered | None:
        # The partition that was served last comes last, so that none starves another.
        for partition in [p for p in self._places if p not in self._paused]:
            log = self._cluster.log(partition)
            index = log.at(self._places[partition])
            if index < len(log.records):
                record = log.records[index]
                del self._places[partition]
                self._places[partition] = record.offset + 1
                return record
        return None
