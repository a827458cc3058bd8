"""One topic of a group's member: its consumer, and the partitions that the group gave it.

A member has a reader for each topic, as the group's cooperative-sticky assignment evens out what a member has in all:
with one consumer for several topics, one hub may get all of the fresh work and another all of the retries.

A partition is told of as assigned only when what the group has committed there is known. Mostly that is at once, inside
the callback. A hub that was killed amid a transaction leaves offsets unstable until the broker has aborted it; then the
partition stands still, and every later poll asks again. Nothing else has to wait for that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from lfk.brokers.base import Delivered, GroupListener, Partition, Progress
from lfk.brokers.kafka_errors import kafka_border, mapped
from lfk.core.errors import BrokerUnreachable, InstanceTaken

log = logging.getLogger(__name__)

#: While a group shares its partitions out, its coordinator answers no question, and the member's thread has to poll for
#: it to get done: so a look at the progress gives up soon and is taken again.
LOOK_SECONDS = 5.0
#: Later looks at partitions whose progress was not to be had: each holds the member's thread up.
_LATER_LOOK_SECONDS = 1.0
#: Between two of these.
_PAUSE_SECONDS = 0.5


class TopicReader:
    """Owned by the member's thread."""

    def __init__(self, config: Mapping[str, Any], topics: Sequence[str], listener: GroupListener) -> None:
        """``config`` is librdkafka's; several topics only for brokers where that does no harm."""
        self._topics = list(topics)
        self._listener = listener
        self._instance = config.get("group.instance.id")
        #: Partitions that the listener knows of, those that wait until their progress is known, and where each of the
        #: former is read next.
        self._known: set[Partition] = set()
        self._arriving: set[Partition] = set()
        self._next: dict[Partition, int] = {}
        #: Partitions that do not hold what is to be read next.
        self._astray: set[Partition] = set()
        self._ask_at = 0.0
        self._closing = False
        #: Within a callback of the consumer, where only the thread that is called can commit.
        self.called_back = False
        self._abandoned = False
        with kafka_border("joining the group"):
            self._consumer = Consumer(dict(config))
        self.join()

    def poll(self, timeout: float) -> Delivered | None:
        """See :class:`lfk.brokers.base.Member`."""
        if self._arriving and time.monotonic() >= self._ask_at:
            self._take_over_late()
        for partition in tuple(self._astray):
            self._find_again(partition)
        with kafka_border("reading from the broker"):
            message = self._consumer.poll(timeout)
        if message is None:
            return None
        error = message.error()
        if error is None:
            record = delivered(message)
            if record.partition in self._arriving:
                # Fetched before the pause; it comes again once the partition is taken over.
                return None
            self._next[record.partition] = record.offset + 1
            return record
        self._heed(error, message)
        return None

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Deliver nothing of these; what is not this reader's is passed over."""
        self._consumer.pause(self._owned(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Undo :meth:`pause`."""
        self._consumer.resume(self._owned(partitions))

    def committed(
        self, partitions: Sequence[Partition], seconds: float = LOOK_SECONDS
    ) -> Mapping[Partition, Progress | None]:
        """What the group has committed, of whichever topic."""
        if not partitions:
            # The broker never answers a request for nothing, and every later one of this member waits behind it.
            return {}
        with kafka_border("reading the group's progress"):
            answer = self._consumer.committed([_place(p) for p in partitions], timeout=seconds)
        return {Partition(tp.topic, tp.partition): _progress(tp) for tp in answer}

    def commit(self, offsets: list[TopicPartition]) -> None:
        """Commit progress in one request, which the broker refuses for members of an old generation."""
        with kafka_border("committing progress"):
            answer = self._consumer.commit(offsets=offsets, asynchronous=False) or []
        for tp in answer:
            if tp.error is not None:
                raise mapped(tp.error, "committing progress")

    def group_metadata(self) -> Any:
        """Who this is in the group, now: for a transaction."""
        return self._consumer.consumer_group_metadata()

    def leave(self) -> None:
        """Give every partition to the rest of the group."""
        with kafka_border("leaving the group"):
            self._consumer.unsubscribe()

    def join(self) -> None:
        """Ask for partitions."""
        with kafka_border("joining the group"):
            self._consumer.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )

    def close(self) -> None:
        """Leave the group; partitions are revoked first."""
        self._closing = True
        with kafka_border("leaving the group"):
            self._consumer.close()

    def abandon(self) -> None:
        """Nobody waits for :meth:`close` any more: the listener is told nothing that it may still bring."""
        self._abandoned = True

    def _heed(self, error: KafkaError, message: Message) -> None:
        """An error in place of a record: raise it, unless librdkafka or the next poll sees to it."""
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._astray.add(Partition(message.topic() or "", message.partition() or 0))
            return
        if error.code() == KafkaError._FATAL and self._instance:
            # librdkafka does not say which fatal error it is; a static member of this protocol has only this one.
            raise InstanceTaken(f"another member of the group is called {self._instance}")
        ours = mapped(error, "reading from the broker")
        if not isinstance(ours, BrokerUnreachable):
            raise ours
        # librdkafka goes on trying by itself; an outage costs nothing but time.
        log.warning("%s", ours)

    # --- group life, inside poll

    def _on_assign(self, consumer: Consumer, added: list[TopicPartition]) -> None:
        if self._closing:
            # librdkafka may hand out what was just granted while it leaves; nobody is there to take it.
            return
        arriving = [Partition(tp.topic, tp.partition) for tp in added]
        try:
            committed = self.committed(arriving)
        except BrokerUnreachable as error:
            log.info("taking over partitions waits: %s", error)
            for tp in added:
                tp.offset = OFFSET_BEGINNING
            consumer.incremental_assign(added)
            consumer.pause(added)
            self._arriving.update(arriving)
            self._ask_at = time.monotonic() + _PAUSE_SECONDS
            return
        consumer.incremental_assign(self._starts(committed))
        # librdkafka remembers a pause of ours through a revoke; whoever takes a partition over begins without one.
        consumer.resume(added)

    def _take_over_late(self) -> None:
        """Ask again for the progress of partitions that stand still for want of it."""
        arriving = sorted(self._arriving)
        try:
            committed = self.committed(arriving, _LATER_LOOK_SECONDS)
        except BrokerUnreachable as error:
            log.info("taking over partitions still waits: %s", error)
            self._ask_at = time.monotonic() + _PAUSE_SECONDS
            return
        self._arriving.clear()
        self._move([_place(partition) for partition in arriving], self._starts(committed))

    def _starts(self, committed: Mapping[Partition, Progress | None]) -> list[TopicPartition]:
        """Tell the listener of its partitions; where each is to be read from."""
        starts = self._listener.assigned(committed)
        self._known.update(committed)
        places = []
        for partition in committed:
            start = starts.get(partition)
            self._next[partition] = start or 0
            places.append(_place(partition, OFFSET_BEGINNING if start is None else start))
        return places

    def _move(self, old: list[TopicPartition], new: list[TopicPartition]) -> None:
        """Read partitions from elsewhere. A seek is refused where fetching stands still."""
        with kafka_border("going on elsewhere"):
            self._consumer.incremental_unassign(old)
            self._consumer.incremental_assign(new)
            self._consumer.resume(new)

    def _on_revoke(self, consumer: Consumer, gone: list[TopicPartition]) -> None:
        self._let_go(consumer, gone, lost=False)

    def _on_lost(self, consumer: Consumer, gone: list[TopicPartition]) -> None:
        self._let_go(consumer, gone, lost=True)

    def _let_go(self, consumer: Consumer, gone: list[TopicPartition], *, lost: bool) -> None:
        partitions = [Partition(tp.topic, tp.partition) for tp in gone]
        known = [partition for partition in partitions if partition in self._known]
        if known and not self._abandoned:
            self.called_back = True
            try:
                self._listener.revoked(known, lost=lost)
            finally:
                self.called_back = False
        for held in (self._known, self._arriving, self._astray):
            held.difference_update(partitions)
        consumer.incremental_unassign(gone)

    def _find_again(self, partition: Partition) -> None:
        """Go on at the first record that there is, and tell of those that are not."""
        if partition not in self._known:
            self._astray.discard(partition)
            return
        place = _place(partition)
        try:
            with kafka_border(f"looking for the beginning of {partition.topic}/{partition.number}"):
                first, end = self._consumer.get_watermark_offsets(place, timeout=LOOK_SECONDS)
        except BrokerUnreachable as error:
            log.warning("%s", error)
            return
        self._astray.discard(partition)
        if self._next[partition] > end:
            # The topic was made anew, so what was known of its offsets is true of others.
            self._listener.revoked([partition], lost=True)
            self._listener.assigned({partition: None})
        self._move([place], [_place(partition, first)])
        self._next[partition] = first
        self._listener.missed(partition, first)

    def _owned(self, partitions: Sequence[Partition]) -> list[TopicPartition]:
        return [_place(partition) for partition in partitions if partition in self._known]


def delivered(message: Message) -> Delivered:
    """A message without an error as ours."""
    kind, timestamp = message.timestamp()
    # A message without an error always has these; librdkafka's types allow for events that are none.
    return Delivered(
        partition=Partition(message.topic() or "", message.partition() or 0),
        offset=message.offset() or 0,
        timestamp=timestamp if kind else 0,
        key=_raw(message.key()),
        value=_raw(message.value()),
        headers={name: _raw(value) or b"" for name, value in _headers(message)},
    )


def _headers(message: Message) -> list[tuple[str, str | bytes | None]]:
    headers = message.headers() or []
    return list(headers.items()) if isinstance(headers, dict) else list(headers)


def _raw(value: str | bytes | None) -> bytes | None:
    return value.encode("utf-8") if isinstance(value, str) else value


def _progress(tp: TopicPartition) -> Progress | None:
    if tp.error is not None:
        raise mapped(tp.error, "reading the group's progress")
    if tp.offset == OFFSET_INVALID or tp.offset < 0:
        return None
    return Progress(tp.offset, tp.metadata or "")


def _place(partition: Partition, offset: int = OFFSET_INVALID) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number, offset)
