"""Loaded models in one memory budget: the least recently used goes first, and idle ones go by themselves.

Knows nothing of what a model is, and never unloads one that is in use. The clock is passed in; nothing runs in the
background, so whoever owns a cache calls :meth:`ModelCache.sweep` while it waits for work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

Model = TypeVar("Model")


class _Held(Generic[Model]):
    """One loaded model, or one that is being loaded."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.users = 0
        self.last = 0.0
        self.model: Model | None = None
        self.loaded = threading.Event()
        self.failed = False

    def get(self) -> Model:
        """The model, once it is loaded."""
        if self.model is None:
            raise LookupError("the model is not loaded")
        return self.model


class ModelCache(Generic[Model]):
    """Safe for use by several threads; a model is loaded once, however many ask for it at a time."""

    def __init__(
        self,
        *,
        budget: int,
        idle_seconds: float,
        clock: Callable[[], float],
        unloaded: Callable[[Hashable], None] | None = None,
    ) -> None:
        """Start empty.

        Args:
            budget: bytes that loaded models may take together; 0 means no limit.
            idle_seconds: a model that nobody used for so long is unloaded; 0 means never.
            clock: seconds that only grow.
            unloaded: told the key of each model just after it was dropped, to give back what else can be.
        """
        self._budget = budget
        self._idle = idle_seconds
        self._clock = clock
        self._unloaded = unloaded
        self._lock = threading.Lock()
        self._held: dict[Hashable, _Held[Model]] = {}

    @property
    def size(self) -> int:
        """Bytes of what is loaded or being loaded."""
        with self._lock:
            return sum(held.size for held in self._held.values())

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._held

    @contextmanager
    def use(self, key: Hashable, load: Callable[[], Model], size: int) -> Iterator[Model]:
        """The model of that key for a block, loaded if it is not there.

        Room is made before loading, and only then: a model stays until another needs its room. One that alone is over
        the budget, or does not fit beside those in use, is loaded all the same, as to refuse would never end.

        Args:
            key: what the model is known by, such as name and revision.
            load: called without any lock, by one thread only.
            size: bytes that it takes, as far as known; the size of its files is a good guess.

        Raises:
            Exception: whatever ``load`` raises. The next use loads again.
        """
        held = self._enter(key, size) or self._load(key, load)
        try:
            yield held.get()
        finally:
            self._leave(held)

    def sweep(self) -> float | None:
        """Unload what has been idle for too long; seconds until there may be more to do, None if nothing is waiting."""
        if not self._idle:
            return None
        with self._lock:
            now = self._clock()
            idle = {key: held for key, held in self._held.items() if not held.users and held.loaded.is_set()}
            due = {key: held for key, held in idle.items() if now - held.last >= self._idle}
            for key in due:
                del self._held[key]
            waits = [self._idle - (now - held.last) for key, held in idle.items() if key not in due]
        self._drop(due)
        return min(waits, default=None)

    def clear(self) -> None:
        """Unload everything that is not in use."""
        with self._lock:
            free = [key for key, held in self._held.items() if not held.users]
            dropped = {key: self._held.pop(key) for key in free}
        self._drop(dropped)

    def _enter(self, key: Hashable, size: int) -> _Held[Model] | None:
        """The model if it is there, or once another thread has loaded it; None if the caller is to load it."""
        while True:
            with self._lock:
                held = self._held.get(key)
                if held is None:
                    self._held[key] = held = _Held(size)
                    held.users = 1
                    return None
                held.users += 1
            held.loaded.wait()
            if not held.failed:
                return held

    def _load(self, key: Hashable, load: Callable[[], Model]) -> _Held[Model]:
        self._make_room()
        with self._lock:
            held = self._held[key]
        try:
            held.model = load()
        except BaseException:
            held.failed = True
            with self._lock:
                del self._held[key]
            held.loaded.set()
            raise
        held.loaded.set()
        return held

    def _leave(self, held: _Held[Model]) -> None:
        with self._lock:
            held.users -= 1
            held.last = self._clock()

    def _make_room(self) -> None:
        """Drop the least recently used that nobody uses, until the rest is within the budget."""
        if not self._budget:
            return
        dropped = {}
        with self._lock:
            over = sum(held.size for held in self._held.values()) - self._budget
            free = sorted(
                ((key, held) for key, held in self._held.items() if not held.users), key=lambda pair: pair[1].last
            )
            for key, held in free:
                if over <= 0:
                    break
                over -= held.size
                dropped[key] = self._held.pop(key)
        self._drop(dropped)

    def _drop(self, dropped: Mapping[Hashable, _Held[Model]]) -> None:
        for key, held in dropped.items():
            held.model = None
            if self._unloaded is not None:
                self._unloaded(key)
