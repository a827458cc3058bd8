"""One file on its way through sync: what is known of it at each step, and what follows from that."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from lfk.core.errors import LfkError
from lfk.core.extraction import FORMS
from lfk.core.media_types import content_type
from lfk.core.messages import AudioReference
from lfk.core.sync_plan import Action, Known, Stamp
from lfk.roles.placing import Destination
from lfk.roles.rolling import RollingRecorder
from lfk.roles.sync_events import Fate, FileDone, Outcome
from lfk.roles.sync_job import SyncJob
from lfk.roles.uploader import Result


@dataclass(frozen=True, slots=True)
class Offer:
    """A file as it was when it was offered, and whether it was known to be closed."""

    stamp: Stamp
    complete: bool


@dataclass(slots=True, eq=False)
class Work:
    """One file under way."""

    relative: str
    path: Path
    stamp: Stamp
    destination: Destination
    begun: float
    #: The store is known to have had nothing at its place.
    absent: bool = False
    attempts: int = 0
    moved: int = 0
    #: Which of the waits in the queue is its own; None while it is not waiting for its time.
    turn: int | None = None
    #: How it was last offered meanwhile, if it was.
    again: Offer | None = None
    #: All but its leaving was done and told before.
    leaves_only: bool = False
    future: Future[None] | None = None
    result: Result | None = None
    reference: AudioReference | None = None
    fate: Fate | None = None

    @property
    def outcome(self) -> Outcome:
        """What was done, where nothing failed."""
        decision = self.result.decision if self.result is not None else None
        if decision is None or decision.action is Action.SKIP:
            return Outcome.UNCHANGED
        if decision.action is Action.REFER:
            return Outcome.REFERRED
        return Outcome.NEW if decision.replaces is None else Outcome.CHANGED

    def done(self) -> FileDone:
        """How it came to its end, where nothing failed."""
        known = self.result.known if self.result is not None else None
        sent = self.outcome in (Outcome.NEW, Outcome.CHANGED)
        saved = self.stamp.size - known.stored.size if known is not None and sent else 0
        seconds = time.monotonic() - self.begun
        location = self.destination.location
        return FileDone(
            self.relative, self.outcome, self.stamp, location, self.reference, None, seconds, self.fate, saved
        )

    def failed(self, error: LfkError) -> FileDone:
        """How it came to its end, where something did."""
        seconds = time.monotonic() - self.begun
        location = self.destination.location
        return FileDone(self.relative, Outcome.FAILED, self.stamp, location, self.reference, error, seconds)

    def refer(self, job: SyncJob, known: Known, recorder: RollingRecorder | None) -> AudioReference:
        """The reference to what is stored; recorded where the store alone would not bring it back."""
        kind = FORMS[known.form] if known.form else content_type(self.path.name)
        address = self.destination.placed.address
        reference = job.request.reference(
            address,
            self.destination.placed.pair,
            int(time.time() * 1000),
            etag=known.etag,
            version_id=known.version_id,
            sha256=known.stored.sha256,
            size=known.stored.size,
            content_type=kind,
        )
        return reference if recorder is None else recorder.admit(reference, address)


class Waits:
    """Files that wait for their time."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Work]] = []
        self._order = itertools.count()

    def add(self, work: Work, seconds: float) -> None:
        """Let a file wait."""
        work.turn = next(self._order)
        heapq.heappush(self._due, (time.monotonic() + seconds, work.turn, work))

    def over(self) -> Iterator[Work]:
        """Files whose wait is over, and was not ended before."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _due, turn, work = heapq.heappop(self._due)
            if work.turn == turn:
                work.turn = None
                yield work

    def next(self, limit: float) -> float:
        """Seconds until the next wait is over, at most ``limit``."""
        return max(0.0, min(limit, self._due[0][0] - time.monotonic())) if self._due else limit

    def clear(self) -> None:
        """Forget all."""
        self._due.clear()


def unsettled(stamp: Stamp, settle: float, now: float) -> float:
    """Seconds until a file will have been unmodified for the settle time; a time to come counts as just now."""
    age = max(0.0, now - stamp.modified / 1e9)
    return max(0.0, settle - age)
