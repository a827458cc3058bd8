"""What the store holds, for a page that people look at: the newest rows in memory, taken anew when they are old.

A snapshot costs listings alone (one request for a thousand objects) and the records of failures that were not read
before. At most :data:`ROWS` rows and :data:`FAILURES` failures are held, about half a kilobyte each; what is older is
counted. Taking one never takes more than a fifth of the time, however large the store.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from lfk.core.addressing import Roots, resolve
from lfk.core.catalogue import Row, State
from lfk.core.errors import LfkError, ObjectMissing, RejectedReference
from lfk.core.failure_record import FailureRecord
from lfk.core.formats import MANIFEST
from lfk.roles.failures import Failures
from lfk.roles.heartbeat import HubReport, hub_reports
from lfk.roles.stock import Stock, StockPlace
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

ROWS = 20_000
FAILURES = 5_000
#: A snapshot is good for so long at least, and for so many times as long as it took.
_FRESH_SECONDS = 2.0
_FRESH_FACTOR = 4.0
#: The stage of a job that has its audio and no engine yet.
_BEFORE_ENGINE = "queue"
#: Characters of a failure's message and hint that a list shows.
_TEXT = 400


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest rows first. ``total`` and ``counts`` speak of all rows, also of those that are not held."""

    rows: Sequence[Row] = ()
    total: int = 0
    counts: Mapping[State, int] = field(default_factory=dict)


