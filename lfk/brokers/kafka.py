"""Apache Kafka and anything that speaks its protocol, through confluent-kafka."""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from lfk.brokers.base import Delivered, GroupListener, TopicPlan
from lfk.brokers.kafka_errors import kafka_border, mapped
from lfk.brokers.kafka_member import KafkaMember, delivered
from lfk.brokers.kafka_publisher import KafkaPublisher
from lfk.core.errors import BrokerError, BrokerUnreachable, TopicMissing

log = logging.getLogger(__name__)

#: How long a broker may take to answer before it counts as out of reach; people wait for this.
REQUEST_SECONDS = 10.0

_COMMON: Mapping[str, Any] = {
    "client.id": f"lfk@{socket.gethostname()}",
    "socket.keepalive.enable": True,
    "reconnect.backoff.max.ms": 5000,
    # Warnings and worse; lfk reports outages itself.
    "log_level": 4,
}
_PRODUCER: Mapping[str, Any] = {
    "enable.idempotence": True,
    "linger.ms": 5,
    "compression.type": "lz4",
    # Bounds what waits in memory while a broker is away.
    "queue.buffering.max.messages": 20000,
    "queue.buffering.max.kbytes": 65536,
    # After this a record counts as not sent; the sender keeps it and tries again or says so.
    "message.timeout.ms": 30000,
}
_CONSUMER: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "partition.assignment.strategy": "cooperative-sticky",
    # References are small: a short queue keeps a paused hub's memory flat and lets others take over sooner.
    "queued.max.messages.kbytes": 4096,
    "fetch.message.max.bytes": 1048576,
    "fetch.wait.max.ms": 100,
}
#: No work is done inside a transaction, so a short time-out only bounds how long a dead hub holds readers up.
_TRANSACTION_TIMEOUT_MS = 10000


class KafkaBroker:
    """See :class:`lfk.brokers.base.Broker`. ``config`` holds librdkafka's own names, ``bootstrap.servers`` included."""

    def __init__(self, config: Mapping[str, Any], *, transactional: bool = True) -> None:
        self._config = {**_COMMON, "logger": log, **config}
        self._transactional = transactional
        self.address = str(config["bootstrap.servers"])

    def publisher(self) -> KafkaPublisher:
        return KafkaPublisher({**self._config_for(_PRODUCER)})

    def member(self, group: str, topics: Sequence[str], listener: GroupListener) -> KafkaMember:
        producer = self._config_for(_PRODUCER)
        if self._transactional:
            # A transactional producer's own time-out must cover its records' time-out.
            producer["transactional.id"] = f"{group}-{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
            producer["transaction.timeout.ms"] = _TRANSACTION_TIMEOUT_MS
            producer["message.timeout.ms"] = _TRANSACTION_TIMEOUT_MS
        consumer = {**self._config_for(_CONSUMER), "group.id": group}
        return KafkaMember(consumer, producer, topics, listener, transactional=self._transactional)

    def snapshot(self, topic: str, since: int | None = None) -> Iterator[Delivered]:
        config = {**self._config_for(_CONSUMER), "group.id": f"lfk-snapshot-{uuid.uuid4().hex[:12]}"}
        config["enable.partition.eof"] = True
        del config["partition.assignment.strategy"]
        with kafka_border(f"reading {topic}"):
            consumer = Consumer(config)
        try:
            with kafka_border(f"reading {topic}"):
                waiting = self._seek(consumer, topic, since)
            while waiting:
                with kafka_border(f"reading {topic}"):
                    message = consumer.poll(REQUEST_SECONDS)
                if message is None:
                    raise BrokerUnreachable(f"reading {topic}: no answer in {REQUEST_SECONDS:.0f} s")
                error = message.error()
                if error is None:
                    yield delivered(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(message.partition())
                else:
                    raise mapped(error, f"reading {topic}")
        finally:
            consumer.close()

    def ensure_topics(self, wanted: Sequence[TopicPlan]) -> Sequence[str]:
        with kafka_border("listing topics"):
            admin = AdminClient(self._config)
            there = admin.list_topics(timeout=REQUEST_SECONDS).topics
        missing = [
            NewTopic(plan.name, plan.partitions, plan.replication or -1, config=dict(plan.config))
            for plan in wanted
            if plan.name not in there
        ]
        created = []
        for name, future in (admin.create_topics(missing) if missing else {}).items():
            try:
                future.result(REQUEST_SECONDS)
            except KafkaException as exception:
                # Somebody else created it in between: what we wanted.
                if exception.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise mapped(exception.args[0], f"creating {name}") from exception
            except TimeoutError as exception:
                raise BrokerUnreachable(f"creating {name}: no answer in {REQUEST_SECONDS:.0f} s") from exception
            else:
                created.append(name)
        return created

    def partitions(self, topic: str) -> int:
        with kafka_border(f"looking up {topic}"):
            found = AdminClient(self._config).list_topics(topic, timeout=REQUEST_SECONDS).topics.get(topic)
        return 0 if found is None or found.error is not None else len(found.partitions)

    def check(self) -> str:
        with kafka_border("asking the broker"):
            metadata = AdminClient(self._config).list_topics(timeout=REQUEST_SECONDS)
        return f"{len(metadata.brokers)} broker(s), cluster {metadata.cluster_id}"

    def close(self) -> None:
        """Nothing is held between calls."""

    def _config_for(self, role: Mapping[str, Any]) -> dict[str, Any]:
        # The operator's own settings win over ours.
        return {**role, **self._config}

    def _seek(self, consumer: Consumer, topic: str, since: int | None) -> set[int]:
        """Assign every partition at its start; returns the partitions that are not yet at their end."""
        found = consumer.list_topics(topic, timeout=REQUEST_SECONDS).topics[topic]
        if found.error is not None:
            raise TopicMissing(f"there is no topic {topic}")
        if since is None:
            starts = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in found.partitions]
        else:
            times = [TopicPartition(topic, number, since) for number in found.partitions]
            starts = consumer.offsets_for_times(times, timeout=REQUEST_SECONDS)
            for tp in starts:
                if tp.error is not None:
                    raise BrokerError(f"finding {topic} by time: {tp.error.str()}")
                if tp.offset < 0:
                    tp.offset = OFFSET_END
        consumer.assign(starts)
        return {tp.partition for tp in starts}
