"""The embedded broker: librdkafka's mock cluster, spoken to through the same adapter as a real Kafka.

It lives in memory inside ``lfk demo``, ``lfk up`` or a lone hub. Its limits are stated, not hidden: no transactions
(announcements are at least once), no topic administration (topics appear with four partitions when first used),
and a few megabytes a partition, beyond which it would drop the oldest records. So a sender is refused with
``BrokerFull`` before unread references could be dropped; the store, not this broker, is the memory of the work.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from lfk.brokers.base import Partition, Record, TopicPlan, TopicState
from lfk.brokers.kafka import KafkaBroker
from lfk.brokers.kafka_contact import REQUEST_SECONDS
from lfk.brokers.kafka_errors import kafka_border
from lfk.brokers.kafka_publisher import KafkaPublisher
from lfk.core.errors import BrokerFull

#: librdkafka's mock partition keeps 5 MiB and drops the oldest beyond; we stop well before.
PARTITION_BYTES = 3 << 20
#: What a record costs besides its key and value: batch header, headers, index.
_RECORD_OVERHEAD = 512
#: The mock gives members their session's time-out, less a second, to come back when a group is shared out anew; with
#: librdkafka's default of 45 s every change of the group would hold all of its work up for that long.
_GROUP: Mapping[str, Any] = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}
#: As brokers have it by default: a partition of a few megabytes has no room for larger records.
_RECORD_BYTES = 1048588
#: An embedded broker is on this machine, so it answers at once or not at all.
_CONNECT_SECONDS = 1.0
#: How long a look at the group's progress is good for. At full speed a sender adds far less than the margin in it.
_LOOK_SECONDS = 0.5


def listens(address: str) -> bool:
    """Whether anybody listens at an embedded broker's address: told at once, where librdkafka would keep trying."""
    host, _colon, port = address.partition(",")[0].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False


class MockCluster:
    """Hosts the broker in this process for as long as it is open."""

    def __init__(self) -> None:
        config: dict[str, Any] = {"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 3}
        with kafka_border("starting the embedded broker"):
            self._host: Producer | None = Producer(config)
            brokers = self._host.list_topics(timeout=REQUEST_SECONDS).brokers.values()
        self.address = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def close(self) -> None:
        """Stop it; everything in it is gone."""
        self._host = None


class EmbeddedBroker(KafkaBroker):
    """A running embedded broker, of this process or another one on this machine."""

    def __init__(self, address: str, group: str, topics: Sequence[str], extra: Mapping[str, Any] | None = None) -> None:
        """``topics`` are those whose unread records must never be dropped; ``group`` is who reads them."""
        own = {**_GROUP, "message.max.bytes": _RECORD_BYTES}
        super().__init__({**own, **(extra or {}), "bootstrap.servers": address}, transactional=False)
        self._guarded = frozenset(topics)
        self._group = group

    def publisher(self) -> KafkaPublisher:
        gauge = _Gauge(self._config_for({"group.id": self._group}), self._guarded)
        return _GuardedPublisher(self._config_for({}), gauge)

    def ensure_topics(self, wanted: Sequence[TopicPlan]) -> Sequence[str]:
        # Asking for a topic makes it here; how many partitions it gets is the mock's own decision.
        for plan in wanted:
            self.partitions(plan.name)
        return ()

    def positions(self, topic: str, since: int) -> Mapping[Partition, int]:
        # The mock knows no offsets by time, but it keeps little enough to look through all of it.
        found = {Partition(topic, number): 0 for number in self._numbers(topic)}
        late: set[Partition] = set()
        for record in super().snapshot(topic):
            if record.partition not in late:
                found[record.partition] = record.offset + (record.timestamp < since)
            if record.timestamp >= since:
                late.add(record.partition)
        return found

    def describe(self, topics: Sequence[str]) -> Mapping[str, TopicState]:
        # It tells no configuration, and the first look at a topic only makes it.
        return {name: TopicState(len(self._numbers(name))) for name in topics}

    def _read_together(self, topics: Sequence[str]) -> Sequence[Sequence[str]]:
        # Mostly one hub reads it, which would wait a second for each further consumer to be let in.
        return [topics]

    def trim(self, done: Mapping[Partition, int]) -> None:
        """The mock deletes no records; it drops the oldest by itself."""

    def _numbers(self, topic: str) -> list[int]:
        self.partitions(topic)
        return super()._numbers(topic)


class _GuardedPublisher(KafkaPublisher):
    """Refuses what would push unread records out."""

    def __init__(self, config: Mapping[str, Any], gauge: _Gauge) -> None:
        super().__init__(config)
        self._gauge = gauge

    def send(self, record: Record, confirmed: Callable[[Exception | None], None]) -> None:
        self._gauge.admit(record)
        super().send(record, confirmed)

    def close(self) -> None:
        super().close()
        self._gauge.close()


class _Gauge:
    """How full the guarded topics are: unread records × the largest record seen, at worst all in one partition."""

    def __init__(self, config: Mapping[str, Any], guarded: frozenset[str]) -> None:
        self._consumer = Consumer({"enable.auto.commit": False, **config})
        self._guarded = guarded
        self._lock = threading.Lock()
        self._unread: dict[str, int] = {}
        self._looked: dict[str, float] = {}
        self._largest = 1024

    def admit(self, record: Record) -> None:
        """Count one record in.

        Raises:
            BrokerFull: there is no room for it.
        """
        if record.topic not in self._guarded:
            return
        with self._lock:
            self._largest = max(self._largest, len(record.value or b"") + len(record.key or b"") + _RECORD_OVERHEAD)
            now = time.monotonic()
            if now - self._looked.get(record.topic, -_LOOK_SECONDS) >= _LOOK_SECONDS:
                self._unread[record.topic] = self._look(record.topic)
                self._looked[record.topic] = now
            if (self._unread[record.topic] + 1) * self._largest > PARTITION_BYTES:
                raise BrokerFull(f"{record.topic}: {self._unread[record.topic]} references wait in the embedded broker")
            self._unread[record.topic] += 1

    def close(self) -> None:
        self._consumer.close()

    def _look(self, topic: str) -> int:
        """Unread records in the fullest partition."""
        with kafka_border(f"measuring {topic}"):
            numbers = self._consumer.list_topics(topic, timeout=REQUEST_SECONDS).topics[topic].partitions
            partitions = [TopicPartition(topic, number) for number in numbers]
            fullest = 0
            for tp in self._consumer.committed(partitions, timeout=REQUEST_SECONDS):
                low, high = self._consumer.get_watermark_offsets(tp, timeout=REQUEST_SECONDS)
                fullest = max(fullest, high - max(low, tp.offset))
        return fullest
