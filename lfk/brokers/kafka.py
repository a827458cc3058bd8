"""Apache Kafka and anything that speaks its protocol, through confluent-kafka."""

from __future__ import annotations

import logging
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._metadata import ClusterMetadata, TopicMetadata
from confluent_kafka.cimpl import RESOURCE_TOPIC, NewTopic

from lfk.brokers import kafka_log
from lfk.brokers.base import Delivered, GroupListener, Partition, Progress, Standing, TopicPlan, TopicState
from lfk.brokers.kafka_contact import REQUEST_SECONDS, Contact
from lfk.brokers.kafka_errors import kafka_border, mapped
from lfk.brokers.kafka_member import KafkaMember, start_transactions
from lfk.brokers.kafka_publisher import KafkaPublisher
from lfk.brokers.kafka_reader import delivered
from lfk.core.errors import BrokerDenied, BrokerUnreachable, TopicMissing

log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: How long a follower waits for the next record before its caller may look at other things.
_FOLLOW_SECONDS = 0.2
#: Between looks whether topics that were made have leaders, which takes a fraction of a second.
_LEADER_SECONDS = 0.05

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
    # How large a record may be is the topic's to say: the one of dead letters takes more than others.
    "message.max.bytes": 64 << 20,
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

    def __init__(self, config: Mapping[str, Any], *, transactional: bool = True, instance: str = "") -> None:
        """``instance``: static name of a group's member, which keeps its partitions over a restart; may be empty."""
        self._config = {**_COMMON, "logger": kafka_log.log, **config}
        self._transactional = transactional
        self._instance = instance
        self._contact = Contact(self._config)
        protocol = str(config.get("security.protocol", "plaintext")).upper()
        #: Without security there is nothing that a cluster could refuse.
        self._admitted = protocol == "PLAINTEXT"
        self._security = "" if self._admitted else f" over {protocol}"
        self.address = str(config["bootstrap.servers"])

    def publisher(self) -> KafkaPublisher:
        self._be_admitted()
        return KafkaPublisher({**self._config_for(_PRODUCER)})

    def member(self, group: str, topics: Sequence[str], listener: GroupListener) -> KafkaMember:
        if self._transactional:
            # Where nobody answers, no transaction could be started either.
            self._metadata("asking the broker")
        else:
            self._be_admitted()
        producer = self._transactional_config(group) if self._transactional else self._config_for(_PRODUCER)
        # Where a partition does not begin where it is to be read, the member has to know: records are missing.
        consumer = {**self._config_for(_CONSUMER), "group.id": group, "auto.offset.reset": "error"}
        readers = []
        for read in self._read_together(topics):
            name = {"group.instance.id": f"{self._instance}-{read[0]}"} if self._instance else {}
            readers.append(({**consumer, **name}, read))
        return KafkaMember(readers, producer, listener, transactional=self._transactional)

    def _read_together(self, topics: Sequence[str]) -> Sequence[Sequence[str]]:
        """Which topics share a consumer: none, as a group evens out only what each of its consumers has in all."""
        return [[topic] for topic in topics]

    def snapshot(
        self,
        topic: str,
        since: int | None = None,
        starts: Mapping[Partition, int] | None = None,
        *,
        undecided: bool = False,
    ) -> Iterator[Delivered]:
        places = self._starts(topic, since) if starts is None else _places(starts)
        waiting = {tp.partition for tp in places}
        with self._reader(topic, places, undecided=undecided) as consumer:
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

    def follow(self, topic: str, since: int | None = None) -> Iterator[Delivered | None]:
        with self._reader(topic, self._starts(topic, since)) as consumer:
            while True:
                with kafka_border(f"reading {topic}"):
                    message = consumer.poll(_FOLLOW_SECONDS)
                error = None if message is None else message.error()
                if message is not None and error is None:
                    yield delivered(message)
                    continue
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    ours = mapped(error, f"reading {topic}")
                    if not isinstance(ours, BrokerUnreachable):
                        raise ours
                    # librdkafka goes on trying by itself; an outage costs nothing but time.
                    log.warning("%s", ours)
                yield None

    def positions(self, topic: str, since: int) -> Mapping[Partition, int]:
        times = [TopicPartition(topic, number, since) for number in self._numbers(topic)]
        with self._reader(topic, []) as consumer, kafka_border(f"finding {topic} by time"):
            found = {}
            for tp in consumer.offsets_for_times(times, timeout=REQUEST_SECONDS):
                if tp.error is not None:
                    raise mapped(tp.error, f"finding {topic} by time")
                # Negative: no record is as late as that.
                end = consumer.get_watermark_offsets(tp, timeout=REQUEST_SECONDS)[1]
                found[Partition(topic, tp.partition)] = end if tp.offset < 0 else tp.offset
        return found

    def ensure_topics(self, wanted: Sequence[TopicPlan]) -> Sequence[str]:
        there = self._metadata("listing topics").topics
        missing = [
            NewTopic(plan.name, plan.partitions, plan.replication or -1, config=dict(plan.config))
            for plan in wanted
            if plan.name not in there
        ]
        created = []
        for name, future in (self._contact.admin.create_topics(missing) if missing else {}).items():
            try:
                self._answer(future, f"creating {name}")
            except KafkaException as exception:
                # Somebody else created it in between: what we wanted.
                if exception.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise mapped(exception.args[0], f"creating {name}") from exception
            else:
                created.append(name)
        self._await_leaders({plan.topic: plan.num_partitions for plan in missing})
        return created

    def _await_leaders(self, counts: Mapping[str, int]) -> None:
        """A topic that was made is known to brokers, and has leaders, only a moment later.

        Raises:
            BrokerUnreachable: nobody leads some of them in time.
        """
        deadline = time.monotonic() + REQUEST_SECONDS
        while counts:
            known = self._metadata("listing topics").topics
            counts = {name: count for name, count in counts.items() if not _is_led(known.get(name), count)}
            if counts and time.monotonic() >= deadline:
                raise BrokerUnreachable(
                    f"{', '.join(counts)}: made, but not every partition has a leader after {REQUEST_SECONDS:.0f} s"
                )
            if counts:
                time.sleep(_LEADER_SECONDS)

    def partitions(self, topic: str) -> int:
        found = self._metadata(f"looking up {topic}", topic).topics.get(topic)
        return len(found.partitions) if found is not None and _is_there(found) else 0

    def describe(self, topics: Sequence[str]) -> Mapping[str, TopicState]:
        counts = {name: count for name in topics if (count := self.partitions(name))}
        if not counts:
            return {}
        with kafka_border("describing topics"):
            asked = self._contact.admin.describe_configs(
                [ConfigResource(RESOURCE_TOPIC, name) for name in counts], request_timeout=REQUEST_SECONDS
            )
        return {
            resource.name: TopicState(counts[resource.name], self._config_of(future))
            for resource, future in asked.items()
        }

    def standing(self, group: str, topic: str) -> Mapping[Partition, Standing]:
        partitions = [TopicPartition(topic, number) for number in self._numbers(topic)]
        found = {}
        with self._reader(topic, [], group) as consumer, kafka_border(f"measuring {topic}"):
            for tp in consumer.committed(partitions, timeout=REQUEST_SECONDS):
                first, end = consumer.get_watermark_offsets(tp, timeout=REQUEST_SECONDS)
                progress = Progress(tp.offset, tp.metadata or "") if tp.offset >= 0 else None
                found[Partition(topic, tp.partition)] = Standing(progress, first, end)
        return found

    def trim(self, done: Mapping[Partition, int]) -> None:
        marks = [TopicPartition(p.topic, p.number, offset) for p, offset in done.items()]
        if not marks:
            return
        with kafka_border("trimming"):
            for future in self._contact.admin.delete_records(marks, request_timeout=REQUEST_SECONDS).values():
                self._answer(future, "trimming")

    def settles_atomically(self, name: str) -> bool:
        if self._transactional:
            start_transactions(self._transactional_config(name))
        return self._transactional

    def check(self) -> str:
        metadata = self._metadata("asking the broker")
        return f"{len(metadata.brokers)} broker(s), cluster {metadata.cluster_id}{self._security}"

    def close(self) -> None:
        """Let go of the one client that is held between calls."""
        self._contact.close()

    def _metadata(self, doing: str, topic: str | None = None) -> ClusterMetadata:
        metadata = self._contact.metadata(doing, topic)
        self._admitted = True
        return metadata

    def _be_admitted(self) -> None:
        """Whoever is refused learns it before work begins; with librdkafka alone it would look like an outage.

        Raises:
            BrokerDenied, BrokerUntrusted, BrokerSettingsInvalid: the cluster does not let this client in.
        """
        if not self._admitted:
            try:
                self._metadata("asking the broker")
            except BrokerUnreachable as error:
                # Clients go on trying, and those that cannot wait say so themselves.
                log.warning("%s", error)

    def _answer(self, future: Future[_T], doing: str) -> _T:
        """What an admin request comes to.

        Raises:
            BrokerUnreachable: nothing in time; the client's own time-out may be the later one. A broker that told of
                itself by a name which leads nowhere from here is named.
            KafkaException: the broker's refusal.
        """
        try:
            return future.result(REQUEST_SECONDS)
        except FutureTimeout as exception:
            reason = self._contact.reason()
            raise BrokerUnreachable(f"{doing}: no answer in {REQUEST_SECONDS:.0f} s{reason}") from exception

    def _config_of(self, future: Future[Mapping[str, Any]]) -> Mapping[str, str]:
        """A topic's configuration; nothing where the credentials may not read it."""
        try:
            with kafka_border("describing topics"):
                return {name: entry.value for name, entry in self._answer(future, "describing topics").items()}
        except BrokerDenied:
            return {}

    def _config_for(self, role: Mapping[str, Any]) -> dict[str, Any]:
        # The operator's own settings win over ours.
        return {**role, **self._config}

    def _transactional_config(self, group: str) -> dict[str, Any]:
        return {
            **self._config_for(_PRODUCER),
            # Under a static name the next process of this hub fences off what the last one left unfinished.
            "transactional.id": f"{group}-{self._instance or f'{socket.gethostname()}-{uuid.uuid4().hex[:12]}'}",
            "transaction.timeout.ms": _TRANSACTION_TIMEOUT_MS,
            # A transactional producer's own time-out must cover its records' time-out.
            "message.timeout.ms": _TRANSACTION_TIMEOUT_MS,
        }

    def _numbers(self, topic: str) -> list[int]:
        found = self._metadata(f"looking up {topic}", topic).topics[topic]
        if not _is_there(found):
            raise TopicMissing(f"there is no topic {topic}")
        return list(found.partitions)

    def _starts(self, topic: str, since: int | None) -> list[TopicPartition]:
        if since is None:
            return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in self._numbers(topic)]
        return _places(self.positions(topic, since))

    @contextmanager
    def _reader(
        self, topic: str, starts: list[TopicPartition], group: str | None = None, *, undecided: bool = False
    ) -> Iterator[Consumer]:
        """A consumer at ``starts`` that is a member of no group; it may look at what ``group`` has committed."""
        config = {**self._config_for(_CONSUMER), "group.id": group or f"lfk-reader-{uuid.uuid4().hex[:12]}"}
        config["enable.partition.eof"] = True
        del config["partition.assignment.strategy"]
        if undecided:
            config["isolation.level"] = "read_uncommitted"
        with kafka_border(f"reading {topic}"):
            consumer = Consumer(config)
        try:
            with kafka_border(f"reading {topic}"):
                # A consumer that knows the topic fetches at once; one that does not waits for its next refresh.
                consumer.list_topics(topic, timeout=REQUEST_SECONDS)
                consumer.assign(starts)
            yield consumer
        finally:
            consumer.close()


def _is_there(topic: TopicMetadata) -> bool:
    """Whether the broker knows the topic.

    Raises:
        BrokerDenied: the credentials may not look at it.
    """
    if topic.error is None:
        return True
    ours = mapped(topic.error, f"looking up {topic.topic}")
    if isinstance(ours, BrokerDenied):
        raise ours
    return False


def _is_led(topic: TopicMetadata | None, count: int) -> bool:
    """Whether the topic can be used: all its partitions are known and have leaders."""
    if topic is None or topic.error is not None or len(topic.partitions) < count:
        return False
    return all(partition.leader >= 0 for partition in topic.partitions.values())


def _places(offsets: Mapping[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(partition.topic, partition.number, offset) for partition, offset in offsets.items()]
