"""What the hub asks of an engine: one job at a time, in a process of its own, within limits.

Refuses to know about brokers, stores or messages: an engine gets a file and a recipe, and returns a transcript.
This module is import-light; torch lives only in the child process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lfk.core.approaches import Stage
from lfk.core.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Task:
    """What an engine is to do with one audio file."""

    audio: Path
    #: sha256 of the audio's bytes in hex.
    sha256: str
    stages: tuple[Stage, ...]
    #: The exact model (``tiny.en``), never a name from a message.
    model: str
    #: Options that have passed their limits (``JobOptions.values``), e.g. ``language``.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: A folder of this job's own for intermediate files; the caller removes it.
    scratch: Path = Path()
    #: A recognition that is already known; the ``transcribe`` stage is skipped then.
    recognised: Transcript | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an engine found, and how long each stage took in seconds."""

    transcript: Transcript
    timings: Mapping[str, float]
    provenance: Mapping[str, Any]
    reused_stages: tuple[str, ...] = ()
    #: The recognition before alignment, for the checkpoint; None where it was given.
    recognised: Transcript | None = None


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The exact weights that serve a model: they are part of a job's identity."""

    name: str
    revision: str


@dataclass(frozen=True, slots=True)
class Vitals:
    """How an engine has fared."""

    #: Bytes that its process holds; 0 for one that has no process of its own.
    memory: int = 0
    #: Processes replaced because a task, or their start, had failed.
    failed: int = 0
    #: Processes replaced as planned: after many jobs, or because they had grown.
    recycled: int = 0


#: Called with the stage that runs and the part of the audio that is through, 0–1.
StageProgress = Callable[[str, float], None]
#: Called with the recognition as soon as it is there, so that it can be kept before later stages begin.
Recognised = Callable[[Transcript], None]


class Engine(Protocol):
    """One engine: not shared between threads while it runs a task."""

    @property
    def ready(self) -> bool:
        """It has started, loaded what it loads ahead, and would begin a task at once."""

    @property
    def vitals(self) -> Vitals:
        """As of now; asked for by other threads than the one that runs a task."""

    def run(self, task: Task, progress: StageProgress | None = None, recognised: Recognised | None = None) -> Outcome:
        """Do one task.

        A stage behind ``transcribe`` that fails costs the result nothing but that stage (and a warning), unless
        ``task.options`` say ``on_stage_error: fail``.

        Raises:
            MediaError: the audio cannot be used.
            EngineError: the engine failed; it is fit for the next task all the same, restarted if need be.
            ModelMissing, ModelInvalid: the weights are not at hand.
            InvalidOption: an option that the model or the audio rules out.
            ScratchFull: no room for intermediate files.
        """

    def close(self) -> None:
        """Stop the engine; within a few seconds, whatever it does. A task that runs ends in EngineCrashed."""


class EngineKind(Protocol):
    """A kind of engine (``whisperx``, ``canned``): says what would serve a model, and starts engines."""

    name: str

    def identify(self, model: str) -> ModelIdentity:
        """The weights that serve the exact model, without loading them.

        Raises:
            ModelMissing: they are nowhere.
            EngineUnavailable: this kind of engine is not installed.
        """

    def start(self) -> Engine:
        """A new engine; loading happens in the background or with the first task."""
