"""The hub, put together."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lfk.brokers.base import Broker, Partition
from lfk.core.location import Location
from lfk.core.retry import RetryPolicy
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.broker import lanes, reference_sender
from lfk.wiring.engines import default_models, engine_kind, worker_count
from lfk.wiring.messages import writing_codec
from lfk.wiring.places import open_folder, place, roots
from lfk.wiring.references import rendering
from lfk.wiring.telemetry import Telemetry, watch_backlog

if TYPE_CHECKING:
    from lfk.brokers.codec import Codec
    from lfk.core.errors import LfkError
    from lfk.core.messages import Announcement
    from lfk.engine.base import EngineKind
    from lfk.engine.pool import EnginePool
    from lfk.roles.hub.backups import BackupsKeeper
    from lfk.roles.hub.health import Health
    from lfk.roles.hub.hub import Hub
    from lfk.roles.hub.job import Job
    from lfk.roles.hub.plan import HubPlan
    from lfk.roles.hub.runner import JobRunner
    from lfk.roles.hub.scratch import Scratch
    from lfk.roles.hub.threads import JobThreads
    from lfk.roles.tracing import Tracer

log = logging.getLogger(__name__)


@contextmanager
def open_hub(
    settings: Settings,
    store: ObjectStore,
    broker: Broker,
    stop: threading.Event,
    report: Callable[[Announcement], None],
    telemetry: Telemetry,
) -> Iterator[Hub]:
    """A hub that is ready to :meth:`~lfk.roles.hub.hub.Hub.run`; its engines and scratch go with the block.

    ``telemetry`` tells how it is, and what it has done.

    Raises:
        UsageError: a setting cannot be used on this machine.
    """
    from lfk.engine.pool import EnginePool
    from lfk.roles.hub.hub import Hub
    from lfk.roles.hub.lease import Lease
    from lfk.roles.hub.readings import of_answer
    from lfk.roles.hub.scratch import Scratch

    workers = worker_count(settings)
    with ExitStack() as stack:
        scratch = Scratch(Path(settings.scratch) if settings.scratch else None, settings.scratch_bytes)
        stack.callback(scratch.close)
        # Apart from scratch: where that is full, engines start all the same.
        temporary = Lease(Path(tempfile.gettempdir()), "lfk-engines-")
        stack.callback(temporary.close)
        kind = engine_kind(settings, store, temporary.folder)
        pool = EnginePool(kind, workers)
        stack.callback(pool.close)
        parts = _Parts(settings, store, scratch, kind, pool, stop, writing_codec(settings), copies_folder(settings))
        runner = _job_runner(parts)
        hub = Hub(
            broker=broker,
            codec=parts.codec,
            threads=_job_threads(parts, runner),
            plan=_plan(settings, workers),
            stop=stop,
            stop_engines=pool.close,
            describe=runner.describe,
            report=telemetry.page.told(report, of_answer),
            references_missed=_reconciling(settings, store, stack, stop, telemetry.tracer),
            tracer=telemetry.tracer,
        )
        _accompany(hub, parts, broker, telemetry, stack)
        yield hub


@dataclass(frozen=True, slots=True)
class _Parts:
    """What most of a hub is made with."""

    settings: Settings
    store: ObjectStore
    scratch: Scratch
    kind: EngineKind
    pool: EnginePool
    stop: threading.Event
    codec: Codec
    copies: tuple[ObjectStore, Location] | None


def _job_runner(parts: _Parts) -> JobRunner:
    from lfk.roles.expiring import Expiring
    from lfk.roles.hub.runner import JobRunner, Limits
    from lfk.roles.results import Results

    settings, store = parts.settings, parts.store
    where = roots(settings)
    return JobRunner(
        store=store,
        roots=where,
        codec=parts.codec,
        results=Results(store, where, parts.copies),
        kind=parts.kind,
        pool=parts.pool,
        scratch=parts.scratch,
        limits=Limits(settings.max_audio_bytes),
        rendering=rendering(settings),
        fallbacks=settings.model_fallbacks,
        stop=parts.stop,
        expiring=None if settings.central_backups else Expiring(store, where.records),
    )


def _job_threads(parts: _Parts, runner: JobRunner) -> JobThreads:
    """Threads for as many jobs as are in hand, and one that looks at the hub itself."""
    from lfk.roles.demo import SAMPLE
    from lfk.roles.failures import Failures
    from lfk.roles.hub.answers import failure_record
    from lfk.roles.hub.probes import Probes
    from lfk.roles.hub.threads import JobThreads

    settings = parts.settings
    where = roots(settings)
    failures = Failures(parts.store, where.records)

    def record_failure(job: Job, announcement: Announcement, error: LfkError) -> None:
        failures.save(failure_record(announcement, error, job))
        runner.confirm_failure(job)

    probes = Probes(
        store=parts.store,
        roots=where,
        scratch=parts.scratch,
        kind=parts.kind,
        pool=parts.pool,
        models=default_models(settings),
        speech=SAMPLE,
        rendering=rendering(settings),
        stop=parts.stop,
        registry_answers=parts.codec.check,
    )
    slots = parts.pool.size + settings.prefetch
    return JobThreads(runner, slots + 1, probes=probes.by_suspect(), record_failure=record_failure)


def _plan(settings: Settings, workers: int) -> HubPlan:
    from lfk.roles.hub.answers import Topics
    from lfk.roles.hub.plan import HubPlan

    return HubPlan(
        group=settings.group,
        lanes=lanes(settings),
        weights={"fresh": 8, "retry": 4, "bulk": 1},
        topics=Topics(settings.topic_transcripts, settings.topic_retry, settings.topic_dlq),
        retry=RetryPolicy(settings.attempts, settings.backoff, settings.backoff_factor),
        engines=workers,
        slots=workers + settings.prefetch,
        settle_interval=settings.settle_interval,
        grace=settings.grace,
        breaker=settings.breaker,
        max_jobs=settings.max_jobs,
        exit_when_idle=settings.exit_when_idle,
    )


def _accompany(hub: Hub, parts: _Parts, broker: Broker, telemetry: Telemetry, stack: ExitStack) -> None:
    """What goes on beside a hub until the stack is unwound: its reports, clean-up of topics and audio, metrics."""
    from lfk.roles.heartbeat import Heartbeat
    from lfk.roles.hub.readings import of_hub
    from lfk.roles.hub.trimmer import Trimmer

    settings, pool = parts.settings, parts.pool
    reads = lanes(settings)
    keeper = _backups_keeper(settings, parts.store, broker, parts.copies, hub)
    if keeper is not None:
        stack.callback(keeper.close)
    heartbeat = Heartbeat(parts.store, roots(settings).records, lambda: _at_work(hub, pool.size, keeper))
    stack.callback(heartbeat.close)
    if settings.trim_interval:
        trimmer = Trimmer(broker, settings.group, tuple(reads.values()), settings.trim_interval)
        stack.callback(trimmer.close)
    telemetry.page.show("hub", lambda: _health(hub, pool), lambda: of_hub(hub, pool, reads))
    if telemetry.page.on and settings.backlog_interval:
        first = Partition(settings.topic_audio, 0)
        watch = watch_backlog(settings, broker, lambda: first in hub.in_hand)
        telemetry.page.count("backlog", watch.readings)
        stack.callback(watch.close)


def _health(hub: Hub, pool: EnginePool) -> Health:
    from lfk.roles.hub.health import Health

    return Health(
        joined=hub.joined,
        turned=hub.turned(),
        trouble=hub.trouble,
        engines=pool.size,
        engines_ready=pool.ready,
        running=len(hub.running),
        stopping=hub.stopping,
    )


def _backups_keeper(
    settings: Settings, store: ObjectStore, broker: Broker, copies: tuple[ObjectStore, Location] | None, hub: Hub
) -> BackupsKeeper | None:
    """What deletes stored audio in time; None where it is to stay."""
    from lfk.roles.expiry import Expiry
    from lfk.roles.hub.backups import BackupsKeeper
    from lfk.roles.local_copies import LocalCopies
    from lfk.wiring.cleanup import open_pending

    if settings.central_backups:
        return None
    where, grace, stop = roots(settings), settings.backups_grace, threading.Event()
    expiry = Expiry(store, where, open_pending(settings, store, broker), grace, stop)
    local = None if copies is None else LocalCopies(copies, store, where, grace, stop)
    return BackupsKeeper(expiry, local, lambda: hub.leads, grace, stop)


def _at_work(hub: Hub, workers: int, keeper: BackupsKeeper | None) -> Mapping[str, object]:
    """What a hub tells of itself."""
    jobs = [
        {
            "event_id": job.event_id,
            "audio": str(job.address.location) if job.address else "",
            "model": job.model,
            "stage": job.stage,
            "part": round(job.part, 3),
            "seconds": round(time.time() - job.started, 1) if job.started else 0.0,
        }
        for job in hub.running
    ]
    return {
        "engines": workers,
        "done": hub.summary.done,
        "failed": hub.summary.failed,
        "jobs": jobs,
        "trouble": str(hub.trouble or ""),
        "backups": keeper.told if keeper is not None else {},
    }


def _reconciling(
    settings: Settings, store: ObjectStore, stack: ExitStack, stop: threading.Event, tracer: Tracer | None
) -> Callable[[], None]:
    """What a hub calls when references have gone from their topic unread: asks the store what is outstanding."""
    from lfk.roles.reconcile import Reconciliation

    where = roots(settings)
    reconciliation = Reconciliation(
        store, where, lambda: reference_sender(settings, store, "reconcile", bulk=True, tracer=tracer), stop
    )
    stack.callback(reconciliation.close)
    return reconciliation.ask


def copies_folder(settings: Settings) -> tuple[ObjectStore, Location] | None:
    """The folder for copies of transcripts, made where it is missing; None where none is named.

    Raises:
        AccessDenied: it cannot be made.
    """
    if not settings.transcriptions_folder:
        return None
    root = place(settings.transcriptions_folder, "MAIN_NODE_TRANSCRIPTIONS_FOLDER").as_prefix()
    folder = open_folder(root)
    folder.ensure(root)
    return folder, root
