"""The real engine as the hub sees it: which weights would serve a model, and engines in processes of their own.

Imports no speech library: the hub process stays light, and survives what they do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lfk.core.errors import EngineUnavailable, LfkError
from lfk.engine.base import ModelIdentity
from lfk.engine.child_process import Launch
from lfk.engine.limits import EngineLimits
from lfk.engine.models.library import ModelLibrary, open_library
from lfk.engine.process import ProcessEngine
from lfk.engine.surroundings import engine_environment
from lfk.engine.weights import EngineWeights, sentence_data

_ENGINE = "lfk.engine.pipeline:build"
#: Loading takes its time once; a hub that starts without them would spend it on its first jobs.
_NEEDED = ("whisperx", "torch", "av")


@dataclass(frozen=True, slots=True)
class WhisperXPlan:
    """How engines compute; see the settings of the same names."""

    #: The folder of model weights.
    models: Path = Path("models")
    #: Where hashes of model files are remembered; None: nowhere.
    hashes: Path | None = None
    device: str = "auto"
    compute_type: str = "auto"
    #: 0 fits it to the device.
    batch_size: int = 0
    threads: int = 1
    #: Exact models that engines load when they start.
    preload: tuple[str, ...] = ()
    #: Bytes of weights that an engine keeps loaded; 0 means all that it has used.
    models_bytes: int = 0
    #: Weights that nobody used for so long are unloaded; 0 means never.
    idle_seconds: float = 0.0
    #: Longest recording in seconds.
    max_seconds: float = 12 * 3600.0


class WhisperXKind:
    """See the module."""

    name = "whisperx"

    def __init__(
        self,
        plan: WhisperXPlan,
        limits: EngineLimits,
        environment: Mapping[str, str],
        library: ModelLibrary | None = None,
        temporary: Path | None = None,
    ) -> None:
        """``environment``: the hub's own; what of it an engine gets is decided here.

        ``library``: over the same folder as the plan's, and able to fetch; without it only what is here is used.
        ``temporary``: where libraries leave temporary files; None for the system's.
        """
        self._plan = plan
        self._limits = limits
        self._environment = engine_environment(environment, plan.threads, sentence_data())
        self._library = library or open_library(plan.models, plan.hashes)
        self._weights = EngineWeights(self._library)
        self._temporary = temporary
        self._numbers = itertools.count()

    def identify(self, model: str) -> ModelIdentity:
        """See :class:`lfk.engine.base.EngineKind`."""
        _require_libraries(_NEEDED)
        self._library.stock()
        return ModelIdentity(model, self._weights.whisper(model).revision)

    def start(self) -> ProcessEngine:
        """A new engine; its process loads while the caller goes on.

        Raises:
            EngineUnavailable: this machine has not what it needs.
        """
        _require_libraries(_NEEDED)
        plan = self._plan
        config = {
            "models": str(plan.models.absolute()),
            "hashes": str(plan.hashes.absolute()) if plan.hashes else None,
            "device": plan.device,
            "compute_type": plan.compute_type,
            "batch_size": plan.batch_size,
            "threads": plan.threads,
            "preload": list(self._at_hand(plan.preload)),
            "models_bytes": plan.models_bytes,
            "idle_seconds": plan.idle_seconds,
            "max_seconds": plan.max_seconds,
            "number": next(self._numbers),
        }
        return ProcessEngine(Launch(_ENGINE, self._environment, config, self._temporary), self._limits)

    def _at_hand(self, models: Iterable[str]) -> Iterable[str]:
        for model in models:
            try:
                self._weights.whisper(model)
            except LfkError:
                continue
            yield model


def _require_libraries(names: Iterable[str]) -> None:
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise EngineUnavailable(f"the speech engine is not installed: {', '.join(missing)} missing")
