"""What an engine inside a child process is, and what it tells its parent while it works."""

from __future__ import annotations

from typing import Protocol

from lfk.engine.base import Outcome, Task


class Report(Protocol):
    """The parent's ear. The parent allows time by what it hears, so the order of calls matters."""

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
