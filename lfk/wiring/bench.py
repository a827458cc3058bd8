"""The bench of `lfk bench`: sets of engines over the settings' models and devices."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lfk.core.approaches import KNOWN_MODELS
from lfk.core.errors import ModelMissing, UsageError
from lfk.environment import inherited
from lfk.settings import Settings
from lfk.wiring.engines import engine_kind, engine_limits, worker_count
from lfk.wiring.models import open_library
from lfk.wiring.references import request

if TYPE_CHECKING:
    from lfk.engine.pool import EnginePool

BARE = "WhisperX, one process, its own threads"


@contextmanager
def bench_ways(settings: Settings) -> Iterator[tuple[Mapping[str, EnginePool], str]]:
    """The ways to compare by name, and the exact model that all of them use.

    Raises:
        ModelMissing, EngineUnavailable: nothing to measure with.
        UsageError: an engine that makes its text up.
    """
    if settings.engine != "whisperx":
        raise UsageError(
            f"LFK_ENGINE={settings.engine} transcribes nothing, so there is nothing to measure", hint="unset LFK_ENGINE"
        )
    from lfk.engine.bare import BareKind
    from lfk.engine.pool import EnginePool
    from lfk.engine.weights import EngineWeights

    weights = EngineWeights(open_library(settings, None))
    model = KNOWN_MODELS[request(settings).model or settings.default_model]
    try:
        weights.whisper(model)
    except ModelMissing:
        model = settings.model_fallbacks.get(model, model)
        weights.whisper(model)
    device = "cpu" if settings.device == "auto" and not _gpus() else settings.device.replace("auto", "cuda")
    compute = settings.compute_type.replace("auto", "float16" if device == "cuda" else "int8")
    config = {"device": device, "compute_type": compute}
    several = worker_count(settings)
    with ExitStack() as stack:

        def pool(workers: int) -> EnginePool:
            one = EnginePool(engine_kind(dataclasses.replace(settings, default_model=model, workers=workers)), workers)
            stack.callback(one.close)
            return one

        bare = EnginePool(BareKind(weights, model, config, engine_limits(settings), inherited()), 1)
        stack.callback(bare.close)
        ways = {BARE: bare, f"lfk, 1 engine, {settings.threads} thread(s)": pool(1)}
        if several > 1:
            ways[f"lfk, {several} engines, {settings.threads} thread(s) each"] = pool(several)
        yield ways, model


def _gpus() -> int:
    from lfk.engine.machine import gpu_count

    return gpu_count(inherited())
