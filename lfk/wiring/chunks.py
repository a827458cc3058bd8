"""The audio-driven way: settings into the sender of chunks and the gateway that joins them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lfk.core.errors import UsageError
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.kafka import kafka_config
from lfk.wiring.messages import writing_codec
from lfk.wiring.places import roots
from lfk.wiring.references import confirm_topic, request

if TYPE_CHECKING:
    from lfk.brokers.base import Broker
    from lfk.roles.chunks.audio import Joined
    from lfk.roles.chunks.gateway import Gateway
    from lfk.roles.chunks.sending import ChunkSender, Sent
    from lfk.wiring.telemetry import Telemetry

#: What a record has besides the value that MAX_MESSAGE_SIZE is about.
_RECORD_OVERHEAD = 64 * 1024
#: librdkafka's own default, below which nothing has to be set.
_DEFAULT_MESSAGE_BYTES = 1_000_000


@contextmanager
def open_chunk_sender(
    settings: Settings, report: Callable[[Sent], None], stop: threading.Event, moved: Callable[[int], None]
) -> Iterator[ChunkSender]:
    """A sender with a publisher of its own, which goes with the block.

    Raises:
        BrokerUnreachable, TopicMissing: chunks could not be sent.
        UsageError: there is no Kafka, or what is asked for is not offered here.
    """
    from lfk.roles.chunks.sending import ChunkSender, SendPlan
    from lfk.roles.source import source_identity

    folder = Path(settings.source).expanduser().absolute() if settings.source else None
    ratio = settings.json_ratio if settings.schema_type == "JSON" else settings.audio_size_ratio
    plan = SendPlan(
        topic=settings.topic_chunks,
        frames=int(settings.max_message_size * ratio),
        message=settings.max_message_size,
        layout=settings.layout,
        prefix=settings.prefix,
        request=request(settings),
        roots=roots(settings),
        folder=folder,
        source=source_identity(settings.sync_source, socket.gethostname(), folder or Path.cwd()),
        dry_run=settings.dry_run,
    )
    with ExitStack() as stack:
        publisher = None
        if not settings.dry_run:
            broker = _broker(settings)
            confirm_topic(settings, settings.topic_chunks)
            publisher = broker.publisher()
            stack.callback(publisher.close)
        yield ChunkSender(publisher, writing_codec(settings), plan, report, stop.is_set, moved)


@contextmanager
def open_gateway(
    settings: Settings,
    store: ObjectStore,
    stop: threading.Event,
    report: Callable[[Joined], None],
    telemetry: Telemetry,
) -> Iterator[Gateway]:
    """A gateway that is ready to run; its scratch goes with the block.

    ``telemetry`` tells how it is, and what it has done.

    Raises:
        BrokerUnreachable, TopicMissing, BucketMissing: it could not work.
        UsageError: there is no Kafka, or the scratch folder cannot be used.
    """
    from lfk.roles.chunks.gateway import Gateway
    from lfk.roles.chunks.keeper import Keeper
    from lfk.roles.chunks.plan import GatewayPlan
    from lfk.roles.chunks.readings import of_audio, of_gateway
    from lfk.roles.chunks.spool import Spool
    from lfk.roles.hub.answers import Topics
    from lfk.roles.hub.scratch import Scratch

    broker = _broker(settings)
    for topic in (settings.topic_chunks, settings.topic_audio, settings.topic_transcripts, settings.topic_dlq):
        confirm_topic(settings, topic)
    where = roots(settings)
    if where.audio.scheme == "file":
        store.ensure(where.audio)
    store.check(where.audio)
    plan = GatewayPlan(
        group=settings.chunk_group,
        topic=settings.topic_chunks,
        topic_audio=settings.topic_audio,
        answers=Topics(settings.topic_transcripts, settings.topic_retry, settings.topic_dlq),
        timeout=settings.chunk_timeout,
        settle_interval=settings.settle_interval,
        grace=settings.grace,
        max_audio_bytes=settings.max_audio_bytes,
        transfers=settings.transfers,
        exit_when_idle=settings.exit_when_idle,
    )
    with ExitStack() as stack:
        scratch = Scratch(Path(settings.scratch) if settings.scratch else None, settings.scratch_bytes)
        stack.callback(scratch.close)
        spool = Spool(scratch.folder, settings.scratch_bytes)
        abandon = threading.Event()
        gateway = Gateway(
            broker=broker,
            codec=writing_codec(settings),
            keeper=Keeper(store, where, spool, abandon),
            spool=spool,
            plan=plan,
            stop=stop,
            abandon=abandon,
            report=telemetry.page.told(report, of_audio),
        )
        telemetry.page.show("chunks", lambda: gateway.pulse.health(stop), lambda: of_gateway(gateway, spool))
        yield gateway


def _broker(settings: Settings) -> Broker:
    """The Kafka of the settings, for messages as large as chunks are."""
    from lfk.brokers.kafka import KafkaBroker

    if not settings.bootstrap:
        raise UsageError(
            "the audio-driven way needs a Kafka, as the embedded broker has no room for audio",
            hint="set BOOTSTRAP_SERVERS, or use `lfk sync`, which sends references only",
        )
    largest = max(settings.max_message_size + _RECORD_OVERHEAD, _DEFAULT_MESSAGE_BYTES)
    # The topic's limit is one of whole batches, so no batch may be larger than a message.
    batch = min(settings.max_message_size, _DEFAULT_MESSAGE_BYTES)
    config = {"message.max.bytes": largest, "batch.size": batch, **kafka_config(settings)}
    return KafkaBroker(config, transactional=settings.transactions != "off")
