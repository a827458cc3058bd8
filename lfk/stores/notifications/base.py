"""The protocol between what tells of new objects and who makes references of it.

A source hands over *deliveries*; each is ended exactly once, when everything in it is confirmed or has failed, so that
the source can delete, answer, or leave it to be delivered again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from lfk.core.notifications import Notification


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message of a source."""

    notification: Notification
    #: Called once, from some thread, and does not block: True if everything in it is dealt with.
    ended: Callable[[bool], None]


class Intake(Protocol):
    """Where a source hands over what it is told. Safe for use by several threads."""

    @property
    def closed(self) -> bool:
        """Nothing more is taken; what was taken is still ended."""

    def offer(self, delivery: Delivery, timeout: float | None = None) -> bool:
        """Hand over, as soon as there is room.

        False: not taken (and never ended), as it is closed or there was no room in ``timeout`` seconds.
        """

    def refused(self, reason: str) -> None:
        """A message came that is none of the known forms."""

    def missed(self) -> None:
        """Until now notifications may have been lost: the store has to be asked."""


class Source(Protocol):
    """Tells of new objects. A context manager for as long as the service lives, in which it is run perhaps often."""

    #: What to show to people; never with secrets.
    address: str

    def __enter__(self) -> Source:
        """Raises UsageError if it cannot be used here at all."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of everything."""

    def check(self) -> str:
        """Find out, once it is entered, whether it could be run, and say so; nothing is taken from it.

        Raises:
            Unreachable: it is not there.
            LfkError: it refuses.
        """

    def run(self, intake: Intake) -> None:
        """Hand over what comes until the intake is closed and everything that it took is ended.

        Raises:
            Unreachable: it went away, or is not there; it may be run again.
            LfkError: it refuses.
        """


class Trial:
    """An :class:`Intake` that takes nothing, and is closed once its source has begun to tell."""

    def __init__(self) -> None:
        self.closed = False

    def offer(self, delivery: Delivery, timeout: float | None = None) -> bool:  # noqa: ARG002 - none is taken
        """Nothing is taken."""
        return False

    def refused(self, reason: str) -> None:
        """Whatever comes is none of ours."""

    def missed(self) -> None:
        """It tells: that is all there was to find out."""
        self.closed = True
