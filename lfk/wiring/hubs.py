"""Engines and the hub."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lfk.brokers.base import Broker, Partition
from lfk.core.approaches import KNOWN_MODELS
from lfk.core.errors import UsageError
from lfk.core.location import Location
from lfk.core.manifest import Rendering
from lfk.core.retry import RetryPolicy
from lfk.environment import inherited
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.broker import lanes, reference_sender
from lfk.wiring.messages import writing_codec
from lfk.wiring.models import hashes_file, models_folder, open_library
from lfk.wiring.places import open_folder, place, roots
from lfk.wiring.telemetry import Telemetry, watch_backlog

if TYPE_CHECKING:
    from lfk.core.errors import LfkError
    from lfk.core.messages import Announcement
    from lfk.engine.base import EngineKind
    from lfk.engine.limits import EngineLimits
    from lfk.engine.pool import EnginePool
    from lfk.roles.hub.backups import BackupsKeeper
    from lfk.roles.hub.health import Health
    from lfk.roles.hub.hub import Hub
    from lfk.roles.hub.job import Job

log = logging.getLogger(__name__)

#: The part of a machine's memory that its engines may fill together, unless LFK_ENGINE_MEMORY says otherwise.
_MEMORY_FOR_ENGINES = 0.75
#: The part of an engine's memory above which it is replaced between jobs, before a job would be ended for it. Half of
#: its memory may be weights that are kept loaded.
_MEMORY_BEFORE_RECYCLING = 0.75
#: What an engine needs to work with a small model, aligner and diariser (measured: 0.6 GiB at rest, 1.1 GiB at most);
#: more engines than there is memory for would only end each other.
_LEAST_ENGINE_BYTES = 1_280 << 20


def engine_kind(settings: Settings, store: ObjectStore | None = None, temporary: Path | None = None) -> EngineKind:
    """The speech engine that LFK_ENGINE names; without a store it fetches no model weights.

    ``temporary``: where its libraries leave their temporary files; None for the system's.
    """
    if settings.engine == "canned":
        from lfk.engine.canned import CannedKind

        return CannedKind(settings.canned_seconds)
    from lfk.engine.whisperx_kind import WhisperXKind, WhisperXPlan

    limits = engine_limits(settings)
    plan = WhisperXPlan(
        models=models_folder(settings),
        hashes=hashes_file(settings),
        device=settings.device,
        compute_type=settings.compute_type,
        batch_size=settings.batch_size,
        threads=settings.threads,
        preload=_default_models(settings),
        models_bytes=settings.model_memory or limits.memory_bytes // 2,
        idle_seconds=settings.model_idle,
        max_seconds=settings.max_duration,
    )
    return WhisperXKind(plan, limits, inherited(), open_library(settings, store), temporary)


def engine_limits(settings: Settings) -> EngineLimits:
    """What an engine in a process of its own may take."""
    from lfk.engine.limits import EngineLimits

    memory = settings.engine_memory or _fair_share(worker_count(settings))
    return EngineLimits(
        start_seconds=settings.engine_start_timeout,
        base_seconds=settings.job_timeout_base,
        factor=settings.job_timeout_factor,
        memory_bytes=memory,
        recycle_jobs=settings.engine_recycle_jobs,
        recycle_bytes=settings.engine_recycle_memory or int(memory * _MEMORY_BEFORE_RECYCLING),
    )


def _fair_share(workers: int) -> int:
    """Bytes that one of so many engines may take: an even part of what the machine has, less a quarter for others."""
    from lfk.engine.machine import memory_bytes

    return int(memory_bytes() * _MEMORY_FOR_ENGINES / workers)


def worker_count(settings: Settings) -> int:
    """Engines at a time: as told, one per GPU, or one per core that this process may use and that has memory."""
    from lfk.engine.machine import core_count, gpu_count, memory_bytes

    by_cores = max(1, core_count() // max(1, settings.threads))
    if settings.workers or settings.engine == "canned":
        return settings.workers or by_cores
    if settings.device != "cpu" and (gpus := gpu_count(inherited())):
        return gpus
    return max(1, min(by_cores, int(memory_bytes() * _MEMORY_FOR_ENGINES) // _LEAST_ENGINE_BYTES))


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
    from lfk.roles.demo import SAMPLE
    from lfk.roles.expiring import Expiring
    from lfk.roles.failures import Failures
    from lfk.roles.heartbeat import Heartbeat
    from lfk.roles.hub.answers import Topics, failure_record
    from lfk.roles.hub.hub import Hub
    from lfk.roles.hub.job import JobRunner, Limits
    from lfk.roles.hub.lease import Lease
    from lfk.roles.hub.plan import HubPlan
    from lfk.roles.hub.probes import Probes
    from lfk.roles.hub.readings import of_answer, of_hub
    from lfk.roles.hub.scratch import Scratch
    from lfk.roles.hub.threads import JobThreads
    from lfk.roles.hub.trimmer import Trimmer
    from lfk.roles.results import Results

    where = roots(settings)
    workers = worker_count(settings)
    slots = workers + settings.prefetch
    messages = writing_codec(settings)
    failures = Failures(store, where.records)
    copies = copies_folder(settings)
    with ExitStack() as stack:
        scratch = Scratch(Path(settings.scratch) if settings.scratch else None, settings.scratch_bytes)
        stack.callback(scratch.close)
        # Apart from scratch: where that is full, engines start all the same.
        temporary = Lease(Path(tempfile.gettempdir()), "lfk-engines-")
        stack.callback(temporary.close)
        kind = engine_kind(settings, store, temporary.folder)
        pool = EnginePool(kind, workers)
        stack.callback(pool.close)
        runner = JobRunner(
            store=store,
            roots=where,
            codec=messages,
            results=Results(store, where, copies),
            kind=kind,
            pool=pool,
            scratch=scratch,
            limits=Limits(settings.max_audio_bytes),
            rendering=rendering(settings),
            fallbacks=settings.model_fallbacks,
            stop=stop,
            expiring=None if settings.central_backups else Expiring(store, where.records),
        )

        def record_failure(job: Job, announcement: Announcement, error: LfkError) -> None:
            failures.save(failure_record(announcement, error, job))
            runner.confirm_failure(job)

        probes = Probes(
            store=store,
            roots=where,
            scratch=scratch,
            kind=kind,
            pool=pool,
            models=_default_models(settings),
            speech=SAMPLE,
            rendering=rendering(settings),
            stop=stop,
            registry_answers=messages.check,
        )
        threads = JobThreads(runner, slots + 1, probes=probes.by_suspect(), record_failure=record_failure)
        plan = HubPlan(
            group=settings.group,
            lanes=lanes(settings),
            weights={"fresh": 8, "retry": 4, "bulk": 1},
            topics=Topics(settings.topic_transcripts, settings.topic_retry, settings.topic_dlq),
            retry=RetryPolicy(settings.attempts, settings.backoff, settings.backoff_factor),
            engines=workers,
            slots=slots,
            settle_interval=settings.settle_interval,
            grace=settings.grace,
            breaker=settings.breaker,
            max_jobs=settings.max_jobs,
            exit_when_idle=settings.exit_when_idle,
        )
        hub = Hub(
            broker=broker,
            codec=messages,
            threads=threads,
            plan=plan,
            stop=stop,
            stop_engines=pool.close,
            describe=runner.describe,
            report=telemetry.page.told(report, of_answer),
            references_missed=_reconciling(settings, store, stack, stop),
            tracer=telemetry.tracer,
        )
        keeper = _backups_keeper(settings, store, broker, copies, hub)
        if keeper is not None:
            stack.callback(keeper.close)
        heartbeat = Heartbeat(store, where.records, lambda: _at_work(hub, workers, keeper))
        stack.callback(heartbeat.close)
        if settings.trim_interval:
            trimmer = Trimmer(broker, settings.group, tuple(plan.lanes.values()), settings.trim_interval)
            stack.callback(trimmer.close)
        telemetry.page.show("hub", lambda: _health(hub, pool), lambda: of_hub(hub, pool, plan.lanes))
        if telemetry.page.on and settings.backlog_interval:
            first = Partition(settings.topic_audio, 0)
            watch = watch_backlog(settings, broker, lambda: first in hub.in_hand)
            telemetry.page.count("backlog", watch.readings)
            stack.callback(watch.close)
        yield hub


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


def _reconciling(settings: Settings, store: ObjectStore, stack: ExitStack, stop: threading.Event) -> Callable[[], None]:
    """What a hub calls when references have gone from their topic unread: asks the store what is outstanding."""
    from lfk.roles.reconcile import Reconciliation

    where = roots(settings)
    reconciliation = Reconciliation(
        store, where, lambda: reference_sender(settings, store, "reconcile", bulk=True), stop
    )
    stack.callback(reconciliation.close)
    return reconciliation.ask


def _default_models(settings: Settings) -> tuple[str, ...]:
    """The exact default model, and what serves where its weights are not at hand."""
    default = KNOWN_MODELS[settings.default_model]
    fallback = settings.model_fallbacks.get(default)
    return (default, fallback) if fallback else (default,)


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
