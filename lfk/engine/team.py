"""The parent's side of sharing a long recording: finds engines that are free, and carries pieces to them and back.

One for each task that runs. An engine is borrowed for one piece at a time, a few seconds of work, and only while no job
waits for one. Whatever happens to it, its piece goes back undone and the task's own engine does it.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from lfk.core.errors import LfkError
from lfk.engine.child_process import ChildGone, ChildProcess

log = logging.getLogger(__name__)

#: How often it is looked whether an engine has become free.
_LOOK_SECONDS = 0.2
#: More helpers than this share one recording no faster: the steps between the shared ones are left.
_MOST_HELPERS = 7

#: Lends an engine that nobody needs for a block, or None.
Spare = Callable[[], AbstractContextManager[object]]


@runtime_checkable
class Helper(Protocol):
    """An engine that does pieces of others' tasks."""

    def assist(self, kind: str, seconds: float, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do one piece of so many seconds of audio.

        Raises:
            LfkError: it could not; the engine is fit for its next task.
        """


@runtime_checkable
class Cooperative(Protocol):
    """An engine whose long tasks others may help with."""

    def cooperate(self, spare: Spare) -> None:
        """Where it finds them."""


class Did(Enum):
    """What became of a borrowed engine."""

    PIECE = "piece"
    NOTHING = "nothing"
    FAILED = "failed"


class Team:
    """Helpers of one task. :meth:`hear` and :meth:`close` are for the thread that runs it."""

    def __init__(self, owner: ChildProcess, spare: Spare | None) -> None:
        self._owner = owner
        self._spare = spare
        self._closed = threading.Event()
        #: Over when the owner has nothing more to share; a new one for each stage.
        self._over = threading.Event()
        self._sending = threading.Lock()
        self._claimed: list[queue.SimpleQueue[Mapping[str, Any]]] = []

    def hear(self, message: Mapping[str, Any]) -> None:
        """The owner offers pieces, has none left, or answers a claim."""
        if message["type"] == "claimed":
            self._claimed[message["by"]].put(message)
            return
        self._over.set()
        if not message["pieces"] or self._spare is None:
            return
        self._over = over = threading.Event()
        for _ in range(min(message["pieces"] - 1, _MOST_HELPERS)):
            self._claimed.append(queue.SimpleQueue())
            number = len(self._claimed) - 1
            name = f"lfk-helper-{self._owner.pid}-{number}"
            threading.Thread(target=self._help, args=(number, over, self._spare), name=name, daemon=True).start()

    def close(self) -> None:
        """The task is over. A helper that is in the middle of a piece ends it, and nobody hears of it.

        Nothing more is sent from here on, not even what was about to be: it would meet the child's next task.
        """
        with self._sending:
            self._closed.set()
        self._over.set()

    def _help(self, number: int, over: threading.Event, spare: Spare) -> None:
        """Piece after piece, whenever an engine is free, until there are no more."""
        try:
            while not over.is_set():
                with spare() as engine:
                    did = self._one_piece(number, engine) if isinstance(engine, Helper) else Did.NOTHING
                if did is Did.FAILED:
                    # What brings one engine down may bring down the next, and this is meant to save time.
                    return
                if did is Did.NOTHING:
                    over.wait(_LOOK_SECONDS)
        except ChildGone:
            # The task's own engine has ended, and so has the task.
            return

    def _one_piece(self, number: int, engine: Helper) -> Did:
        piece = self._claim(number)
        if piece is None:
            return Did.NOTHING
        answer = self._done(engine, piece)
        self._send({"type": "piece", "number": piece["number"], "turn": piece["turn"], "answer": answer})
        return Did.FAILED if answer is None else Did.PIECE

    def _claim(self, number: int) -> Mapping[str, Any] | None:
        """A piece, or None if there is none left."""
        self._send({"type": "claim", "by": number})
        while not self._closed.is_set():
            try:
                piece = self._claimed[number].get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                # What was granted must be done or brought back, so only the end of the task ends the wait.
                continue
            return None if piece["number"] is None else piece
        return None

    @staticmethod
    def _done(engine: Helper, piece: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            return engine.assist(piece["work"], piece["seconds"], piece["data"])
        except LfkError as error:
            log.warning("a helper could not do its piece, the job's own engine does it: %s", error)
        except Exception:
            # The job must not wait for it, and so be blamed for a fault of lfk itself.
            log.exception("a fault of lfk itself in a helper, the job's own engine does its piece")
        return None

    def _send(self, message: Mapping[str, Any]) -> None:
        with self._sending:
            if not self._closed.is_set():
                self._owner.send(message)
