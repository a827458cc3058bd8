"""Which job starts next: fresh uploads first without starving bulk work, one job per audio at a time and topic.

Pure: the hub asks ``next`` whenever a place is free.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Lane(Generic[T]):
    weight: int
    waiting: deque[tuple[Hashable, T]] = field(default_factory=deque)
    credit: float = 0.0


class Admission(Generic[T]):
    """Lanes of waiting jobs. A lane with weight 8 gets eight starts for each start of a lane with weight 1."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        """``weights`` by lane name, each at least 1; lanes are asked in this order when they are even."""
        self._lanes: dict[str, _Lane[T]] = {name: _Lane(weight) for name, weight in weights.items()}
        self._busy: set[Hashable] = set()

    def add(self, lane: str, key: Hashable, job: T) -> None:
        """A job waits; jobs of one ``key`` run one at a time, in the order they were added to a lane."""
        self._lanes[lane].waiting.append((key, job))

    def waiting(self, lane: str) -> int:
        """Jobs that wait in a lane."""
        return len(self._lanes[lane].waiting)

    def next(self) -> tuple[Hashable, T] | None:
        """The job to start now, or None; its key is busy until :meth:`release`."""
        able = {name: found for name in self._lanes if (found := self._first(name)) is not None}
        if not able:
            return None
        for name in able:
            self._lanes[name].credit += self._lanes[name].weight
        chosen = max(able, key=lambda name: self._lanes[name].credit)
        self._lanes[chosen].credit -= sum(self._lanes[name].weight for name in able)
        key, job = self._take(chosen, able[chosen])
        self._busy.add(key)
        return key, job

    def release(self, key: Hashable) -> None:
        """The job of that key has ended."""
        self._busy.discard(key)

    def drop(self, unwanted: set[int]) -> None:
        """Forget waiting jobs by the ``id`` of the job object (their partition has gone)."""
        for lane in self._lanes.values():
            lane.waiting = deque(item for item in lane.waiting if id(item[1]) not in unwanted)

    def _first(self, name: str) -> int | None:
        """Index of the first job whose key is free."""
        for index, (key, _job) in enumerate(self._lanes[name].waiting):
            if key not in self._busy:
                return index
        self._lanes[name].credit = 0.0
        return None

    def _take(self, name: str, index: int) -> tuple[Hashable, T]:
        waiting = self._lanes[name].waiting
        item = waiting[index]
        del waiting[index]
        return item
