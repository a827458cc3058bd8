"""Loaded models: each is loaded once and stays, until room is needed for another or nobody has asked for it in a while.

One shelf per engine, used by one thread at a time. What is loaded is counted by the size of its weights on disk.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfk.core.errors import LfkError
from lfk.engine.device import choose_device
from lfk.engine.memory import give_back
from lfk.engine.model_cache import ModelCache
from lfk.engine.models.base import Weights
from lfk.engine.models.library import open_library
from lfk.engine.weights import EngineWeights

if TYPE_CHECKING:
    from lfk.engine.alignment import Aligner
    from lfk.engine.diariser.diariser import Diariser
    from lfk.engine.speech import SpeechDetector
    from lfk.engine.whisper import Recogniser

log = logging.getLogger(__name__)


class Shelf:
    """See the module. ``config`` is the engine's (see ``whisperx_kind``)."""

    def __init__(self, config: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        """Choose the device; load nothing yet.

        Raises:
            EngineUnavailable: as :func:`choose_device`.
        """
        self.device = choose_device(config)
        hashes = config.get("hashes")
        self.weights = EngineWeights(
            open_library(Path(config.get("models", "models")), Path(hashes) if hashes else None)
        )
        #: Called before a model is loaded.
        self.before_load: Callable[[], None] = _nobody
        #: Seconds that loading has taken in all.
        self.seconds_loading = 0.0
        self._loaded: ModelCache[Any] = ModelCache(
            budget=int(config.get("models_bytes", 0)),
            idle_seconds=float(config.get("idle_seconds", 0.0)),
            clock=clock,
            unloaded=self._unloaded,
        )

    def preload(self, model: str) -> None:
        """Load what jobs with that model need. A model that is not there is the job's failure, not the start's."""
        try:
            self.detector()
            self.recogniser(model)
        except LfkError as error:
            log.warning("%s is not loaded ahead: %s", model, error)

    def recogniser(self, model: str) -> Recogniser:
        """Whisper.

        Raises:
            ModelMissing, ModelInvalid: its weights are not there, or not usable.
        """
        weights = self.weights.whisper(model)

        def load() -> Recogniser:
            from lfk.engine.whisper import Recogniser

            return Recogniser(weights, self.device)

        found: Recogniser = self._get("whisper", weights, load)
        return found

    def detector(self) -> SpeechDetector:
        """Voice activity detection.

        Raises:
            ModelMissing, ModelInvalid: as above.
        """
        weights = self.weights.segmentation()

        def load() -> SpeechDetector:
            from lfk.engine.speech import SpeechDetector

            return SpeechDetector(weights.file, self.device.name)

        found: SpeechDetector = self._get("detector", weights, load)
        return found

    def aligner(self, language: str) -> Aligner | None:
        """The aligner of a language; None where there is none.

        Raises:
            ModelInvalid: its weights are not usable.
        """
        weights = self.weights.aligner(language)
        if weights is None:
            return None

        def load() -> Aligner:
            from lfk.engine.alignment import Aligner

            return Aligner(weights, language, self.device)

        found: Aligner = self._get("aligner", weights, load)
        return found

    def diariser(self) -> Diariser:
        """Who speaks when.

        Raises:
            ModelMissing, ModelInvalid: as above.
        """
        segmentation, encoder = self.weights.segmentation(), self.weights.encoder()

        def load() -> Diariser:
            from lfk.engine.diariser.diariser import Diariser

            return Diariser(segmentation.file, encoder.file, device=self.device.name)

        found: Diariser = self._get("diariser", encoder, load)
        return found

    @property
    def diariser_name(self) -> str:
        """For the provenance."""
        parts = (self.weights.segmentation(), self.weights.encoder())
        return "+".join(f"{part.name}@{part.revision}" for part in parts)

    def unload_idle(self) -> float | None:
        """Drop what nobody has asked for in a long time; seconds until there may be more, None if nothing is left."""
        return self._loaded.sweep()

    def _get(self, kind: str, weights: Weights, load: Callable[[], Any]) -> Any:
        def counted() -> Any:
            self.before_load()
            started = time.monotonic()
            model = load()
            self.seconds_loading += time.monotonic() - started
            return model

        # One thread works here, and is through with a model before it asks for another.
        with self._loaded.use((f"{kind} {weights.name}", weights.revision), counted, weights.size) as model:
            return model

    def _unloaded(self, key: Hashable) -> None:
        log.info("unloaded %s", key)
        gc.collect()
        give_back()
        if self.device.kind == "cuda":
            import torch

            torch.cuda.empty_cache()


def _nobody() -> None:
    return None
