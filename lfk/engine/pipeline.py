"""The speech engine inside its child process: decode, then the stages of the recipe, each within its own fence.

What a stage has found is told to the parent before the next one begins. A stage behind the recognition that fails
costs the transcript that stage and nothing else, unless the job says ``on_stage_error: fail``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from lfk import __version__
from lfk.core.errors import EngineUnavailable, InvalidOption, LfkError, ScratchFull
from lfk.core.transcript import Transcript
from lfk.engine.assistance import assist
from lfk.engine.base import Outcome, Task
from lfk.engine.faults import typed
from lfk.engine.media import Audio, decode
from lfk.engine.memory import give_back
from lfk.engine.reporting import ChildEngine, Report
from lfk.engine.shelf import Shelf
from lfk.engine.stages import STAGES
from lfk.engine.work import Work

log = logging.getLogger(__name__)

#: Tidying takes some milliseconds; between two of these an engine frees some 50 MB.
_TIDY_SECONDS = 5.0
#: Not the stage's own failure: another machine, another attempt, or other options would help, less of a result not.
_NEVER_DEGRADED = (EngineUnavailable, InvalidOption, ScratchFull)


class SpeechEngine:
    """Loaded models and the recipe's interpreter."""

    def __init__(self, models: Shelf, max_seconds: float) -> None:
        """``max_seconds``: the longest recording that is taken."""
        self._models = models
        self._max_seconds = max_seconds

    def run(self, task: Task, report: Report) -> Outcome:
        """See :class:`lfk.engine.reporting.ChildEngine`."""
        return _Run(self._models, task, report).through(self._max_seconds)

    def assist(self, kind: str, data: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        """See :class:`lfk.engine.reporting.Assistant`."""
        self._models.before_load = report.model_loads
        return assist(self._models, kind, data)

    def rest(self) -> float | None:
        """See :class:`lfk.engine.reporting.ChildEngine`."""
        return self._models.unload_idle()


class _Run:
    """One task."""

    def __init__(self, models: Shelf, task: Task, report: Report) -> None:
        self._models = models
        self._task = task
        self._report = report
        self._timings: dict[str, float] = {}
        self._made_by: dict[str, Any] = {}
        self._recognised: Transcript | None = None
        self._tidied = time.monotonic()

    def through(self, max_seconds: float) -> Outcome:
        task = self._task
        self._report.progress("decode", 0.0)
        started = time.monotonic()
        audio = decode(task.audio, task.scratch, max_seconds, lambda part: self._report.progress("decode", part))
        self._timings["decode"] = time.monotonic() - started
        self._report.audio_is(audio.duration)
        self._models.before_load = self._report.model_loads
        transcript = task.recognised or Transcript(None, audio.duration, warnings=audio.warnings)
        for stage in task.stages:
            if stage == "transcribe" and task.recognised is not None:
                self._timings[stage] = 0.0
            else:
                transcript = self._stage(stage, audio, transcript)
            if stage == "transcribe" and task.recognised is None:
                self._recognised = transcript
            self._report.checkpoint(self._outcome(transcript))
        return self._outcome(transcript)

    def _stage(self, stage: Any, audio: Audio, before: Transcript) -> Transcript:
        """What the stage makes of it; what was there before, with a warning, where it fails and may."""

        def told(part: float) -> None:
            self._report.progress(stage, part)
            self._tidy(audio)

        work = Work(self._task, audio, self._models, self._report.crew, told, made_by=self._made_by)
        self._report.progress(stage, 0.0)
        started, loaded = time.monotonic(), self._models.seconds_loading
        try:
            after = typed(lambda: STAGES[stage](work, before))
        except _NEVER_DEGRADED:
            raise
        except LfkError as error:
            if stage == "transcribe" or self._task.options.get("on_stage_error") == "fail":
                raise
            log.warning("%s failed, what was found before is kept: %s", stage, error)
            after = before.with_warnings(f"{stage} failed and is left out: {error}")
        loading = self._models.seconds_loading - loaded
        self._timings[stage] = time.monotonic() - started - loading
        if loading:
            self._timings["load"] = self._timings.get("load", 0.0) + loading
        self._report.progress(stage, 1.0)
        return after

    def _tidy(self, audio: Audio) -> None:
        """Now and then, so that hours of audio take no more memory than minutes."""
        if time.monotonic() - self._tidied >= _TIDY_SECONDS:
            self._tidied = time.monotonic()
            audio.release()
            give_back()

    def _outcome(self, transcript: Transcript) -> Outcome:
        return Outcome(
            transcript,
            {name: round(seconds, 4) for name, seconds in self._timings.items()},
            {**_provenance(self._models, self._task), **self._made_by},
            ("transcribe",) if self._task.recognised is not None else (),
            self._recognised,
        )


def _provenance(models: Shelf, task: Task) -> dict[str, Any]:
    return {
        "lfk": __version__,
        "whisperx": version("whisperx"),
        "engine": "whisperx",
        "model": task.model,
        "revision": models.weights.whisper(task.model).revision,
        **models.device.report(),
    }


def build(config: Mapping[str, Any]) -> ChildEngine:
    """As :mod:`lfk.engine.child` calls it; the keys of ``config`` are those that ``whisperx_kind`` writes.

    Raises:
        LfkError: the engine cannot work on this machine.
    """
    models = Shelf(config)
    for model in config.get("preload", ()):
        models.preload(model)
    return SpeechEngine(models, float(config["max_seconds"]))
