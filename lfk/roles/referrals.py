"""From objects that were told of to confirmed references: the owner of all that a listener has under way.

Sources, and the rounds over the store, hand over from their own threads through gates with limited room. One thread
owns every count and every delivery; looking at objects and sending, which may block, are work for a few others.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from lfk.core.errors import AccessDenied, BrokerFull, BucketMissing, Kind, LfkError, ObjectMissing, Unreachable
from lfk.core.identity import upload_mark
from lfk.core.media_types import content_type
from lfk.core.messages import AudioReference
from lfk.core.notifications import Notification, Sighting
from lfk.roles.listen_events import Done, ListenSummary, Outcome
from lfk.roles.listen_job import ListenJob, Meaning
from lfk.roles.patience import send_when_room
from lfk.roles.recent import Recent
from lfk.roles.room import Room
from lfk.roles.sender import ReferenceSender
from lfk.stores.base import REFERRED, ObjectStore
from lfk.stores.notifications.base import Delivery

log = logging.getLogger(__name__)

#: Objects under way at a time, of what was told and of what was found: the broker confirms hundreds together.
_ROOM = 1000
#: Looks at objects, and sends, at a time: each is a way to the store and back.
_WORKERS = 8
#: How long the owner sleeps at most before it looks whether it should stop.
TICK_SECONDS = 0.2
#: How long confirmations are waited for once it is over.
_LAST_SECONDS = 10.0


class Gate:
    """See :class:`lfk.stores.notifications.base.Intake`."""

    def __init__(
        self,
        room: Room,
        take: Callable[[Delivery, Callable[[], None]], None],
        refuse: Callable[[str], None],
        missed: Callable[[], None],
    ) -> None:
        """``take`` gets a delivery and how its room is given back. Nothing of these may block."""
        self._room = room
        self._take = take
        self.refused = refuse
        self.missed = missed

    @property
    def closed(self) -> bool:
        return self._room.closed

    def offer(self, delivery: Delivery, timeout: float | None = None) -> bool:
        places = max(1, len(delivery.notification.created))
        if not self._room.enter(places, timeout):
            return False
        self._take(delivery, partial(self._room.leave, places))
        return True


@dataclass(slots=True, eq=False)
class _Open:
    """A delivery that is not ended: how many parts of it are left, and whether all went well so far."""

    delivery: Delivery
    leave: Callable[[], None]
    left: int = 1
    well: bool = True


class _Together:
    """Deliveries that end one: once nothing more is added and all have ended. Safe for use by several threads."""

    def __init__(self, ended: Callable[[bool], None]) -> None:
        self._ended = ended
        self._left = 1
        self._well = True
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self._left += 1

    def end(self, well: bool) -> None:
        with self._lock:
            self._left -= 1
            self._well = self._well and well
            over = self._left == 0
        if over:
            self._ended(self._well)


class Referrals:
    """See the module. :meth:`step` it, then :meth:`finish`, then :meth:`close`."""

    def __init__(
        self,
        job: ListenJob,
        store: ObjectStore,
        sender: ReferenceSender,
        recent: Recent,
        summary: ListenSummary,
        report: Callable[[Done], None],
        stop: threading.Event,
    ) -> None:
        """``report`` is called by the owner."""
        self._job = job
        self._store = store
        self._sender = sender
        self._recent = recent
        self._summary = summary
        self._report = report
        self._stop = stop
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._open: set[_Open] = set()
        self._markers: dict[Sighting, list[_Open]] = {}
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="lfk-listen")
        # One after the other, so that what they find cannot take all room from each other half-way.
        self._marker_worker = ThreadPoolExecutor(1, thread_name_prefix="lfk-marker")
        self._rooms = (Room(_ROOM), Room(_ROOM))
        #: For audio that is known to be wanted, as it was found in the store.
        self.found = Gate(self._rooms[1], self._to_owner(self._take_found), self._refuse, _nothing)
        self.outage: LfkError | None = None

    # --- for the owner

    def told(self, missed: Callable[[], None]) -> Gate:
        """For what a source tells, which calls ``missed`` from its own thread."""
        return Gate(self._rooms[0], self._to_owner(self._take_told), self._refuse, missed)

    @property
    def over(self) -> bool:
        """Nothing new is to be begun: told to stop, or an outage."""
        return self._stop.is_set() or self.outage is not None

    def step(self, timeout: float) -> None:
        """Handle what has come, waiting for it at most ``timeout`` seconds."""
        try:
            self._calls.get(timeout=timeout)()
            while True:
                self._calls.get_nowait()()
        except queue.Empty:
            return

    def shut(self) -> None:
        """Let nothing more in."""
        for room in self._rooms:
            room.close()

    def finish(self) -> None:
        """Wait briefly for what is under way, then end what is left of it as not done."""
        self.shut()
        patience = time.monotonic() + _LAST_SECONDS
        while not (self._calls.empty() and all(room.empty for room in self._rooms)) and time.monotonic() < patience:
            self.step(TICK_SECONDS)
        for one in list(self._open):
            self._summary.left += one.left
            self._end(one, False)

    def close(self) -> None:
        """Let the worker threads go."""
        for workers in (self._workers, self._marker_worker):
            workers.shutdown(wait=True, cancel_futures=True)

    def call(self, work: Callable[[], None]) -> None:
        """Have the owner do this. From any thread."""
        self._calls.put(work)

    def fail(self, error: BaseException) -> None:
        """A source or a round ended with this. From any thread."""
        self._calls.put(partial(self._broke_off, error))

    # --- what comes in

    def _to_owner(
        self, take: Callable[[Delivery, Callable[[], None]], None]
    ) -> Callable[[Delivery, Callable[[], None]], None]:
        return lambda delivery, leave: self._calls.put(partial(take, delivery, leave))

    def _refuse(self, reason: str) -> None:
        self._calls.put(partial(self._done, Done(Outcome.UNUSABLE, reason=reason)))

    def _take_told(self, delivery: Delivery, leave: Callable[[], None]) -> None:
        one = self._begin(delivery, leave)
        notification = delivery.notification
        for reason in notification.unusable:
            self._done(Done(Outcome.UNUSABLE, reason=reason))
        others = notification.others
        for sighting in notification.created:
            meaning = self._job.meaning(sighting.location)
            if meaning is Meaning.MARKER:
                self._marked(one, sighting)
            elif meaning is Meaning.RECORDING and not self._job.marker:
                self._refer(one, sighting, found=False)
            else:
                others += 1
        self._summary.add(Done(Outcome.OTHER), others)
        self._part_ended(one, True)

    def _take_found(self, delivery: Delivery, leave: Callable[[], None]) -> None:
        one = self._begin(delivery, leave)
        for sighting in delivery.notification.created:
            self._refer(one, sighting, found=True)
        self._part_ended(one, True)

    def _begin(self, delivery: Delivery, leave: Callable[[], None]) -> _Open:
        one = _Open(delivery, leave)
        self._open.add(one)
        return one

    # --- one recording

    def _refer(self, one: _Open, sighting: Sighting, *, found: bool) -> None:
        one.left += 1
        if self.over:
            self._part_ended(one, False)
            return
        if not found and self._recent.is_late(sighting):
            self._passed(one, Done(Outcome.KNOWN, sighting.location))
            return
        self._recent.add(sighting, time.time(), found=found)
        self._workers.submit(self._work, one, sighting, found)

    def _work(self, one: _Open, sighting: Sighting, found: bool) -> None:
        """On a worker thread."""
        try:
            seen = self._look(sighting)
            if isinstance(seen, Outcome):
                self._calls.put(partial(self._passed, one, Done(seen, sighting.location, found=found)))
                return
            reference = AudioReference(
                path_to_audio=str(seen.location),
                timestamp=int(time.time() * 1000),
                etag=seen.etag,
                version_id=seen.version_id,
                size=seen.size,
                content_type=content_type(seen.location.name),
            )
            done = Done(Outcome.SENT, seen.location, reference, found)
            send_when_room(
                self._sender,
                seen.location,
                reference,
                lambda error: self._calls.put(partial(self._confirmed, one, sighting, done, error)),
                lambda: self.over,
            )
        except Exception as error:  # noqa: BLE001 - it is raised again, or shown, by the owner
            self._calls.put(partial(self._failed, one, sighting, error))

    def _look(self, sighting: Sighting) -> Sighting | Outcome:
        """The object as it is now where the notification does not tell who uploaded it; or why it is passed over."""
        seen = sighting
        if sighting.metadata is None:
            try:
                info = self._store.stat(sighting.location)
            except ObjectMissing:
                return Outcome.GONE
            except AccessDenied:
                # The hub may be allowed to read what a listener is not.
                return sighting
            seen = Sighting(info.location, info.size, info.etag, info.version_id, sighting.sequencer, info.metadata)
        ours = (seen.metadata or {}).get(REFERRED) == upload_mark(str(seen.location))
        return Outcome.SYNCED if ours else seen

    def _passed(self, one: _Open, done: Done) -> None:
        self._done(done)
        self._part_ended(one, True)

    def _confirmed(self, one: _Open, sighting: Sighting, done: Done, error: Exception | None) -> None:
        if error is not None:
            self._failed(one, sighting, error)
        else:
            self._passed(one, done)

    def _failed(self, one: _Open, sighting: Sighting, error: Exception) -> None:
        if not isinstance(error, LfkError):
            raise error
        if isinstance(error, Unreachable | BucketMissing | BrokerFull) or error.kind is Kind.FATAL:
            self.outage = self.outage or error
            self._part_ended(one, False)
        else:
            # It would fare no better when it is told of again.
            self._passed(one, Done(Outcome.FAILED, sighting.location, error=error))

    # --- markers

    def _marked(self, one: _Open, marker: Sighting) -> None:
        """Everything below the prefix of a marker is complete."""
        one.left += 1
        if self._recent.holds(_as_told(marker)):
            # Told of again, as its sender did not hear in time that all was sent.
            self._part_ended(one, True)
        elif marker in self._markers:
            self._markers[marker].append(one)
        elif self.over:
            self._part_ended(one, False)
        else:
            self._markers[marker] = [one]
            self._marker_worker.submit(self._find_below, marker)

    def _find_below(self, marker: Sighting) -> None:
        """On the markers' thread: hand over every recording below the marker's prefix."""
        together = _Together(lambda well: self._calls.put(partial(self._marker_ended, marker, well)))
        well = True
        try:
            for info in self._store.list(marker.location.parent):
                if self._job.meaning(info.location) is not Meaning.RECORDING:
                    continue
                together.add()
                sighting = Sighting(info.location, info.size, info.etag, info.version_id)
                if not self.found.offer(Delivery(Notification((sighting,)), together.end)):
                    together.end(False)
                    break
        except LfkError as error:
            well = False
            self.fail(error)
        together.end(well)

    def _marker_ended(self, marker: Sighting, well: bool) -> None:
        if well:
            self._recent.add(_as_told(marker), time.time(), found=False)
        for one in self._markers.pop(marker):
            self._part_ended(one, well)

    # --- ends

    def _part_ended(self, one: _Open, well: bool) -> None:
        if one not in self._open:
            # It was ended as not done when patience was over.
            return
        one.left -= 1
        one.well = one.well and well
        if one.left == 0:
            self._end(one, one.well)

    def _end(self, one: _Open, well: bool) -> None:
        self._open.discard(one)
        if not well:
            for sighting in one.delivery.notification.created:
                self._recent.forget(sighting)
        one.leave()
        one.delivery.ended(well)

    def _broke_off(self, error: BaseException) -> None:
        if not isinstance(error, LfkError):
            raise error
        self.outage = self.outage or error

    def _done(self, done: Done) -> None:
        self._summary.add(done)
        self._report(done)


def _as_told(marker: Sighting) -> Sighting:
    """A marker that is written anew means it, though its content is the same."""
    return replace(marker, etag=f"{marker.etag} {marker.sequencer}")


def _nothing() -> None:
    """A round misses nothing."""
