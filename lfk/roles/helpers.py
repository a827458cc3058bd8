"""Threads that help with a handful of errands at once, such as the writes of one transcript's files.

Kept and not made for each occasion: on a busy machine starting a thread costs more than a write. A process that ends
waits for none of them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from functools import partial
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Helpers:
    """Safe for use by several threads; errands must not ask for help themselves."""

    def __init__(self, count: int, name: str) -> None:
        """At most ``count`` threads, started when there is something to do for the first time."""
        self._count = count
        self._name = name
        self._lock = threading.Lock()
        self._started = False
        self._errands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def begin(self, do: Callable[[], R]) -> Future[R]:
        """Have something done beside the caller, who asks for what came of it later, or for whether it is over."""
        self._start()
        future: Future[R] = Future()
        self._errands.put(_errand(future, do))
        return future

    def each(self, do: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """What ``do`` makes of each item, in their order; the caller does its part.

        Returns, or raises what the first of the failed ones raised, when all have come to an end.
        """
        self._start()
        futures: list[Future[R]] = []
        for item in items:
            future: Future[R] = Future()
            futures.append(future)
            self._errands.put(_errand(future, partial(do, item)))
        while not all(future.done() for future in futures):
            try:
                errand = self._errands.get_nowait()
            except queue.Empty:
                break
            errand()
        wait(futures)
        return [future.result() for future in futures]

    def _start(self) -> None:
        with self._lock:
            if not self._started:
                self._started = True
                for number in range(self._count):
                    threading.Thread(target=self._help, name=f"{self._name}-{number}", daemon=True).start()

    def _help(self) -> None:
        while True:
            self._errands.get()()


def _errand(future: Future[R], do: Callable[[], R]) -> Callable[[], None]:
    """Settles the future with what comes of it; whoever runs it is at what the caller is at."""
    context = copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(do))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            future.set_exception(error)

    return run
