"""A synchroniser over a real folder, with the store in memory and a publisher that does as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lfk.brokers.base import Record
from lfk.brokers.codec import JsonCodec
from lfk.core.addressing import Roots
from lfk.core.approaches import APPROACHES, Catalogue
from lfk.core.errors import LfkError
from lfk.core.location import Location, parse_location
from lfk.core.request import Request
from lfk.roles.sender import ReferenceSender
from lfk.roles.sync import Synchroniser
from lfk.roles.sync_events import Event, FileDone, Outcome, Summary
from lfk.roles.sync_files import FileSync
from lfk.roles.sync_job import SyncJob
from lfk.roles.sync_state import SyncState
from lfk.roles.uploader import Extractor
from lfk.stores.base import ObjectInfo, ObjectStore
from lfk.stores.memory import MemoryStore

ROOTS = Roots(
    audio=parse_location("s3://bucket/audio/"),
    transcripts=parse_location("s3://bucket/transcripts/"),
    records=parse_location("s3://bucket/.lfk/"),
    catalogue=Catalogue(),
    default_approach=APPROACHES["simple"],
    default_model="tiny",
)


class FakePublisher:
    """Confirms everything at once, unless told otherwise."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        #: What to tell instead of None.
        self.outcome: Exception | None = None
        #: What `send` raises, one each, before it works again.
        self.refusals: list[LfkError] = []

    def send(self, record: Record, confirmed: Callable[[Exception | None], None]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        if self.outcome is None:
            self.records.append(record)
        confirmed(self.outcome)

    def flush(self, timeout: float) -> int:
        return 0

    def close(self) -> None:
        """Nothing is held."""

    @property
    def references(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in self.records]


class Rig:
    """One source folder, one store, one broker; each :meth:`run` is a pass with a fresh synchroniser."""

    def __init__(self, folder: Path, store: ObjectStore | None = None, roots: Roots = ROOTS) -> None:
        self.source = folder / "rec"
        self.source.mkdir()
        self.state = folder / "state.sqlite"
        self.roots = roots
        self.store = store or MemoryStore()
        self.publisher = FakePublisher()
        self.stop = threading.Event()
        self.events: list[Event] = []
        self.extractor: Extractor | None = None
        self.on_event: Callable[[Event], None] = lambda _event: None

    def write(self, relative: str, data: bytes = b"RIFF") -> Path:
        path = self.source / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def location(self, relative: str) -> Location:
        return self.roots.audio.join(relative)

    def object(self, relative: str) -> tuple[bytes, ObjectInfo]:
        return self.store.read(self.location(relative), limit=1 << 20)

    def job(self, **changes: Any) -> SyncJob:
        given = {"request": Request(), "identity": "alpha:1", "settle": 0.0, "transfers": 4, **changes}
        return SyncJob(source=self.source, roots=self.roots, **given)

    @contextmanager
    def synchroniser(self, **changes: Any) -> Iterator[tuple[Synchroniser, FileSync]]:
        job = self.job(**changes)
        sender = None if job.dry_run else ReferenceSender(self.publisher, JsonCodec(), "lfk.audio", "lfk/sync")
        state = SyncState(self.state)
        files = FileSync(job, self.store, sender, state, self._note, self.stop, extractor=self.extractor)
        try:
            yield Synchroniser(job, self.store, files), files
        finally:
            files.close()
            state.close()

    def run(self, **changes: Any) -> Summary:
        self.events.clear()
        with self.synchroniser(**changes) as (sync, _files):
            return sync.run()

    @property
    def done(self) -> dict[str, FileDone]:
        return {event.name: event for event in self.events if isinstance(event, FileDone)}

    @property
    def outcomes(self) -> dict[str, str]:
        return {name: done.outcome.value for name, done in self.done.items()}

    @property
    def failures(self) -> dict[str, str]:
        return {name: done.error.code for name, done in self.done.items() if done.error is not None}

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)


def counted(summary: Summary) -> dict[str, int]:
    """The outcomes that happened at all."""
    return {outcome.value: summary.counts[outcome] for outcome in Outcome if summary.counts[outcome]}
