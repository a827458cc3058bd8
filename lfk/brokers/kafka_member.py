"""A member of a consumer group that settles: announcements and progress in one Kafka transaction.

The order that makes it safe: one thread polls, is told of revokes and settles, so nothing is ever committed for a
partition that has gone. The group's metadata is fetched anew for every transaction (the broker then refuses members
of an older generation). A commit whose answer got lost is asked again; if that does not clear it up, the producer
is replaced under the same transactional id, which makes the broker finish the old transaction, and the caller is
told by ``SettlementLost`` to read again what was committed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from lfk.brokers.base import Delivered, GroupListener, Partition, Progress, Record
from lfk.brokers.kafka_drain import drain
from lfk.brokers.kafka_errors import kafka_border, mapped
from lfk.brokers.kafka_reader import TopicReader
from lfk.core.errors import BrokerUnreachable, LfkError, SettlementLost, SettlementRefused

log = logging.getLogger(__name__)

#: For single requests to the group's coordinator; a broker that needs longer counts as out of reach.
_REQUEST_SECONDS = 15.0
#: One attempt at committing a transaction; under the broker's `transaction.timeout.ms` (10 s, see kafka.py).
_COMMIT_SECONDS = 5.0
#: A transaction in all. Its single requests have their own, shorter time-outs, but librdkafka (seen with 2.16) now and
#: then never answers one to send offsets whose broker was killed, whatever time-out it was given.
_TRANSACTION_SECONDS = 30.0
#: A commit of progress alone. The broker answers within milliseconds, except while the group is shared out anew: then
#: it waits for all readers, those of this member among them, which this very thread has to poll.
_PROGRESS_SECONDS = 3.0
#: Leaving the group. A reader with a commit that never comes to its end (seen with librdkafka 2.16, where the group was
#: shared out anew as it was sent) would never have left; the broker lets go of it when its session ends.
_LEAVE_SECONDS = 15.0
#: How often a commit without an answer is asked for again before the producer is replaced.
_COMMIT_ATTEMPTS = 3


class KafkaMember:
    """See :class:`lfk.brokers.base.Member`. Owned by one thread."""

    def __init__(
        self,
        readers: Sequence[tuple[Mapping[str, Any], Sequence[str]]],
        producer_config: Mapping[str, Any],
        listener: GroupListener,
        *,
        transactional: bool,
    ) -> None:
        """``readers``: what each is configured with and which topics it reads, in the order of preference."""
        self.transactional = transactional
        self._producer_config = dict(producer_config)
        self._sent: dict[int, Record] = {}
        # Started now: the first one takes a second, which no announcement should wait for.
        self._producer: Producer | None = start_transactions(self._producer_config) if transactional else None
        self._readers = [TopicReader(config, topics, listener) for config, topics in readers]
        self._by_topic = {
            topic: reader for reader, (_config, topics) in zip(self._readers, readers, strict=True) for topic in topics
        }
        #: A commit of progress that has not come to its end yet; nothing may be settled before it has.
        self._late: threading.Thread | None = None
        #: Whose turn it is: each call of poll begins with another reader, so that none is left behind.
        self._turn = 0

    def poll(self, timeout: float) -> Delivered | None:
        self._turn = (self._turn + 1) % len(self._readers)
        for reader in (*self._readers[self._turn :], *self._readers[: self._turn]):
            if (record := reader.poll(0.0)) is not None:
                return record
        # One can be waited for: what is preferred comes at once, the others' within this time.
        return self._readers[0].poll(timeout)

    def pause(self, partitions: Sequence[Partition]) -> None:
        for reader in self._readers:
            reader.pause(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        for reader in self._readers:
            reader.resume(partitions)

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Progress | None]:
        return self._readers[0].committed(partitions)

    def settle(self, outgoing: Sequence[Record], progress: Mapping[Partition, Progress]) -> None:
        self._heed_late_commit()
        places: dict[TopicReader, list[TopicPartition]] = {}
        for partition, mark in progress.items():
            place = TopicPartition(partition.topic, partition.number, mark.offset, mark.note)
            places.setdefault(self._by_topic[partition.topic], []).append(place)
        if self.transactional:
            # Progress alone, too: a consumer's own commit waits for the group where that is being shared out, its
            # client lets nobody else in meanwhile, and the group waits for this very member to poll.
            self._settle_atomically(outgoing, places)
        elif not outgoing:
            self._commit(places)
        else:
            # What was sent before a commit that failed need not be sent again with the next one.
            self._publish([record for record in outgoing if id(record) not in self._sent])
            self._sent = {id(record): record for record in outgoing}
            self._commit(places)
            self._sent = {}

    def leave(self) -> None:
        for reader in self._readers:
            reader.leave()

    def join(self) -> None:
        for reader in self._readers:
            reader.join()

    def close(self) -> None:
        for reader in self._readers:
            if _ends_in(_LEAVE_SECONDS, reader.close) is not None:
                reader.abandon()
                log.warning("leaving the group has no end: its partitions are free when the session is over")
        self._drop_producer()

    # --- settling

    def _commit(self, places: Mapping[TopicReader, list[TopicPartition]]) -> None:
        """By one reader after the other; where a later one is refused, the caller comes again with all of it."""

        def commit() -> None:
            for reader, offsets in places.items():
                reader.commit(offsets)

        if any(reader.called_back for reader in self._readers):
            commit()
            return
        self._late = _ends_in(_PROGRESS_SECONDS, commit)
        if self._late is not None:
            raise SettlementLost(f"committing progress: no answer in {_PROGRESS_SECONDS:.0f} s")

    def _heed_late_commit(self) -> None:
        """A late commit must not land on top of a newer one: until it has ended and been looked at, nothing is settled.

        Raises:
            SettlementRefused: it is still under way.
            SettlementLost: it has ended, and nobody knows how.
        """
        late = self._late
        if late is None:
            return
        if late.is_alive():
            raise SettlementRefused("settling: an earlier commit is still under way")
        self._late = None
        raise SettlementLost("settling: an earlier commit has come to its end late")

    def _settle_atomically(
        self, outgoing: Sequence[Record], places: Mapping[TopicReader, list[TopicPartition]]
    ) -> None:
        producer = self._producer = self._producer or start_transactions(self._producer_config)
        undelivered: list[LfkError] = []
        sent = [(offsets, reader.group_metadata()) for reader, offsets in places.items()]

        def transact() -> None:
            producer.begin_transaction()
            _produce(producer, outgoing, undelivered)
            # What the transaction fails with does not say which record was refused, and why.
            drain(producer, _REQUEST_SECONDS)
            for offsets, metadata in sent:
                producer.send_offsets_to_transaction(offsets, metadata, _REQUEST_SECONDS)
            _commit_transaction(producer)

        try:
            if _ends_in(_TRANSACTION_SECONDS, transact) is not None:
                # Nobody waits for it any more, nor ends it: that would hang as well. Its successor fences it off.
                self._producer = None
                raise SettlementLost(f"settling: no end in {_TRANSACTION_SECONDS:.0f} s")
        except KafkaException as exception:
            ours = undelivered[0] if undelivered else mapped(exception.args[0], "settling")
            aborted = self._abandon(producer, exception.args[0])
            if undelivered:
                # The numbers of the records that were refused are missing now: its next transaction would fail for it.
                self._drop_producer()
            if isinstance(ours, SettlementLost | BrokerUnreachable):
                # Not aborted: it may have gone through, so the caller must look before it settles again.
                raise (SettlementRefused if aborted else SettlementLost)(ours.message) from exception
            raise ours from exception
        except BufferError as exception:
            self._drop_producer()
            raise SettlementLost("settling: the producer's queue is full") from exception

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
        with kafka_border("sending"):
            _produce(self._producer, outgoing, errors)
            left = drain(self._producer, _REQUEST_SECONDS)
        if left:
            self._drop_producer()
            raise BrokerUnreachable(f"sending: {left} records are not confirmed after {_REQUEST_SECONDS:.0f} s")
        if errors:
            raise errors[0]

    def _drop_producer(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer = None


def _commit_transaction(producer: Producer) -> None:
    for attempt in range(1, _COMMIT_ATTEMPTS + 1):
        try:
            producer.commit_transaction(_COMMIT_SECONDS)
        except KafkaException as exception:
            if not exception.args[0].retriable() or attempt == _COMMIT_ATTEMPTS:
                raise
            log.warning("committing again, attempt %d: %s", attempt + 1, exception.args[0].str())
        else:
            return


def _ends_in(seconds: float, do: Callable[[], None]) -> threading.Thread | None:
    """None if ``do`` ends in that time, and what it raises is raised; else the thread that is left to it."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            do()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            raised.append(error)

    thread = threading.Thread(target=run, name="lfk-settle", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return thread
    if raised:
        raise raised[0]
    return None


def _produce(producer: Producer, records: Sequence[Record], errors: list[LfkError]) -> None:
    """Give records to a producer; what becomes of those that fail comes into ``errors`` while it is flushed."""

    def report(error: KafkaError | None, _message: Message) -> None:
        # One that fails takes those behind it along, which are purged when the transaction is aborted.
        if error is not None and error.code() != KafkaError._PURGE_QUEUE:
            errors.append(mapped(error, "sending"))

    for record in records:
        producer.produce(
            record.topic, record.value, record.key, headers=list(record.headers.items()), on_delivery=report
        )


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
