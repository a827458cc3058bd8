"""The engine's decoder in a child process of its own, and nothing behind it: what hostile media meets first.

The process, its pipes and its limits are the real engine's; only the stages behind the decoder are left out, so that
hundreds of files take seconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lfk.core.transcript import Transcript
from lfk.engine.base import Outcome, Task
from lfk.engine.child_process import Launch
from lfk.engine.limits import EngineLimits
from lfk.engine.media import decode
from lfk.engine.process import ProcessEngine
from lfk.engine.reporting import Report
from lfk.engine.surroundings import engine_environment

_ROOT = Path(__file__).resolve().parents[2]
_BLOCK = 1 << 22


class DecodingEngine:
    """Decodes, looks at every sample, and tells the length."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._max_seconds = float(config["max_seconds"])

    def run(self, task: Task, report: Report) -> Outcome:
        """As the real engine's, up to where its stages begin."""
        report.progress("decode", 0.0)
        audio = decode(task.audio, task.scratch, self._max_seconds, lambda part: report.progress("decode", part))
        report.audio_is(audio.duration)
        for start in range(0, len(audio.samples), _BLOCK):
            block = audio.samples[start : start + _BLOCK]
            if not np.isfinite(block).all() or np.abs(block).max(initial=0.0) > 1.0:
                raise ValueError("samples that are none")
            audio.release()
        return Outcome(Transcript(None, audio.duration, warnings=audio.warnings), {}, {"pid": os.getpid()})

    def rest(self) -> float | None:
        """Nothing to give back."""
        return None


def build(config: Mapping[str, Any]) -> DecodingEngine:
    """As :mod:`lfk.engine.child` calls it."""
    return DecodingEngine(config)


def decoding_engine(limits: EngineLimits, max_seconds: float) -> ProcessEngine:
    """A decoder in its own process; whoever asked for it closes it."""
    path = os.pathsep.join([str(_ROOT), *filter(None, sys.path)])
    environment = engine_environment({**os.environ, "PYTHONPATH": path}, threads=1)
    return ProcessEngine(Launch("tests.fuzz.decoder:build", environment, {"max_seconds": max_seconds}), limits)
