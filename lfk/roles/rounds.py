"""Rounds over the store of a listener: what no notification told of, or not in time, is found here.

A round goes at the start, at an interval, and whenever a source says that something may have been missed. What was
referred to and is not answered yet is passed over (:mod:`lfk.roles.recent`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping

from lfk.core.errors import LfkError
from lfk.core.location import Location
from lfk.core.notifications import Notification, Sighting
from lfk.roles.listen_events import Reconciled
from lfk.roles.listen_job import ListenJob, Meaning
from lfk.roles.recent import Recent
from lfk.roles.reconcile import pass_over, unasked
from lfk.roles.recording import Outgoing
from lfk.stores.base import ObjectStore
from lfk.stores.notifications.base import Delivery, Intake

#: How often it is looked whether to end.
_TICK_SECONDS = 0.2
#: Between two rounds that were asked for, at least as long as so many of the last one took: listing costs.
_REST = 4.0
_LEAST_REST_SECONDS = 1.0
#: So many names that nothing can be done with are told of once each, and those beyond not at all.
_TOLD = 10_000


class Rounds:
    """See the module. :meth:`run` on a thread of its own; :meth:`ask` from any."""

    def __init__(
        self, job: ListenJob, store: ObjectStore, recent: Recent, report: Callable[[Reconciled], None]
    ) -> None:
        """``report`` is called from the thread of :meth:`run`."""
        self._job = job
        self._store = store
        self._recent = recent
        self._report = report
        self._asked = threading.Event()
        self._told: set[int] = set()

    def ask(self) -> None:
        """Something may have been missed until now."""
        self._asked.set()

    def run(self, gate: Intake) -> None:
        """Go round until the gate is closed.

        Raises:
            Unreachable: the store.
        """
        due = time.monotonic() + self._job.reconcile if self._job.reconcile else float("inf")
        rested = 0.0
        while not gate.closed:
            now = time.monotonic()
            if now < due and not (self._asked.is_set() and now >= rested):
                self._asked.wait(_TICK_SECONDS) if now >= rested else time.sleep(_TICK_SECONDS)
                continue
            # Asked for while it goes on means another one: that may have been missed just behind it.
            self._asked.clear()
            took = self._round(gate)
            rested = time.monotonic() + max(_LEAST_REST_SECONDS, _REST * took)
            due = time.monotonic() + self._job.reconcile if self._job.reconcile else float("inf")

    def _round(self, gate: Intake) -> float:
        """Go round once; returns how many seconds it took."""
        began = time.monotonic()
        sent = known = left = 0
        self._recent.begin()
        for item in outstanding(self._job, self._store, self._misfit):
            if gate.closed:
                return 0.0
            sighting = _sighting(item)
            if self._recent.keep(sighting, item.entry.modified or 0.0):
                known += 1
            elif self._recent.full:
                left += 1
            else:
                self._recent.add(sighting, time.time(), found=True)
                if not gate.offer(Delivery(Notification((sighting,)), _nothing)):
                    self._recent.forget(sighting)
                    return 0.0
                sent += 1
        self._recent.end()
        seconds = time.monotonic() - began
        self._report(Reconciled(sent, known, left, seconds))
        return seconds

    def _misfit(self, name: str, error: LfkError) -> None:
        """A service goes round for as long as it lives: what it has told of, it does not tell in every round."""
        if hash(name) not in self._told and len(self._told) < _TOLD:
            self._told.add(hash(name))
            pass_over(name, error)


def outstanding(
    job: ListenJob, store: ObjectStore, misfit: Callable[[str, LfkError], None] = pass_over
) -> Iterator[Outgoing]:
    """What the store says is to be referred to; with done-markers, what was there when one of its prefixes' came.

    Raises:
        Unreachable: the store.
    """
    markers: dict[Location, float] = {}
    if job.marker:
        for info in store.list(job.roots.audio):
            if job.meaning(info.location) is Meaning.MARKER:
                markers[info.location.parent] = info.modified
    for item in unasked(store, job.roots, misfit):
        if not job.marker or _covered(item.audio, item.entry.modified or 0.0, markers):
            yield item


def _sighting(item: Outgoing) -> Sighting:
    told = item.reference
    return Sighting(item.audio, item.size, told.etag, told.version_id)


def _covered(place: Location, modified: float, markers: Mapping[Location, float]) -> bool:
    while place.key:
        place = place.parent
        if modified <= markers.get(place, float("-inf")):
            return True
    return False


def _nothing(_well: bool) -> None:
    """What did not get through is found again by another round."""
