"""What waits at a hub, and which of it starts next.

Three kinds wait: jobs that are due later, jobs that take their turn by lane, and suspects. A suspect is on its last
attempt after the earlier ones died with their hub; it runs alone, so that it can hurt nobody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping

from lfk.core.admission import Admission
from lfk.roles.hub.due import DueJobs
from lfk.roles.hub.job import Job


class Waiting:
    """Owned by the hub's one thread."""

    def __init__(
        self, weights: Mapping[str, int], lane_of: Mapping[str, str], describe: Callable[[Job], None], engines: int
    ) -> None:
        """``weights`` by lane, ``lane_of`` by topic; ``describe`` notes what a job's record asks for."""
        self._lane_of = lane_of
        self._describe = describe
        self._admission: Admission[Job] = Admission(weights)
        self._due = DueJobs()
        self._suspects: deque[Job] = deque()
        #: A suspect runs.
        self._alone = False
        #: Models of the jobs that were started last: engines are likely to have them loaded.
        self._loaded: deque[str] = deque(maxlen=engines)

    def add(self, job: Job, *, suspect: bool) -> None:
        """A job waits for its turn."""
        self._describe(job)
        if suspect:
            self._suspects.append(job)
            return
        record = job.record
        # One job per audio and topic at a time; a record without a key is an audio of its own.
        key = (record.partition.topic, record.key or (record.partition, record.offset))
        self._admission.add(self._lane_of[record.partition.topic], key, job, job.model)

    def add_later(self, job: Job, due: float) -> None:
        """A job waits for its time, seconds since the epoch; :meth:`woken` gives it back."""
        self._due.add(job, due)

    def woken(self, now: float) -> list[Job]:
        """Jobs whose time has come."""
        return list(self._due.ready(now))

    def next(self, running: int) -> tuple[Hashable, Job] | None:
        """What to start beside ``running`` others, or None; its key goes back by :meth:`release`."""
        if self._suspects or self._alone:
            if running:
                return None
            self._alone = True
            return None, self._suspects.popleft()
        item = self._admission.next(self._loaded)
        if item is not None:
            self._loaded.append(item[1].model)
        return item

    def release(self, key: Hashable) -> None:
        """A job has ended."""
        self._admission.release(key)
        self._alone = False

    def drop(self, gone: set[int]) -> None:
        """Forget jobs by the ``id`` of the job object: their partition has gone."""
        self._admission.drop(gone)
        self._due.drop(gone)
        self._suspects = deque(job for job in self._suspects if id(job) not in gone)

    def able(self, topic: str) -> int:
        """Audios of a topic's lane that could start now."""
        return self._admission.able(self._lane_of[topic])

    @property
    def many_due(self) -> bool:
        """No more should be read ahead of its time."""
        return self._due.full
