"""Engines in stock: a fixed number of them, all started at once, each lent to one job at a time.

First come, first served among jobs of one rank; a lower rank goes first, but passes nobody more than a few times.
Refuses to lend after it is closed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from lfk.core.errors import EngineCrashed
from lfk.engine.base import Engine, EngineKind, Vitals
from lfk.engine.team import Cooperative

#: What closing all engines may take in all; each one is killed, which takes well under a second.
CLOSE_SECONDS = 5.0
#: How often the job that has waited longest may be passed by later ones of a lower rank.
PASSES = 8


class _Waiter:
    """A job that waits for an engine."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.passed = 0
        self.served = threading.Event()
        self.engine: Engine | None = None


class EnginePool:
    """Owns its engines; safe for use by several threads."""

    def __init__(self, kind: EngineKind, workers: int) -> None:
        """Start ``workers`` engines; they load side by side while the caller goes on."""
        self._lock = threading.Lock()
        self._waiters: deque[_Waiter] = deque()
        self._closed = False
        self._engines: list[Engine] = []
        try:
            for _ in range(workers):
                self._engines.append(kind.start())
        except BaseException:
            self.close()
            raise
        self._free = deque(self._engines)
        for engine in self._engines:
            if workers > 1 and isinstance(engine, Cooperative):
                engine.cooperate(self.spare)

    @property
    def size(self) -> int:
        """Engines in all."""
        return len(self._engines)

    @property
    def busy(self) -> int:
        """Engines that are lent."""
        with self._lock:
            return len(self._engines) - len(self._free)

    @property
    def ready(self) -> int:
        """Engines, lent or free, that have started and loaded what they load ahead."""
        return sum(engine.ready for engine in self._engines)

    @property
    def vitals(self) -> list[Vitals]:
        """How each engine has fared; always in the same order."""
        return [engine.vitals for engine in self._engines]

    @contextmanager
    def engine(self, rank: int = 0) -> Iterator[Engine]:
        """Borrow an engine for a block; waits in line for as long as all are lent, before jobs of a higher rank.

        Raises:
            EngineCrashed: the pool is closed, or was while the caller waited.
        """
        engine = self._take(rank)
        try:
            yield engine
        finally:
            self._give_back(engine)

    @contextmanager
    def spare(self) -> Iterator[Engine | None]:
        """An engine that nobody needs now, for a block of a few seconds; None if there is none.

        Never one that still loads, and none while a job waits. A job that comes meanwhile waits for the block's end.
        """
        engine = self._unneeded()
        try:
            yield engine
        finally:
            if engine is not None:
                self._give_back(engine)

    def close(self) -> None:
        """Stop every engine, whatever it does; may be called again."""
        with self._lock:
            self._closed = True
            waiting, self._waiters = self._waiters, deque()
        for waiter in waiting:
            waiter.served.set()
        closing = [threading.Thread(target=engine.close, daemon=True) for engine in self._engines]
        for thread in closing:
            thread.start()
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in closing:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _take(self, rank: int) -> Engine:
        waiter = _Waiter(rank)
        with self._lock:
            if self._closed:
                raise EngineCrashed("the engines are stopped")
            if self._free:
                return self._free.popleft()
            self._waiters.append(waiter)
        waiter.served.wait()
        if waiter.engine is None:
            raise EngineCrashed("the engines were stopped before this job's turn came")
        return waiter.engine

    def _unneeded(self) -> Engine | None:
        with self._lock:
            if self._closed or self._waiters:
                return None
            engine = next((engine for engine in self._free if engine.ready), None)
            if engine is not None:
                self._free.remove(engine)
            return engine

    def _give_back(self, engine: Engine) -> None:
        with self._lock:
            if self._waiters:
                waiter = self._next()
                waiter.engine = engine
                waiter.served.set()
            else:
                self._free.append(engine)

    def _next(self) -> _Waiter:
        """Who is served now; no longer in line."""
        first = self._waiters[0]
        chosen = first if first.passed >= PASSES else min(self._waiters, key=lambda waiter: waiter.rank)
        if chosen is not first:
            first.passed += 1
        self._waiters.remove(chosen)
        return chosen
