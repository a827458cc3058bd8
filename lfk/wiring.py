"""Turns settings into stores, brokers, engines and senders. The only place that names concrete classes."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfk.brokers.base import Broker, Publisher, TopicPlan
from lfk.core.addressing import Roots
from lfk.core.approaches import KNOWN_MODELS, Catalogue, require_approach
from lfk.core.errors import BrokerUnreachable, InvalidLocation, LfkError, ObjectMissing, UsageError
from lfk.core.location import Location, has_scheme, parse_location
from lfk.core.manifest import Rendering
from lfk.core.retry import RetryPolicy
from lfk.roles.sender import ReferenceSender
from lfk.settings import Settings
from lfk.stores.base import ObjectStore

if TYPE_CHECKING:
    from lfk.brokers.codec import Codec
    from lfk.brokers.embedded import EmbeddedBroker
    from lfk.core.messages import Announcement
    from lfk.engine.base import EngineKind
    from lfk.roles.hub.hub import Hub
    from lfk.roles.hub.job import Job

log = logging.getLogger(__name__)

#: The address of a running embedded broker, below lfk's records: small, written by `up`, `demo` and a lone hub.
BROKER_RECORD = "broker"
_BROKER_RECORD_LIMIT = 4096
#: How often the host of an embedded broker looks into the outbox.
_KEEPER_SECONDS = 2.0


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

    where = roots(settings)
    cluster = MockCluster()
    broker = _embedded(settings, cluster.address)
    stop = threading.Event()
    keeper = threading.Thread(
        target=_keep_fed, args=(settings, store, where, broker, stop), name="lfk-broker-keeper", daemon=True
    )
    try:
        announce_broker(settings, store, cluster.address)
        keeper.start()
        yield broker
    finally:
        stop.set()
        withdraw_broker(settings, store)
        if keeper.is_alive():
            keeper.join(_KEEPER_SECONDS)
        cluster.close()


def _keep_fed(settings: Settings, store: ObjectStore, where: Roots, broker: Broker, stop: threading.Event) -> None:
    """Reconcile once, then drain the outbox again and again."""
    from lfk.roles.outbox import drain
    from lfk.roles.reconcile import send_outstanding

    sender = ReferenceSender(broker.publisher(), codec(settings), settings.topic_audio, "lfk/reconcile")
    publisher = broker.publisher()
    reconciled = False
    try:
        while True:
            try:
                drain(store, where.records, publisher)
                if not reconciled:
                    count = send_outstanding(store, where, sender)
                    reconciled = True
                    log.info("reconciled with the store: %d references sent", count)
            except LfkError as error:
                log.warning("the outbox is looked at again in %.0f s: %s", _KEEPER_SECONDS, error)
            if stop.wait(_KEEPER_SECONDS):
                return
    finally:
        sender.close()
        publisher.close()


# --- engine


def engine_kind(settings: Settings) -> EngineKind:
    """The speech engine that LFK_ENGINE names."""
    if settings.engine == "canned":
        from lfk.engine.canned import CannedKind

        return CannedKind(settings.canned_seconds)
    raise UsageError(f"LFK_ENGINE: {settings.engine} is not wired")


# --- hub


def worker_count(settings: Settings) -> int:
    """Engines at a time: as told, or one per core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return settings.workers or max(1, cores // max(1, settings.threads))


@contextmanager
def hub(
    settings: Settings,
    store: ObjectStore,
    broker: Broker,
    stop: threading.Event,
    report: Callable[[Announcement], None],
) -> Iterator[Hub]:
    """A hub that is ready to :meth:`~lfk.roles.hub.hub.Hub.run`; its engines and scratch go with the block."""
    from lfk.engine.pool import EnginePool
    from lfk.roles.hub.answers import Topics, failure_record
    from lfk.roles.hub.hub import Hub, HubPlan
    from lfk.roles.hub.job import JobRunner, Limits, failure_location
    from lfk.roles.hub.scratch import Scratch
    from lfk.roles.hub.threads import JobThreads
    from lfk.roles.results import Results

    where = roots(settings)
    kind = engine_kind(settings)
    workers = worker_count(settings)
    slots = workers + settings.prefetch
    messages = codec(settings)
    with ExitStack() as stack:
        scratch = Scratch(Path(settings.scratch) if settings.scratch else None, settings.scratch_bytes)
        stack.callback(scratch.close)
        pool = EnginePool(kind, workers)
        stack.callback(pool.close)
        runner = JobRunner(
            store=store,
            roots=where,
            codec=messages,
            results=Results(store, where, _copies(settings)),
            kind=kind,
            pool=pool,
            scratch=scratch,
            limits=Limits(settings.max_audio_bytes),
            rendering=rendering(settings),
            fallbacks=settings.model_fallbacks,
            stop=stop,
        )

        def record_failure(job: Job, announcement: Announcement, error: LfkError) -> None:
            store.put(
                failure_location(where.records, job.event_id),
                failure_record(announcement, error, job),
                content_type="application/json",
            )

        threads = JobThreads(
            runner, slots, store_works=lambda: _store_works(store, where), record_failure=record_failure
        )
        plan = HubPlan(
            group=settings.group,
            lanes={"fresh": settings.topic_audio, "retry": settings.topic_retry, "bulk": settings.topic_bulk},
            weights={"fresh": 8, "retry": 4, "bulk": 1},
            topics=Topics(settings.topic_transcripts, settings.topic_retry, settings.topic_dlq),
            retry=RetryPolicy(settings.attempts, settings.backoff, settings.backoff_factor),
            slots=slots,
            settle_interval=settings.settle_interval,
            grace=settings.grace,
            max_jobs=settings.max_jobs,
            exit_when_idle=settings.exit_when_idle,
        )
        yield Hub(
            broker=broker,
            codec=messages,
            threads=threads,
            plan=plan,
            stop=stop,
            stop_engines=pool.close,
            report=report,
        )


def rendering(settings: Settings) -> Rendering:
    """How transcripts are laid out unless a job says otherwise.

    Raises:
        UsageError: LFK_FORMATS names a format that there is not.
    """
    from lfk.core.formats import MANIFEST, formats

    unknown = set(settings.formats) - set(formats())
    if unknown:
        raise UsageError(
            f"LFK_FORMATS: no format is called {', '.join(sorted(unknown))}; there are {', '.join(formats())}"
        )
    # The manifest is always written: it is what everything else is found by.
    return Rendering(tuple(dict.fromkeys((*settings.formats, MANIFEST))), settings.timestamps, settings.pause)


def _copies(settings: Settings) -> tuple[ObjectStore, Location] | None:
    if not settings.transcriptions_folder:
        return None
    from lfk.stores.folder import FolderStore

    root = _place(settings.transcriptions_folder, "MAIN_NODE_TRANSCRIPTIONS_FOLDER").as_prefix()
    return FolderStore(root), root


def _store_works(store: ObjectStore, where: Roots) -> bool:
    """Whether this hub can read its audio and write its records, right now."""
    try:
        store.check(where.audio)
        store.put(where.records.join(f"probes/{socket.gethostname()}"), b"ok", content_type="text/plain")
    except LfkError as error:
        log.warning("this hub's store is out of order: %s", error)
        return False
    return True
