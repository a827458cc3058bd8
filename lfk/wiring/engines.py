"""Engines: which kind, how many, and what each may take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lfk.core.approaches import KNOWN_MODELS
from lfk.environment import inherited
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.models import hashes_file, models_folder, open_library

if TYPE_CHECKING:
    from lfk.engine.base import EngineKind
    from lfk.engine.limits import EngineLimits

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
        preload=default_models(settings),
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


def default_models(settings: Settings) -> tuple[str, ...]:
    """The exact default model, and what serves where its weights are not at hand."""
    default = KNOWN_MODELS[settings.default_model]
    fallback = settings.model_fallbacks.get(default)
    return (default, fallback) if fallback else (default,)
