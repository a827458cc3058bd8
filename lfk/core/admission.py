"""Which job starts next: fresh uploads first without starving bulk work, one job per audio at a time and topic, and
within a lane jobs whose model is loaded before others, but never past one job more than a few times.

Pure: the hub asks ``next`` whenever a place is free.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

#: How often the first job of a lane may be passed by later ones whose model is loaded already.
PASSES = 8


@dataclass(slots=True)
class _Lane(Generic[T]):
    weight: int
    #: Key, model and job.
    waiting: deque[tuple[Hashable, str, T]] = field(default_factory=deque)
    credit: float = 0.0
    #: How often the present first job has been passed.
    passed: int = 0


class Admission(Generic[T]):
    """Lanes of waiting jobs. A lane with weight 8 gets eight starts for each start of a lane with weight 1."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        """``weights`` by lane name, each at least 1; lanes are asked in this order when they are even."""
        self._lanes: dict[str, _Lane[T]] = {name: _Lane(weight) for name, weight in weights.items()}
        self._busy: set[Hashable] = set()

    def add(self, lane: str, key: Hashable, job: T, model: str = "", *, first: bool = False) -> None:
        """A job waits; jobs of one ``key`` run one at a time, in the order they were added to a lane.

        ``first``: before all others, for one that was started already and has to begin anew.
        """
        waiting = self._lanes[lane].waiting
        (waiting.appendleft if first else waiting.append)((key, model, job))

    def able(self, lane: str) -> int:
        """Audios of a lane that could start now: jobs that wait for another one of their audio do not count."""
        return len({key for key, _model, _job in self._lanes[lane].waiting} - self._busy)

    def next(self, loaded: Collection[str] = (), lanes: Collection[str] | None = None) -> tuple[Hashable, T] | None:
        """The job to start now, or None; its key is busy until :meth:`release`. ``loaded`` models are preferred.

        ``lanes``: of these alone; None for all.
        """
        open_ = self._lanes if lanes is None else lanes
        able = {
            name: found for name in self._lanes if name in open_ and (found := self._choose(name, loaded)) is not None
        }
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
            lane.waiting = deque(item for item in lane.waiting if id(item[2]) not in unwanted)

    def _choose(self, name: str, loaded: Collection[str]) -> int | None:
        """Index of the job that the lane would start, among those whose key is free."""
        lane = self._lanes[name]
        first: int | None = None
        taken: set[Hashable] = set()
        for index, (key, model, _job) in enumerate(lane.waiting):
            if key in self._busy or key in taken:
                continue
            # Only the first job of a key is a candidate: its later ones must not pass it.
            taken.add(key)
            if first is None:
                first = index
                if lane.passed >= PASSES:
                    break
            if not loaded or model in loaded:
                return index
        if first is None:
            lane.credit = 0.0
        return first

    def _take(self, name: str, index: int) -> tuple[Hashable, T]:
        lane = self._lanes[name]
        free = next(at for at, (key, _model, _job) in enumerate(lane.waiting) if key not in self._busy)
        lane.passed = 0 if index == free else lane.passed + 1
        key, _model, job = lane.waiting[index]
        del lane.waiting[index]
        return key, job
