"""A member of a consumer group that settles: announcements and progress in one Kafka transaction.

The order that makes it safe: one thread polls, is told of revokes and settles, so nothing is ever committed for a
partition that has gone. The group's metadata is fetched anew for every transaction (the broker then refuses members
of an older generation). A commit whose answer got lost is asked again; if that does not clear it up, the producer
is replaced under the same transactional id, which makes the broker finish the old transaction, and the caller is
told by ``SettlementLost`` to read again what was committed.
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
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from lfk.brokers.base import Delivered, GroupListener, Partition, Progress, Record
from lfk.brokers.kafka_errors import kafka_border, mapped
from lfk.core.errors import BrokerUnreachable, InstanceTaken, LfkError, SettlementLost, SettlementRefused

log = logging.getLogger(__name__)

#: For single requests to the group's coordinator; a broker that needs longer counts as out of reach.
_REQUEST_SECONDS = 15.0
#: While a group shares its partitions out, its coordinator answers no question, and this thread has to poll for it to
#: get done: so a look at the progress gives up soon and is taken again.
_LOOK_SECONDS = 5.0
#: A killed hub's transaction times out after 10 s, and brokers look for such every 10 s; outages take longer. Under
#: `max.poll.interval.ms` (300 s), after which the group would give this member up.
_TAKE_OVER_SECONDS = 240.0
#: One attempt at committing a transaction; under the broker's `transaction.timeout.ms` (10 s, see kafka.py).
_COMMIT_SECONDS = 5.0
#: How often a commit without an answer is asked for again before the producer is replaced.
_COMMIT_ATTEMPTS = 3


class KafkaMember:
    """See :class:`lfk.brokers.base.Member`. Owned by one thread."""

    def __init__(
        self,
        consumer_config: Mapping[str, Any],
        producer_config: Mapping[str, Any],
        topics: Sequence[str],
        listener: GroupListener,
        *,
        transactional: bool,
    ) -> None:
        self.transactional = transactional
        self._producer_config = dict(producer_config)
        self._sent: dict[int, Record] = {}
        self._listener = listener
        self._topics = list(topics)
        #: Partitions that the listener knows of.
        self._known: set[Partition] = set()
        #: Where each is read next.
        self._next: dict[Partition, int] = {}
        #: Partitions that do not hold what is to be read next.
        self._astray: set[Partition] = set()
        self._closing = False
        self._instance = consumer_config.get("group.instance.id")
        # Started now: the first one takes a second, which no announcement should wait for.
        self._producer: Producer | None = start_transactions(self._producer_config) if transactional else None
        with kafka_border("joining the group"):
            self._consumer = Consumer(dict(consumer_config))
        self.join()

    def poll(self, timeout: float) -> Delivered | None:
        for partition in tuple(self._astray):
            self._find_again(partition)
        with kafka_border("reading from the broker"):
            message = self._consumer.poll(timeout)
        if message is None:
            return None
        error = message.error()
        if error is None:
            record = delivered(message)
            self._next[record.partition] = record.offset + 1
            return record
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._astray.add(Partition(message.topic() or "", message.partition() or 0))
            return None
        if error.code() == KafkaError._FATAL and self._instance:
            # librdkafka does not say which fatal error it is; a static member of this protocol has only this one.
            raise InstanceTaken(f"another member of the group is called {self._instance}")
        ours = mapped(error, "reading from the broker")
        if isinstance(ours, BrokerUnreachable):
            # librdkafka goes on trying by itself; an outage costs nothing but time.
            log.warning("%s", ours)
            return None
        raise ours

    def pause(self, partitions: Sequence[Partition]) -> None:
        self._consumer.pause(self._owned(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        self._consumer.resume(self._owned(partitions))

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Progress | None]:
        if not partitions:
            # The broker never answers a request for nothing, and every later one of this member waits behind it.
            return {}
        with kafka_border("reading the group's progress"):
            answer = self._consumer.committed(
                [TopicPartition(p.topic, p.number) for p in partitions], timeout=_LOOK_SECONDS
            )
        return {Partition(tp.topic, tp.partition): _progress(tp) for tp in answer}

    def settle(self, outgoing: Sequence[Record], progress: Mapping[Partition, Progress]) -> None:
        offsets = [TopicPartition(p.topic, p.number, mark.offset, mark.note) for p, mark in progress.items()]
        if not outgoing:
            # Progress alone needs no transaction: one request, refused by the broker for members of an old generation.
            self._commit(offsets)
        elif self.transactional:
            self._settle_atomically(outgoing, offsets)
        else:
            # What was sent before a commit that failed need not be sent again with the next one.
            self._publish([record for record in outgoing if id(record) not in self._sent])
            self._sent = {id(record): record for record in outgoing}
            self._commit(offsets)
            self._sent = {}

    def leave(self) -> None:
        with kafka_border("leaving the group"):
            self._consumer.unsubscribe()

    def join(self) -> None:
        with kafka_border("joining the group"):
            self._consumer.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )

    def close(self) -> None:
        self._closing = True
        with kafka_border("leaving the group"):
            self._consumer.close()
        self._drop_producer()

    # --- group life, inside poll

    def _on_assign(self, consumer: Consumer, added: list[TopicPartition]) -> None:
        if self._closing:
            # librdkafka may hand out what was just granted while it leaves; nobody is there to take it.
            return
        starts = self._listener.assigned(self._standing([Partition(tp.topic, tp.partition) for tp in added]))
        for tp in added:
            partition = Partition(tp.topic, tp.partition)
            start = starts.get(partition)
            tp.offset = OFFSET_BEGINNING if start is None else start
            self._next[partition] = start or 0
        consumer.incremental_assign(added)
        self._known.update(Partition(tp.topic, tp.partition) for tp in added)

    def _standing(self, partitions: Sequence[Partition]) -> Mapping[Partition, Progress | None]:
        """What is committed of partitions that are being taken over, waited for through short outages.

        A hub that was killed amid a transaction leaves offsets unstable until the broker has aborted it, and nothing
        may start before they are known.
        """
        deadline = time.monotonic() + _TAKE_OVER_SECONDS
        while True:
            try:
                return self.committed(partitions)
            except BrokerUnreachable as error:
                if time.monotonic() > deadline:
                    raise
                log.info("taking over partitions waits: %s", error)

    def _on_revoke(self, consumer: Consumer, gone: list[TopicPartition]) -> None:
        self._let_go(consumer, gone, lost=False)

    def _on_lost(self, consumer: Consumer, gone: list[TopicPartition]) -> None:
        self._let_go(consumer, gone, lost=True)

    def _let_go(self, consumer: Consumer, gone: list[TopicPartition], *, lost: bool) -> None:
        known = [p for tp in gone if (p := Partition(tp.topic, tp.partition)) in self._known]
        if known:
            self._listener.revoked(known, lost=lost)
            self._known.difference_update(known)
            self._astray.difference_update(known)
        consumer.incremental_unassign(gone)

    def _find_again(self, partition: Partition) -> None:
        """Go on at the first record that there is, and tell of those that are not."""
        if partition not in self._known:
            self._astray.discard(partition)
            return
        place = TopicPartition(partition.topic, partition.number)
        try:
            with kafka_border(f"looking for the beginning of {partition.topic}/{partition.number}"):
                place.offset, end = self._consumer.get_watermark_offsets(place, timeout=_LOOK_SECONDS)
                # A seek is refused where fetching has stopped for want of a place.
                self._consumer.incremental_unassign([place])
                self._consumer.incremental_assign([place])
        except BrokerUnreachable as error:
            log.warning("%s", error)
            return
        self._astray.discard(partition)
        if self._next[partition] > end:
            # The topic was made anew, so what was known of its offsets is true of others.
            self._listener.revoked([partition], lost=True)
            self._listener.assigned({partition: None})
        self._next[partition] = place.offset
        self._listener.missed(partition, place.offset)

    def _owned(self, partitions: Sequence[Partition]) -> list[TopicPartition]:
        owned = {(tp.topic, tp.partition) for tp in self._consumer.assignment()}
        return [TopicPartition(p.topic, p.number) for p in partitions if (p.topic, p.number) in owned]

    # --- settling

    def _commit(self, offsets: list[TopicPartition]) -> None:
        with kafka_border("committing progress"):
            answer = self._consumer.commit(offsets=offsets, asynchronous=False) or []
        for tp in answer:
            if tp.error is not None:
                raise mapped(tp.error, "committing progress")

    def _settle_atomically(self, outgoing: Sequence[Record], offsets: list[TopicPartition]) -> None:
        producer = self._producer = self._producer or start_transactions(self._producer_config)
        try:
            producer.begin_transaction()
            for record in outgoing:
                producer.produce(record.topic, record.value, record.key, headers=list(record.headers.items()))
            producer.send_offsets_to_transaction(offsets, self._consumer.consumer_group_metadata(), _REQUEST_SECONDS)
            self._commit_transaction(producer)
        except KafkaException as exception:
            ours = mapped(exception.args[0], "settling")
            aborted = self._abandon(producer, exception.args[0])
            if isinstance(ours, SettlementLost | BrokerUnreachable):
                # Not aborted: it may have gone through, so the caller must look before it settles again.
                raise (SettlementRefused if aborted else SettlementLost)(ours.message) from exception
            raise ours from exception
        except BufferError as exception:
            self._drop_producer()
            raise SettlementLost("settling: the producer's queue is full") from exception

    def _commit_transaction(self, producer: Producer) -> None:
        for attempt in range(1, _COMMIT_ATTEMPTS + 1):
            try:
                producer.commit_transaction(_COMMIT_SECONDS)
            except KafkaException as exception:
                if not exception.args[0].retriable() or attempt == _COMMIT_ATTEMPTS:
                    raise
                log.warning("committing again, attempt %d: %s", attempt + 1, exception.args[0].str())
            else:
                return

    def _abandon(self, producer: Producer, error: KafkaError) -> bool:
        """Abort the transaction, or else the producer; whether it was the former, so that nothing of it counts."""
        if error.txn_requires_abort():
            try:
                producer.abort_transaction(_REQUEST_SECONDS)
            except KafkaException as exception:
                log.warning("aborting a transaction failed, its producer is replaced: %s", exception.args[0].str())
            else:
                return True
        self._drop_producer()
        return False

    def _publish(self, outgoing: Sequence[Record]) -> None:
        """Records first, each confirmed, for brokers without transactions."""
        if self._producer is None:
            self._producer = Producer(self._producer_config)
        errors: list[LfkError] = []

        def report(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                errors.append(mapped(error, "sending"))

        with kafka_border("sending"):
            for record in outgoing:
                self._producer.produce(
                    record.topic, record.value, record.key, headers=list(record.headers.items()), on_delivery=report
                )
            left = self._producer.flush(_REQUEST_SECONDS)
        if left:
            self._drop_producer()
            raise BrokerUnreachable(f"sending: {left} records are not confirmed after {_REQUEST_SECONDS:.0f} s")
        if errors:
            raise errors[0]

    def _drop_producer(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer = None


def start_transactions(config: Mapping[str, Any]) -> Producer:
    """A producer whose transactions the broker has granted; waits a while for a coordinator that is starting."""
    deadline = time.monotonic() + _REQUEST_SECONDS
    with kafka_border("starting transactions"):
        producer = Producer(dict(config))
        while True:
            try:
                producer.init_transactions(_COMMIT_SECONDS)
                break
            except KafkaException as exception:
                if not exception.args[0].retriable() or time.monotonic() > deadline:
                    raise
    return producer


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
