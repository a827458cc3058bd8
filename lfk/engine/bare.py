"""WhisperX as its README has it, as an engine: what `lfk bench` holds lfk's own engines against.

Its model and batches are WhisperX's defaults, as are its threads. Recordings are decoded as for lfk's own engines, so
that no ffmpeg is needed; text is all it makes. Imports no speech library before it is started.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfk.core.transcript import Segment, Transcript
from lfk.engine.base import ModelIdentity, Outcome, Task
from lfk.engine.child_process import Launch
from lfk.engine.limits import EngineLimits
from lfk.engine.process import ProcessEngine
from lfk.engine.reporting import ChildEngine, Report
from lfk.engine.surroundings import engine_environment
from lfk.engine.weights import EngineWeights

#: The whisperx command's own.
_BATCH = 8
_MOST_SECONDS = 86_400.0


class BareKind:
    """Starts it with the weights that lfk would use."""

    name = "bare"

    def __init__(
        self,
        weights: EngineWeights,
        model: str,
        config: Mapping[str, Any],
        limits: EngineLimits,
        environ: Mapping[str, str],
    ) -> None:
        """``config``: device and compute_type, as WhisperX takes them."""
        self._weights = weights
        self._model = model
        self._config = config
        self._limits = limits
        # Threads are not to be chosen for it: as many as there are cores is what the libraries take by themselves.
        self._environ = engine_environment(environ, os.cpu_count() or 1)

    def identify(self, model: str) -> ModelIdentity:
        """See :class:`lfk.engine.base.EngineKind`."""
        return ModelIdentity(model, self._weights.whisper(model).revision)

    def start(self) -> ProcessEngine:
        """See :class:`lfk.engine.base.EngineKind`."""
        config = {**self._config, "path": str(self._weights.whisper(self._model).path), "model": self._model}
        return ProcessEngine(Launch("lfk.engine.bare:build", self._environ, config), self._limits)


class _Bare:
    """In its process."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        import whisperx

        english = "en" if str(config["model"]).endswith(".en") else None
        self._model = whisperx.load_model(
            config["path"],
            config["device"],
            compute_type=config["compute_type"],
            language=english,
            local_files_only=True,
        )

    def run(self, task: Task, report: Report) -> Outcome:
        """See :class:`lfk.engine.reporting.ChildEngine`."""
        from lfk.engine.media import decode

        audio = decode(Path(task.audio), task.scratch, _MOST_SECONDS)
        report.audio_is(audio.duration)
        found = self._model.transcribe(audio.samples, batch_size=_BATCH)
        segments = tuple(Segment(one["start"], one["end"], one["text"].strip()) for one in found["segments"])
        return Outcome(Transcript(found["language"], audio.duration, segments), {}, {"engine": "bare whisperx"})

    def rest(self) -> float | None:
        """See :class:`lfk.engine.reporting.ChildEngine`."""
        return None


def build(config: Mapping[str, Any]) -> ChildEngine:
    """As :mod:`lfk.engine.child` calls it."""
    return _Bare(config)
