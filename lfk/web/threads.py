"""Blocking calls of store and broker, on a bounded number of threads with a bounded queue before them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: As many as a store's kept connections have room for.
THREADS = 16
#: More callers than this would wait longer for their turn than people wait.
_WAITING = 64


class Busy(Exception):
    """All threads are taken, and so is the queue."""


class Threads:
    """Used from one event loop."""

    def __init__(self, threads: int = THREADS, waiting: int = _WAITING) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lfk-web")
        self._room = threads + waiting
        self._taken = 0
        self._lock = threading.Lock()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``work`` returns; whoever calls waits without a thread of their own.

        Raises:
            Busy: there is no room.
        """
        with self._lock:
            if self._taken >= self._room:
                raise Busy
            self._taken += 1
        future = self._pool.submit(work, *args, **kwargs)
        # A caller that goes away does not free the thread: the call does, once it has ended.
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    @property
    def taken(self) -> int:
        """Calls that run or wait."""
        return self._taken

    def close(self) -> None:
        """Begin nothing more, and wait for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _leave(self, _future: Future[T]) -> None:
        with self._lock:
            self._taken -= 1