class Catalogue:
    """See the module. Safe for use by several threads: one takes a snapshot, others get the one before meanwhile."""

    def __init__(
        self,
        store: ObjectStore,
        roots: Roots,
        *,
        rows: int = ROWS,
        failures: int = FAILURES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._roots = roots
        self._limit = rows
        self._failures = _Failed(store, roots, failures)
        self._hubs: tuple[HubReport, ...] = ()
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: Snapshot | None = None
        self._fresh_until = 0.0
        self._hubs_until = 0.0

    def snapshot(self) -> Snapshot:
        """What the store holds, as of a moment ago.

        Raises:
            Unreachable: the store.
        """
        taken = self._taken
        if taken is not None and self._clock() < self._fresh_until:
            return taken
        if not self._lock.acquire(blocking=taken is None):
            assert taken is not None  # noqa: S101 - states what the line above asks
            return taken
        try:
            if self._taken is None or self._clock() >= self._fresh_until:
                begun = self._clock()
                self._taken = self._take()
                ended = self._clock()
                self._fresh_until = ended + max(_FRESH_SECONDS, _FRESH_FACTOR * (ended - begun))
            return self._taken
        finally:
            self._lock.release()

    def renew(self) -> None:
        """Something was changed from here: the next snapshot is a new one."""
        self._fresh_until = 0.0

    def working(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The rows, those that a hub is at as such."""
        # What is fetched and waits for an engine still waits, for whoever looks.
        jobs = {
            str(job.get("audio", "")): job
            for report in self.hubs()
            for job in report.jobs
            if job.get("stage") != _BEFORE_ENGINE
        }
        for row in rows:
            job = jobs.get(row.audio) if row.audio and row.state is not State.DONE else None
            yield row if job is None else row.at_work(str(job.get("stage", ""))[:40], _part(job.get("part")))

    def hubs(self) -> tuple[HubReport, ...]:
        """The hubs that are alive, as they told a moment ago.

        Raises:
            Unreachable: the store.
        """
        if self._clock() >= self._hubs_until:
            self._hubs = tuple(report for report in hub_reports(self._store, self._roots.records) if report.alive)
            self._hubs_until = self._clock() + _FRESH_SECONDS
        return self._hubs

    def look(self, key: str) -> Row | None:
        """One recording as it is now, for whoever waits for it; its key is that of audio and transcript alike.

        Raises:
            RejectedReference: the key is none.
        """
        address = resolve(str(self._roots.audio.join(key)), None, self._roots)
        try:
            info = self._store.stat(address.location)
        except ObjectMissing:
            return None
        manifest = None
        with contextlib.suppress(ObjectMissing):
            manifest = self._store.stat(self._roots.transcripts.join(f"{address.transcript_key}.{MANIFEST}"))
        # A failure that is known may be gone: a retry that came good within its second is no later than it, by times.
        if manifest is None or self._failures.of(str(address.location), address.pair) is not None:
            self._failures.refresh()
        # Whoever has just brought this audio is told of its own failures alone.
        row = self._row(address.transcript_key, info, address.pair, manifest, since=info.modified)
        return next(self.working(iter((row,))))

    def _take(self) -> Snapshot:
        self._failures.refresh()
        newest: list[tuple[float, int, Row]] = []
        counts: Counter[State] = Counter()
        matched: set[tuple[str, str]] = set()
        tie = count()

        def keep(row: Row) -> None:
            counts[row.state] += 1
            entry = (row.time, next(tie), row)
            if len(newest) < self._limit:
                heapq.heappush(newest, entry)
            else:
                heapq.heappushpop(newest, entry)

        stock = Stock(self._store, self._roots, misfit=lambda info, error: log.debug("%s: %s", info.location, error))
        for place in stock.places():
            row = self._place(place)
            if row is not None:
                # Failures of what is listed have their say there: the newest counts, unless a transcript came after it.
                if self._failures.of(row.audio, row.pair) is not None:
                    matched.add((row.audio, row.pair))
                keep(row)
        for row in self._failures.rows():
            if (row.audio, row.pair) not in matched:
                keep(row)
        rows = [row for _time, _tie, row in sorted(newest, key=lambda one: one[:2], reverse=True)]
        return Snapshot(rows, counts.total(), dict(counts))

    def _place(self, place: StockPlace) -> Row | None:
        manifest = place.files.get(MANIFEST)
        if place.audio is not None:
            return self._row(place.key, place.audio.info, place.audio.address.pair, manifest)
        if manifest is None:
            return None
        approach, _slash, rest = place.key.partition("/")
        return _done(place.key, f"{approach}.{rest.partition('/')[0]}", manifest)

    def _row(self, key: str, audio: ObjectInfo, pair: str, manifest: ObjectInfo | None, *, since: float = 0.0) -> Row:
        """The row of some audio; failures before ``since``, or before there was a transcript, are passed over."""
        failed = self._failures.of(str(audio.location), pair)
        if manifest is not None:
            since = manifest.modified
        if failed is not None and failed.time >= since:
            return replace(failed, key=key, name=_name(key), pair=pair, audio=str(audio.location), size=audio.size)
        if manifest is not None:
            return replace(_done(key, pair, manifest), audio=str(audio.location), size=audio.size)
        return Row(key, _name(key), State.WAITING, audio.modified, pair, str(audio.location), audio.size)


class _Failed:
    """The newest recorded failures, read once each. Guarded by the catalogue's callers coming one at a time."""

    def __init__(self, store: ObjectStore, roots: Roots, limit: int) -> None:
        self._failures = Failures(store, roots.records)
        self._roots = roots
        self._limit = limit
        self._lock = threading.Lock()
        self._rows: Mapping[str, Row] = {}
        self._newest: Mapping[tuple[str, str], Row] = {}

    def refresh(self) -> None:
        """Read what is new, forget what is gone."""
        with self._lock:
            events = self._failures.events()[-self._limit :]
            rows = {event: row for event in events if (row := self._rows.get(event)) is not None}
            for found in self._failures.read(event for event in events if event not in rows):
                rows[found.event_id] = (
                    _unreadable(found.event_id, found.error) if found.record is None else self._row(found.record)
                )
            self._rows = rows
            newest: dict[tuple[str, str], Row] = {}
            for row in rows.values():
                before = newest.get((row.audio, row.pair))
                if row.audio and (before is None or before.time <= row.time):
                    newest[row.audio, row.pair] = row
            self._newest = newest

    def of(self, audio: str, pair: str) -> Row | None:
        """The newest failure of an audio, asked for as ``pair`` or before that was known."""
        found = [row for asked in (pair, "") if (row := self._newest.get((audio, asked))) is not None]
        return max(found, key=lambda row: row.time, default=None)

    def rows(self) -> Iterator[Row]:
        """All of them."""
        yield from self._rows.values()

    def _row(self, record: FailureRecord) -> Row:
        told, error = record.announcement, record.error
        audio, pair = told.path_to_audio or "", told.transcription_approach or ""
        name = record.audio
        try:
            address = resolve(audio, pair or None, self._roots) if audio else None
        except RejectedReference:
            address = None
        if address is not None:
            audio, pair, name = str(address.location), address.pair, address.location.name
        return Row(
            key="",
            name=name[:_TEXT],
            state=State.FAILED,
            time=told.timestamp / 1000,
            pair=pair[:_TEXT],
            audio=audio if address is not None else "",
            event=record.event_id,
            code=error.code[:_TEXT],
            message=error.message[:_TEXT],
            hint=record.hint[:_TEXT],
        )


def _unreadable(event: str, error: LfkError | None) -> Row:
    """A failure of which nothing can be told."""
    code, message = (error.code, error.message) if error is not None else ("failure_unreadable", "")
    return Row("", event, State.FAILED, 0.0, event=event, code=code, message=message[:_TEXT])


def _done(key: str, pair: str, manifest: ObjectInfo) -> Row:
    return Row(key, _name(key), State.DONE, manifest.modified, pair, etag=manifest.etag)


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _part(value: object) -> float:
    return min(1.0, max(0.0, float(value))) if isinstance(value, (int, float)) else 0.0
