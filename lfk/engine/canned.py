"""The canned engine (``LFK_ENGINE=canned``): quick and always the same, for rehearsals of delivery and capacity.

It never opens the audio: what it "hears" is made from the sha256 of the bytes, so equal audio has equal transcripts
on every hub. Nothing in a transcript looks like speech that was said, and the provenance says what made it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lfk import __version__
from lfk.core.errors import EngineCrashed
from lfk.core.languages import MULTI
from lfk.core.transcript import Segment, Transcript, Turn, Word
from lfk.engine.base import ModelIdentity, Outcome, Recognised, StageProgress, Task, Vitals
from lfk.engine.reporting import ChildEngine, Report

_LEXICON = """
    amber basil cedar delta ember fjord grove harbor indigo juniper kelp lagoon meadow nectar orchid pebble quartz
    river saffron tundra umber violet willow yarrow zephyr
    """
_WORDS = tuple(_LEXICON.split())
_SPEAKERS = 2
_REVISION = "canned-1"


class CannedKind:
    """See the module."""

    name = "canned"

    def __init__(self, seconds: float = 0.0) -> None:
        """``seconds``: how long each task takes (LFK_CANNED_SECONDS)."""
        self._seconds = seconds

    def identify(self, model: str) -> ModelIdentity:
        """Serves every model."""
        return ModelIdentity(model, _REVISION)

    def start(self) -> CannedEngine:
        """A new engine in this process."""
        return CannedEngine(self._seconds)


class CannedEngine:
    """Waits, then answers. Needs no process of its own; :func:`build` makes one for a child, to rehearse crashes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._closed = threading.Event()

    @property
    def ready(self) -> bool:
        """Until it is closed."""
        return not self._closed.is_set()

    @property
    def vitals(self) -> Vitals:
        """It has no process to lose."""
        return Vitals()

    def run(self, task: Task, progress: StageProgress | None = None, recognised: Recognised | None = None) -> Outcome:
        """See :class:`lfk.engine.base.Engine`."""
        timings: dict[str, float] = {}
        transcript = found = task.recognised or _recognise(task)
        for stage in task.stages:
            reused = stage == "transcribe" and task.recognised is not None
            if progress is not None:
                progress(stage, 0.0)
            timings[stage] = 0.0 if reused else self._take(self._seconds / len(task.stages))
            if stage == "transcribe" and not reused and recognised is not None:
                recognised(found)
            elif stage == "align":
                transcript = _align(transcript)
            elif stage == "diarise":
                transcript = _diarise(transcript)
            if progress is not None:
                progress(stage, 1.0)
        reused_stages = ("transcribe",) if task.recognised else ()
        return Outcome(
            transcript, timings, provenance(task), reused_stages, None if task.recognised is not None else found
        )

    def close(self) -> None:
        """Ends a task that runs."""
        self._closed.set()

    def _take(self, seconds: float) -> float:
        started = time.monotonic()
        if self._closed.wait(seconds):
            raise EngineCrashed("the engine was stopped")
        return time.monotonic() - started


class _InChild:
    """The same engine behind a child's pipes."""

    def __init__(self, engine: CannedEngine) -> None:
        self._engine = engine

    def run(self, task: Task, report: Report) -> Outcome:
        """See :class:`lfk.engine.reporting.ChildEngine`."""
        report.audio_is((task.recognised or _recognise(task)).duration or 0.0)

        def recognised(found: Transcript) -> None:
            report.checkpoint(Outcome(found, {}, provenance(task), (), found))

        return self._engine.run(task, report.progress, recognised)

    def rest(self) -> float | None:
        """It holds nothing."""
        return None


def build(config: Mapping[str, Any]) -> ChildEngine:
    """The engine for a child process; ``config`` may hold ``seconds``."""
    return _InChild(CannedEngine(float(config.get("seconds", 0.0))))


def provenance(task: Task) -> dict[str, Any]:
    """Says that nobody listened."""
    return {
        "lfk": __version__,
        "engine": "canned",
        "model": task.model,
        "revision": _REVISION,
        "device": "none",
        "compute_type": "none",
    }


def _recognise(task: Task) -> Transcript:
    """Four to eight segments, a pause behind each; the text begins with the start of the sha256."""
    chance = random.Random(task.sha256)  # noqa: S311 - repeatable text, no secret
    segments: list[Segment] = []
    at = 0.5
    for number in range(chance.randint(4, 8)):
        words = [chance.choice(_WORDS) for _ in range(chance.randint(4, 10))]
        text = f"canned {task.sha256[:8]} {number + 1} {' '.join(words)}."
        end = round(at + 0.4 * len(text.split()), 3)
        segments.append(Segment(at, end, text))
        at = round(end + chance.choice((0.2, 0.4, 0.9, 1.5)), 3)
    language = task.options.get("language", MULTI)
    return Transcript("en" if language == MULTI else language, round(at + 0.5, 3), tuple(segments))


def _align(transcript: Transcript) -> Transcript:
    return replace(transcript, segments=tuple(_with_words(segment) for segment in transcript.segments))


def _with_words(segment: Segment) -> Segment:
    texts = segment.text.split()
    step = (segment.end - segment.start) / max(1, len(texts))
    words = tuple(
        Word(text, round(segment.start + step * at, 3), round(segment.start + step * (at + 1), 3), 0.9)
        for at, text in enumerate(texts)
    )
    return replace(segment, words=words)


def _diarise(transcript: Transcript) -> Transcript:
    """Speakers take turns segment by segment."""
    segments = []
    for number, segment in enumerate(transcript.segments):
        speaker = f"SPEAKER_{number % _SPEAKERS:02d}"
        words = tuple(replace(word, speaker=speaker) for word in segment.words)
        segments.append(replace(segment, words=words, speaker=speaker))
    turns = tuple(Turn(s.start, s.end, s.speaker) for s in segments if s.speaker)
    return replace(transcript, segments=tuple(segments), turns=turns)
