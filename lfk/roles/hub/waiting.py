"""What waits at a hub, and which of it starts next.

Three kinds wait: jobs that are due later, jobs that take their turn by lane, and suspects. A suspect is on its last
attempt after the earlier ones died with their hub; it runs alone, so that it can hurt nobody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence

from lfk.core.admission import Admission
from lfk.roles.hub.due import DueJobs
from lfk.roles.hub.job import Job
from lfk.roles.hub.plan import HubPlan


class Waiting:
    """Owned by the hub's one thread."""

    def __init__(self, plan: HubPlan, describe: Callable[[Job], None]) -> None:
        """``describe`` notes what a job's record asks for."""
        self._lanes = list(plan.lanes)
        self._lane_of = {topic: lane for lane, topic in plan.lanes.items()}
        self._slots = plan.slots
        self._describe = describe
        self._admission: Admission[Job] = Admission(plan.weights)
        self._due = DueJobs()
        #: Jobs among them that were started already, by ``id``, and the key that each keeps busy meanwhile.
        self._again: dict[int, Hashable] = {}
        self._suspects: deque[Job] = deque()
        #: A suspect runs.
        self._alone = False
        #: Models of the jobs that were started last: engines are likely to have them loaded.
        self._loaded: deque[str] = deque(maxlen=plan.engines)

    def add(self, job: Job, *, suspect: bool) -> None:
        """A job waits for its turn."""
        self._describe(job)
        if suspect:
            self._admission.release(self._again.pop(id(job), None))
            self._suspects.append(job)
            return
        record = job.record
        # One job per audio and topic at a time; a record without a key is an audio of its own.
        key = (record.partition.topic, record.key or (record.partition, record.offset))
        lane = self._lane_of[record.partition.topic]
        job.rank = self._lanes.index(lane)
        again = id(job) in self._again
        if again:
            self._admission.release(self._again.pop(id(job)))
        self._admission.add(lane, key, job, job.model, first=again)

    def add_later(self, job: Job, due: float) -> None:
        """A job waits for its time, seconds since the epoch; :meth:`woken` gives it back."""
        self._due.add(job, due)

    def add_again(self, key: Hashable, job: Job, due: float) -> None:
        """As :meth:`add_later`, for a job that :meth:`next` gave out with ``key``: its audio's later ones wait, too."""
        self._alone = False
        self._again[id(job)] = key
        self._due.add(job, due)

    def woken(self, now: float) -> list[Job]:
        """Jobs whose time has come."""
        return list(self._due.ready(now))

    def next(self, running: Sequence[Job]) -> tuple[Hashable, Job] | None:
        """What to start beside those that run, or None; its key goes back by :meth:`release`."""
        lanes = self._lanes_with_room(running)
        if not lanes:
            return None
        if self._suspects or self._alone:
            if running:
                return None
            self._alone = True
            return None, self._suspects.popleft()
        item = self._admission.next(self._loaded, lanes)
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
        for one in gone & self._again.keys():
            self._admission.release(self._again.pop(one))
        self._suspects = deque(job for job in self._suspects if id(job) not in gone)

    def able(self, topic: str) -> int:
        """Audios of a topic's lane that could start now."""
        return self._admission.able(self._lane_of[topic])

    @property
    def many_due(self) -> bool:
        """No more should be read ahead of its time."""
        return self._due.full

    def _lanes_with_room(self, running: Sequence[Job]) -> Sequence[str]:
        """Lanes whose jobs may start now.

        Where bulk work has taken every place, one more is there for what goes before it: it is fetched at once, and
        gets the next engine that is free.
        """
        if len(running) < self._slots:
            return self._lanes
        *before, bulk = self._lanes
        taken = any(self._lane_of[job.record.partition.topic] == bulk for job in running)
        return before if taken and len(running) == self._slots else ()
