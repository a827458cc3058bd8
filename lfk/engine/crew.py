"""The child's side of sharing a long recording: pieces of a stage, some of them done by engines that are free.

The engine whose task it is works from the front; the parent claims pieces from the back for whoever is free, and sends
what they found. Pieces are cut in the same way whether anybody helps or not, and put together in their order, so the
outcome is the same. A piece that comes back undone, whatever became of the helper, is done here: a helper can cost a
task time, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lfk.engine.wire import Message

T = TypeVar("T")

#: What the parent says about pieces; the crew hears these while the engine's thread computes.
HEARD = frozenset({"claim", "piece"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a stage that can be done for itself: what to do, on how many seconds of audio, with what (JSON)."""

    kind: str
    seconds: float
    data: Mapping[str, Any]


class Crew:
    """One stage at a time; :meth:`hear` is called by the thread that listens to the parent."""

    def __init__(self, send: Callable[..., None]) -> None:
        """``send(kind, **values)`` tells the parent."""
        self._send = send
        self._lock = threading.Condition()
        self._pieces: Sequence[Piece] = ()
        #: Which sharing this is: a late answer of an earlier one, which failed, means nothing.
        self._turn = 0
        #: Pieces from here on (exclusive) are lent; those before :attr:`_front` are done here.
        self._back = 0
        self._front = 0
        #: What helpers found, by piece; None where it came back undone.
        self._found: dict[int, Message | None] = {}

    def share(
        self,
        pieces: Sequence[Piece],
        own: Callable[[int], T],
        theirs: Callable[[int, Message], T],
        done: Callable[[], None],
    ) -> list[T]:
        """The outcome of every piece, in order.

        Args:
            pieces: at least two, of about the same size.
            own: does a piece here.
            theirs: makes an outcome of what a helper sent for a piece.
            done: called behind each piece.
        """
        found: dict[int, T] = {}
        with self._lock:
            self._pieces, self._front, self._back, self._found = pieces, 0, len(pieces), {}
            self._turn += 1
        self._send("offer", pieces=len(pieces))
        try:
            while (number := self._next()) is not None:
                found[number] = own(number)
                done()
            for number in range(self._back, len(pieces)):
                answer = self._wait(number)
                found[number] = own(number) if answer is None else theirs(number, answer)
                done()
        finally:
            with self._lock:
                self._pieces, self._front, self._back = (), 0, 0
            self._send("offer", pieces=0)
        return [found[number] for number in range(len(pieces))]

    def hear(self, message: Message) -> None:
        """The parent claims a piece for a helper, or brings one back."""
        if message["type"] == "claim":
            self._send("claimed", by=message["by"], **self._lend())
            return
        with self._lock:
            if message["turn"] == self._turn:
                self._found[message["number"]] = message["answer"]
                self._lock.notify_all()

    def _next(self) -> int | None:
        """The next piece from the front that nobody has; None if all are done or lent."""
        with self._lock:
            if self._front >= self._back:
                return None
            self._front += 1
            return self._front - 1

    def _lend(self) -> Message:
        """The last piece that nobody has, for the parent; without a number if there is none."""
        with self._lock:
            if self._front >= self._back:
                return {"number": None}
            self._back -= 1
            piece = self._pieces[self._back]
            about = {"number": self._back, "turn": self._turn}
            return {**about, "work": piece.kind, "seconds": piece.seconds, "data": dict(piece.data)}

    def _wait(self, number: int) -> Message | None:
        """What came of a lent piece. The parent holds helpers to their time, and this task to its own."""
        with self._lock:
            self._lock.wait_for(lambda: number in self._found)
            return self._found.pop(number)
