"""What an engine inside a child process is, and what it tells its parent while it works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from lfk.engine.base import Outcome, Task
from lfk.engine.crew import Crew


class Report(Protocol):
    """The parent's ear. The parent allows time by what it hears, so the order of calls matters."""

    #: Who does pieces of a long recording.
    crew: Crew

    def progress(self, stage: str, part: float) -> None:
        """``part`` (0–1) of the audio is through this stage."""

    def audio_is(self, seconds: float) -> None:
        """The audio's length, as soon as it is known."""

    def model_loads(self) -> None:
        """A model is about to be loaded, which takes time that is not the audio's fault."""

    def checkpoint(self, outcome: Outcome) -> None:
        """What is there after a stage: it survives if a later stage brings the process down."""


class ChildEngine(Protocol):
    """One engine in a process of its own."""

    def run(self, task: Task, report: Report) -> Outcome:
        """As :meth:`lfk.engine.base.Engine.run`."""

    def rest(self) -> float | None:
        """Give back what has not been needed for long. Called between tasks; seconds until it is worth calling again,
        None if that is not before the next task."""


@runtime_checkable
class Assistant(Protocol):
    """An engine that also does pieces of others' tasks."""

    def assist(self, kind: str, data: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        """Do one :class:`lfk.engine.crew.Piece` of another engine's task; what was found, as JSON.

        Raises:
            LfkError: it cannot be done here.
        """
