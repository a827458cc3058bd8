"""What the topics hold and the group has committed, asked with Kafka's own client and as little of lfk as can be."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from lfk.core.identity import event_id
from lfk.core.ledger import Ledger

#: A broker that has just been started answers within seconds; a busy machine is slow.
_ANSWER_SECONDS = 30.0
#: Transactions of killed hubs end after their time-out (10 s) and a look-round of the broker (10 s by default).
_STABLE_SECONDS = 60.0
_QUIET: Mapping[str, Any] = {"log_level": 0}


#: Topic, partition, offset.
Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it lies in a topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]

    @property
    def place(self) -> Place:
        """Where it lies."""
        return self.topic, self.partition, self.offset

    @property
    def event_id(self) -> str:
        """Who it is as a reference that first arrived here."""
        return event_id(self.topic, self.partition, self.offset, self.timestamp, self.key)

    @property
    def data(self) -> dict[str, Any]:
        """Its value as JSON."""
        data: dict[str, Any] = json.loads(self.value)
        return data


class Follower:
    """Reads topics on and on in read_committed, whatever the broker goes through."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self._consumer = _consumer(bootstrap)
        self._consumer.assign([tp for topic in topics for tp in _from_the_beginning(self._consumer, topic)])

    def read_on(self, seconds: float) -> list[Entry]:
        """What has come within ``seconds``; errors are outages, which librdkafka ends by itself."""
        return [_entry(message) for message in self._consumer.consume(500, seconds) if message.error() is None]

    def close(self) -> None:
        """Let go."""
        self._consumer.close()


def snapshot(bootstrap: str, topic: str) -> list[Entry]:
    """Every record that a reader in read_committed can ever see of what is in the topic now.

    Waits until no transaction is open in it: a reader would stop at the first open one.
    """
    with _consuming(bootstrap) as consumer:
        starts = _from_the_beginning(consumer, topic)
        _wait_until_stable(bootstrap, topic)
        consumer.assign(starts)
        unread = {tp.partition for tp in starts}
        entries = []
        deadline = time.monotonic() + _STABLE_SECONDS
        while unread:
            assert time.monotonic() < deadline, f"{topic} cannot be read to its end"
            message = consumer.poll(_ANSWER_SECONDS)
            if message is None:
                continue
            error = message.error()
            if error is None:
                entries.append(_entry(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
        return entries


def settled(bootstrap: str, group: str, entries: Sequence[Entry]) -> Mapping[Place, bool]:
    """For each record of the hubs' topics whether the group is done with it."""
    wanted = sorted({(entry.topic, entry.partition) for entry in entries})
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*one) for one in wanted])
    # Held by a name: a client that goes takes its unanswered questions along.
    admin = AdminClient({**_QUIET, "bootstrap.servers": bootstrap})
    answer = admin.list_consumer_group_offsets([asked])
    ledgers = {}
    for tp in answer[group].result(_ANSWER_SECONDS).topic_partitions:
        ledgers[tp.topic, tp.partition] = Ledger.load(tp.offset if tp.offset >= 0 else None, tp.metadata or "")
    return {entry.place: ledgers[entry.topic, entry.partition].settled(entry.offset) for entry in entries}


def open_transactions(bootstrap: str, topic: str) -> list[str]:
    """Partitions in which a transaction is open: where each ends for readers in read_committed, and in truth."""
    admin = AdminClient({**_QUIET, "bootstrap.servers": bootstrap})
    wanted = [
        TopicPartition(topic, number) for number in admin.list_topics(topic, _ANSWER_SECONDS).topics[topic].partitions
    ]
    ends = [
        {
            tp.partition: future.result(_ANSWER_SECONDS).offset
            for tp, future in admin.list_offsets(
                dict.fromkeys(wanted, OffsetSpec.latest()), isolation_level=level
            ).items()
        }
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    ]
    return [
        f"{topic}/{number}: readable to {end} of {ends[1][number]}"
        for number, end in ends[0].items()
        if end != ends[1][number]
    ]


def _wait_until_stable(bootstrap: str, topic: str) -> None:
    deadline = time.monotonic() + _STABLE_SECONDS
    while still_open := open_transactions(bootstrap, topic):
        assert time.monotonic() < deadline, f"a transaction stays open: {', '.join(still_open)}"
        time.sleep(0.5)


def _from_the_beginning(consumer: Consumer, topic: str) -> list[TopicPartition]:
    deadline = time.monotonic() + _STABLE_SECONDS
    while time.monotonic() < deadline:
        try:
            found = consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic]
        except KafkaException:
            continue
        if found.error is None:
            return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in found.partitions]
        # Created a moment ago, and not yet known to every part of the broker.
        time.sleep(0.1)
    raise AssertionError(f"{topic} cannot be looked up")


@contextmanager
def _consuming(bootstrap: str) -> Iterator[Consumer]:
    consumer = _consumer(bootstrap)
    try:
        yield consumer
    finally:
        consumer.close()


def _consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {
            **_QUIET,
            "bootstrap.servers": bootstrap,
            "group.id": "chaos-reads-without-a-group",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "reconnect.backoff.max.ms": 1000,
        }
    )


def _entry(message: Message) -> Entry:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Entry(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        _raw(message.key()),
        _raw(message.value()) or b"",
        {name: _raw(value) or b"" for name, value in pairs},
    )


def _raw(value: str | bytes | None) -> bytes | None:
    return value.encode("utf-8") if isinstance(value, str) else value
