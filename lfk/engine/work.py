"""One task in the hands of its engine, as the stages see it, and how it has parts of it done by others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lfk.engine.base import Task
from lfk.engine.crew import Crew, Piece

if TYPE_CHECKING:
    from lfk.engine.media import Audio
    from lfk.engine.shelf import Shelf

T = TypeVar("T")


@dataclass
class Work:
    """One task in hand."""

    task: Task
    audio: Audio
    models: Shelf
    crew: Crew
    #: Called with the part (0–1) of the running stage that is through.
    progress: Callable[[float], None]
    #: What made the transcript, by role, e.g. ``aligner``.
    made_by: dict[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> Mapping[str, Any]:
        """Of the task."""
        return self.task.options

    def share(
        self,
        pieces: Sequence[Piece],
        own: Callable[[int, Callable[[float], None]], T],
        theirs: Callable[[Mapping[str, Any]], T],
        progress: Callable[[float], None],
    ) -> list[T]:
        """The outcome of every piece in order, with the help of engines that have nothing to do.

        Args:
            pieces: of a stage. Each gets the audio to work on.
            own: does the piece of that number here, and tells its progress.
            theirs: makes an outcome of what a helper sent.
            progress: of all pieces together.
        """
        through = 0

        def done() -> None:
            nonlocal through
            through += 1
            progress(through / len(pieces))

        def here(number: int) -> T:
            return own(number, lambda part: progress((through + part) / len(pieces)))

        if len(pieces) < 2 or self.audio.name is None:
            found = []
            for number in range(len(pieces)):
                found.append(here(number))
                done()
            return found
        sent = [replace(piece, data={**piece.data, "audio": self.audio.name}) for piece in pieces]
        return self.crew.share(sent, here, lambda _number, answer: theirs(answer), done)
