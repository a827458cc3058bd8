"""Which broker to talk to: the Kafka of the settings, or an embedded one of this store and machine."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lfk.brokers.base import Broker, Publisher, TopicPlan
from lfk.core.addressing import Roots
from lfk.core.errors import BrokerUnreachable, BucketMissing, LfkError, ObjectMissing
from lfk.core.location import Location
from lfk.roles.sender import ReferenceSender
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.kafka import embedded_extras, kafka_config
from lfk.wiring.messages import writing_codec
from lfk.wiring.places import roots, store_root

if TYPE_CHECKING:
    from lfk.brokers.embedded import EmbeddedBroker
    from lfk.roles.reconcile import Reconciler
    from lfk.roles.tracing import Tracer

log = logging.getLogger(__name__)

#: The address of a running embedded broker, below lfk's records: small, written by `up`, `demo` and a lone hub.
BROKER_RECORD = "broker"
_BROKER_RECORD_LIMIT = 4096
#: How often the host of an embedded broker looks into the outbox.
_KEEPER_SECONDS = 2.0


def real_broker(settings: Settings) -> Broker:
    """The Kafka that BOOTSTRAP_SERVERS names."""
    from lfk.brokers.kafka import KafkaBroker

    return KafkaBroker(kafka_config(settings), transactional=settings.transactions != "off", instance=settings.instance)


def find_broker(settings: Settings, store: ObjectStore) -> Broker | None:
    """The broker to talk to: the configured one, or an embedded one that runs on this machine and store, or None."""
    if settings.bootstrap:
        return real_broker(settings)
    from lfk.brokers.embedded import listens

    address = embedded_address(settings, store)
    if address is None or not listens(address):
        return None
    broker = _embedded(settings, address)
    try:
        broker.check()
    except BrokerUnreachable:
        return None
    return broker


def embedded_address(settings: Settings, store: ObjectStore) -> str | None:
    """Where an embedded broker of this machine and store says it is; it may have died since."""
    try:
        data, _info = store.read(broker_record(settings), limit=_BROKER_RECORD_LIMIT)
        record = json.loads(data)
        address, host = str(record["bootstrap"]), str(record["host"])
    except (ObjectMissing, BucketMissing):
        return None
    except (ValueError, KeyError, TypeError):
        log.warning("%s is not readable; going on as if no embedded broker ran", broker_record(settings))
        return None
    if host != socket.gethostname():
        log.info("the embedded broker of this store runs on %s, out of reach from here", host)
        return None
    return address


def broker_record(settings: Settings) -> Location:
    """Where a running embedded broker tells its address."""
    return store_root(settings).join(f".lfk/{BROKER_RECORD}")


def announce_broker(settings: Settings, store: ObjectStore, address: str) -> None:
    """Let other commands on this store find the embedded broker of this process."""
    record = {"bootstrap": address, "host": socket.gethostname(), "pid": os.getpid(), "started": int(time.time())}
    store.put(broker_record(settings), json.dumps(record).encode(), content_type="application/json")


def withdraw_broker(settings: Settings, store: ObjectStore) -> None:
    """The embedded broker of this process is about to stop."""
    try:
        store.delete(broker_record(settings))
    except LfkError as error:
        log.warning("could not remove %s: %s", broker_record(settings), error)


def _embedded(settings: Settings, address: str) -> EmbeddedBroker:
    from lfk.brokers.embedded import EmbeddedBroker

    guarded = (settings.topic_audio, settings.topic_bulk, settings.topic_retry)
    return EmbeddedBroker(address, settings.group, guarded, embedded_extras(settings))


def topic_plans(settings: Settings) -> Sequence[TopicPlan]:
    """The topics as `init` makes them: unprocessed references are never dropped by age (DESIGN §8)."""
    keep: Mapping[str, str] = {"retention.ms": "-1", "retention.bytes": "-1"}
    week = {"retention.ms": str(7 * 24 * 3600 * 1000)}

    def plan(name: str, config: Mapping[str, str]) -> TopicPlan:
        return TopicPlan(name, settings.partitions, settings.replication, config)

    # A dead letter carries its record whole plus headers, so it may be larger than any record that was accepted.
    dead = {**keep, "max.message.bytes": str(max(settings.max_message_size * 2, 4 << 20))}
    return (
        plan(settings.topic_audio, keep),
        plan(settings.topic_bulk, keep),
        plan(settings.topic_retry, keep),
        plan(settings.topic_dlq, dead),
        plan(settings.topic_chunks, {**week, "max.message.bytes": str(settings.max_message_size)}),
        plan(settings.topic_transcripts, week),
    )


def lanes(settings: Settings) -> Mapping[str, str]:
    """Topics of references by lane, in order of preference."""
    return {"fresh": settings.topic_audio, "retry": settings.topic_retry, "bulk": settings.topic_bulk}


@contextmanager
def running_broker(settings: Settings, store: ObjectStore) -> Iterator[Broker]:
    """The broker for a hub: Kafka, an embedded one that runs already, or else one that this process hosts.

    A hosted one takes over what waits: the outbox, and whatever the store says is outstanding.
    """
    found = find_broker(settings, store)
    if found is not None:
        yield found
        return
    from lfk.brokers.embedded import MockCluster
    from lfk.roles.outbox import drain
    from lfk.roles.reconcile import Reconciler

    where = roots(settings)
    for place in (store_root(settings), where.audio, where.transcripts):
        # Whoever starts a single-machine service means its folders to be there.
        if place.scheme == "file":
            store.ensure(place)
    cluster = MockCluster()
    broker = _embedded(settings, cluster.address)
    with ExitStack() as stack:
        stack.callback(cluster.close)
        broker.ensure_topics(topic_plans(settings))
        announce_broker(settings, store, cluster.address)
        stack.callback(withdraw_broker, settings, store)
        publisher = broker.publisher()
        stack.callback(publisher.close)
        sender = ReferenceSender(broker.publisher(), writing_codec(settings), settings.topic_audio, "lfk/reconcile")
        stack.callback(sender.close)
        unreadable: set[Location] = set()
        known = drain(store, where.records, publisher, unreadable)
        reconciler = Reconciler(store, where, sender, known)
        reconciler.step()
        log.info("took over %d references from the outbox and %d from the store", len(known), reconciler.sent)
        stop = threading.Event()
        keeper = threading.Thread(
            target=_keep_fed,
            args=(store, where, publisher, reconciler, unreadable, stop),
            name="lfk-broker-keeper",
            daemon=True,
        )
        keeper.start()
        stack.callback(keeper.join, _KEEPER_SECONDS)
        stack.callback(stop.set)
        yield broker


def _keep_fed(
    store: ObjectStore,
    where: Roots,
    publisher: Publisher,
    reconciler: Reconciler,
    unreadable: set[Location],
    stop: threading.Event,
) -> None:
    """Drain the outbox again and again, and go on with the reconcile while there is something left of it."""
    from lfk.roles.outbox import drain

    while not stop.wait(_KEEPER_SECONDS):
        try:
            drain(store, where.records, publisher, unreadable)
            reconciler.step()
        except LfkError as error:
            log.warning("the outbox is looked at again in %.0f s: %s", _KEEPER_SECONDS, error)


def reference_sender(
    settings: Settings, store: ObjectStore, role: str, *, bulk: bool = False, tracer: Tracer | None = None
) -> ReferenceSender:
    """Sends references to the broker, or leaves them in the store's outbox while no embedded broker runs."""
    topic = settings.topic_bulk if bulk else settings.topic_audio
    messages = writing_codec(settings)
    broker = find_broker(settings, store)
    publisher: Publisher
    if broker is not None:
        publisher = broker.publisher()
    else:
        from lfk.roles.outbox import OutboxPublisher

        log.info("no embedded broker runs on this store: references wait in its outbox for the next `lfk up`")
        publisher = OutboxPublisher(store, roots(settings).records, time.time)
    return ReferenceSender(publisher, messages, topic, f"lfk/{role}", tracer)
