"""Jobs that wait for their time: read ahead of it, so that none of them blocks its partition."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator

from lfk.roles.hub.job import Job

#: Jobs read ahead of their time, in all; beyond that their topic is paused, and those left in it wait there.
LIMIT = 500


class DueJobs:
    """A heap by due time, seconds since the epoch."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Job]] = []
        self._tie = itertools.count()

    @property
    def full(self) -> bool:
        """No more should be read ahead."""
        return len(self._heap) >= LIMIT

    def add(self, job: Job, due: float) -> None:
        """A job is not to start before ``due``."""
        heapq.heappush(self._heap, (due, next(self._tie), job))

    def ready(self, now: float) -> Iterator[Job]:
        """The jobs whose time has come, in its order; they wait no longer."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]

    def drop(self, gone: set[int]) -> None:
        """Forget jobs by the ``id`` of the job object."""
        self._heap = [item for item in self._heap if id(item[2]) not in gone]
        heapq.heapify(self._heap)
