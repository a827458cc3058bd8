"""Turns settings into stores, brokers, engines and senders. The only place that names concrete classes."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfk.brokers.base import Broker, Publisher, TopicPlan
from lfk.core.addressing import Roots
from lfk.core.approaches import KNOWN_MODELS, Catalogue, require_approach
from lfk.core.errors import BrokerUnreachable, InvalidLocation, LfkError, ObjectMissing, UsageError
from lfk.core.location import Location, has_scheme, parse_location
from lfk.roles.sender import ReferenceSender
from lfk.settings import Settings
from lfk.stores.base import ObjectStore

if TYPE_CHECKING:
    from lfk.brokers.codec import Codec
    from lfk.brokers.embedded import EmbeddedBroker, MockCluster
    from lfk.engine.base import EngineKind

log = logging.getLogger(__name__)

#: The address of a running embedded broker, below lfk's records: small, written by `up`, `demo` and a lone hub.
BROKER_RECORD = "broker"
_BROKER_RECORD_LIMIT = 4096


# --- places


def store_root(settings: Settings) -> Location:
    """LFK_STORE as a location; a plain folder name is a ``file://`` store."""
    return _place(settings.store, "LFK_STORE").as_prefix()


def roots(settings: Settings) -> Roots:
    """Where audio, transcripts and records are, and what references may ask for.

    Raises:
        UsageError: a location, approach or model in the settings is not usable.
    """
    store = store_root(settings)
    try:
        catalogue = Catalogue({name: KNOWN_MODELS[name] for name in settings.models or KNOWN_MODELS})
    except KeyError as error:
        raise UsageError(
            f"LFK_MODELS: no model is called {error.args[0]!r}; known: {', '.join(KNOWN_MODELS)}"
        ) from error
    return Roots(
        audio=_root(settings.audio, settings.video_bucket, store, "audio", "LFK_AUDIO"),
        transcripts=_root(settings.transcripts, settings.transcript_bucket, store, "transcripts", "LFK_TRANSCRIPTS"),
        records=store.join(".lfk").as_prefix(),
        catalogue=catalogue,
        default_approach=require_approach(settings.default_approach),
        default_model=catalogue.require(settings.default_model),
        source_name=Path(settings.source).name or "sources",
        allowed=tuple(_place(text, "LFK_ALLOWED").as_prefix() for text in settings.allowed),
    )


def open_store(settings: Settings) -> ObjectStore:
    """One store over every place that the settings name."""
    from lfk.stores.router import RoutingStore

    where = roots(settings)
    places = {store_root(settings), where.audio, where.transcripts, *where.allowed}
    s3 = _s3(settings) if any(place.scheme == "s3" for place in places) else None
    routes: list[tuple[Location, ObjectStore]] = []
    for place in places:
        if place.scheme == "s3" and s3 is not None:
            routes.append((Location("s3", place.bucket, ""), s3))
        else:
            from lfk.stores.folder import FolderStore

            routes.append((place, FolderStore(place)))
    return RoutingStore(routes)


def _root(text: str, bucket: str, store: Location, name: str, env: str) -> Location:
    if text:
        return _place(text, env).as_prefix()
    if bucket:
        return _place(bucket if has_scheme(bucket) else f"s3://{bucket}/", env).as_prefix()
    return store.join(name).as_prefix()


def _place(text: str, env: str) -> Location:
    try:
        return parse_location(text if has_scheme(text) else f"file://{Path(text).expanduser().absolute()}")
    except InvalidLocation as error:
        raise UsageError(f"{env}: {error.message}", hint=error.hint) from error


def _s3(settings: Settings) -> ObjectStore:
    from lfk.stores.s3 import S3Store

    return S3Store(
        endpoint_url=settings.endpoint_url or None,
        region=settings.region or None,
        access_key=settings.access_key or None,
        secret_key=settings.secret_key or None,
        session_token=settings.session_token or None,
        addressing=settings.s3_addressing,
        checksums=settings.s3_checksums,
        conditional=settings.s3_conditional,
    )


# --- broker


def kafka_config(settings: Settings) -> dict[str, Any]:
    """librdkafka's own settings, from ours and the LFK_KAFKA_* pass-through."""
    config: dict[str, Any] = {"bootstrap.servers": settings.bootstrap}
    if settings.api_key:
        config |= {
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": settings.api_key,
            "sasl.password": settings.api_secret,
        }
    return {**config, **settings.kafka}


def real_broker(settings: Settings) -> Broker:
    """The Kafka that BOOTSTRAP_SERVERS names."""
    from lfk.brokers.kafka import KafkaBroker

    return KafkaBroker(kafka_config(settings), transactional=settings.transactions != "off")


def host_broker(settings: Settings) -> tuple[MockCluster, EmbeddedBroker]:
    """Start the embedded broker in this process."""
    from lfk.brokers.embedded import MockCluster

    cluster = MockCluster()
    return cluster, _embedded(settings, cluster.address)


def find_broker(settings: Settings, store: ObjectStore) -> Broker | None:
    """The broker to talk to: the configured one, or an embedded one that runs on this machine and store, or None."""
    if settings.bootstrap:
        return real_broker(settings)
    try:
        data, _info = store.read(broker_record(settings), limit=_BROKER_RECORD_LIMIT)
        record = json.loads(data)
        address, host = str(record["bootstrap"]), str(record["host"])
    except ObjectMissing:
        return None
    except (ValueError, KeyError, TypeError):
        log.warning("%s is not readable; going on as if no embedded broker ran", broker_record(settings))
        return None
    if host != socket.gethostname():
        log.info("the embedded broker of this store runs on %s, out of reach from here", host)
        return None
    broker = _embedded(settings, address)
    try:
        broker.check()
    except BrokerUnreachable:
        return None
    return broker


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
    return EmbeddedBroker(address, settings.group, guarded, settings.kafka)


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


# --- messages


def codec(settings: Settings) -> Codec:
    """How messages are written: bare JSON, or what the Schema Registry says."""
    from lfk.brokers.codec import JsonCodec

    if settings.registry_url or settings.schema_type != "JSON":
        raise UsageError(
            "SCHEMA_REGISTRY_URL and SCHEMA_TYPE=Avro are not supported by this version",
            hint="unset both: messages are then bare UTF-8 JSON",
        )
    return JsonCodec()


def reference_sender(settings: Settings, store: ObjectStore, role: str, *, bulk: bool = False) -> ReferenceSender:
    """Sends references to the broker, or leaves them in the store's outbox while no embedded broker runs."""
    topic = settings.topic_bulk if bulk else settings.topic_audio
    broker = find_broker(settings, store)
    publisher: Publisher
    if broker is not None:
        publisher = broker.publisher()
    else:
        from lfk.roles.outbox import OutboxPublisher

        log.info("no embedded broker runs on this store: references wait in its outbox for the next `lfk up`")
        publisher = OutboxPublisher(store, roots(settings).records, time.time)
    return ReferenceSender(publisher, codec(settings), topic, f"lfk/{role}")


# --- engine


def engine_kind(settings: Settings) -> EngineKind:
    """The speech engine that LFK_ENGINE names."""
    if settings.engine == "canned":
        from lfk.engine.canned import CannedKind

        return CannedKind(settings.canned_seconds)
    raise UsageError(f"LFK_ENGINE: {settings.engine} is not wired")
