"""Room for what is under way: whoever brings more waits, so that memory stays flat."""

from __future__ import annotations

import threading
import time


class Room:
    """Safe for use by several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def closed(self) -> bool:
        """Nobody is let in any more."""
        return self._closed

    @property
    def empty(self) -> bool:
        """All have left."""
        return self._taken == 0

    def enter(self, count: int, timeout: float | None) -> bool:
        """Take ``count`` places as soon as one is free, as what comes together must not be torn apart.

        False: it is closed, or ``timeout`` seconds are over.
        """
        until = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._taken >= self._limit and not self._closed:
                if not self._changed.wait(None if until is None else until - time.monotonic()):
                    return False
            if self._closed:
                return False
            self._taken += count
            return True

    def leave(self, count: int) -> None:
        """Give places back."""
        with self._changed:
            self._taken -= count
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more; those who wait go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
