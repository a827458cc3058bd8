"""Batches in the store: written by whoever sends, read and cleared by whoever looks (see :mod:`lfk.core.batch`)."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lfk.core.batch import (
    MAX_RECORD_BYTES,
    Entry,
    Head,
    Part,
    Tally,
    check_batch_id,
    read_part,
    read_tallies,
    write_part,
    write_tallies,
)
from lfk.core.errors import LfkError, ObjectMissing, PreconditionFailed, UsageError
from lfk.core.location import Location
from lfk.stores.base import IfAbsent, IfMatch, ObjectStore

log = logging.getLogger(__name__)

_JSON = "application/json"
#: A batch whose sender was interrupted may be gone on with for so long, in seconds, even if it is answered by then.
RESUMABLE_SECONDS = 7 * 24 * 3600
#: Between two notes of how far a sender has come, in seconds: what a crash may send again.
_PROGRESS_SECONDS = 1.0
#: How often a tally is written again where another command wrote it at the same time.
_TALLY_ATTEMPTS = 5


class Batches:
    """The batches of one store. Safe for use by several threads."""

    def __init__(self, store: ObjectStore, records: Location) -> None:
        self._store = store
        self._root = Location(records.scheme, records.bucket, f"{records.as_prefix().key}batches/")

    def open(self) -> Iterator[Head]:
        """Every batch that is recorded, oldest first as far as their names tell."""
        seen = None
        for info in self._store.list(self._root):
            batch_id = self._root.relative(info.location).partition("/")[0]
            if batch_id == seen:
                continue
            seen = batch_id
            try:
                head = self.head(batch_id)
            except (LfkError, ValueError) as error:
                log.warning("batch %s is passed over: %s", batch_id, error)
            else:
                yield head

    def head(self, batch_id: str) -> Head:
        """What a batch is. One whose head is not there (yet) has its parts all the same.

        Raises:
            UsageError: there is no such batch, or it cannot be read.
        """
        folder = self._folder(batch_id)
        try:
            return Head.from_bytes(self._store.read(folder.join("head.json"), limit=MAX_RECORD_BYTES)[0])
        except ObjectMissing:
            if next(iter(self._store.list(folder)), None) is None:
                raise UsageError(
                    f"there is no batch {batch_id}; it is answered and gone, or never was",
                    hint="`lfk status` lists the open ones",
                ) from None
            return Head(batch_id, "unknown", created=0)
        except ValueError as error:
            raise UsageError(f"the head of batch {batch_id} cannot be read: {error}") from error

    def parts(self, batch_id: str, after: str | None = None) -> Iterator[tuple[str, Part]]:
        """The parts that are not answered whole by now: name and content, in order. ``after`` is a part's name."""
        folder = self._folder(batch_id).join("parts").as_prefix()
        closed = self.tallies(batch_id)
        start = None if after is None else f"{folder.key}{after}.json"
        for info in self._store.list(folder, after=start):
            name = info.location.name.removesuffix(".json")
            if name in closed:
                continue
            try:
                yield name, read_part(self._store.read(info.location, limit=MAX_RECORD_BYTES)[0])
            except ObjectMissing:
                continue
            except ValueError as error:
                log.warning("%s is passed over: %s", info.location, error)

    def part_names(self, batch_id: str) -> list[str]:
        """The names of all parts, those answered included."""
        folder = self._folder(batch_id).join("parts").as_prefix()
        there = [info.location.name.removesuffix(".json") for info in self._store.list(folder)]
        return sorted({*there, *self.tallies(batch_id)})

    def tallies(self, batch_id: str) -> dict[str, Tally]:
        """What became of parts that were answered whole, by their names."""
        return self._tallies(batch_id)[0]

    def close_part(self, batch_id: str, name: str, tally: Tally) -> None:
        """A part was found answered whole: keep its tally, and let it go."""
        location = self._folder(batch_id).join("answered.json")
        for _attempt in range(_TALLY_ATTEMPTS):
            known, etag = self._tallies(batch_id)
            condition = IfAbsent() if etag is None else IfMatch(etag)
            try:
                self._store.put(
                    location, write_tallies({**known, name: tally}), content_type=_JSON, condition=condition
                )
            except PreconditionFailed:
                continue
            self._store.delete(self._folder(batch_id).join(f"parts/{name}.json"))
            return
        log.info("part %s of batch %s is closed another time: others write its tally", name, batch_id)

    def remove(self, batch_id: str) -> None:
        """Let a batch go; its head last, so that an interrupted removal is taken up again."""
        folder = self._folder(batch_id)
        head = folder.join("head.json")
        for info in list(self._store.list(folder)):
            if info.location != head:
                self._store.delete(info.location)
        self._store.delete(head)

    def record(self, head: Head) -> None:
        """Write a head; the sender alone does."""
        self._store.put(self._folder(head.batch_id).join("head.json"), head.to_bytes(), content_type=_JSON)

    def record_part(self, batch_id: str, name: str, entries: Sequence[Entry], until: str | None) -> None:
        """Write a part, or more of it."""
        location = self._folder(batch_id).join(f"parts/{name}.json")
        self._store.put(location, write_part(entries, until), content_type=_JSON)

    def _tallies(self, batch_id: str) -> tuple[dict[str, Tally], str | None]:
        try:
            data, info = self._store.read(self._folder(batch_id).join("answered.json"), limit=MAX_RECORD_BYTES)
        except ObjectMissing:
            return {}, None
        try:
            return read_tallies(data), info.etag
        except ValueError as error:
            log.warning("the tallies of batch %s are begun anew: %s", batch_id, error)
            return {}, info.etag

    def _folder(self, batch_id: str) -> Location:
        return self._root.join(check_batch_id(batch_id)).as_prefix()


def part_name(number: int) -> str:
    """Names of parts sort as their numbers do."""
    return f"{number:08d}"


def new_batch(kind: str, asked: Mapping[str, Any], clock: Callable[[], float] = time.time) -> Head:
    """A head with a name of its own: when it began, and enough chance that no two are alike."""
    now = clock()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return Head(f"{stamp}-{uuid.uuid4().hex[:8]}", kind, created=int(now * 1000), asked=asked)


class BatchRecorder:
    """Writes one batch while its references are sent.

    Two threads may share it: one writes parts, the other notes the progress of what was written before.
    """

    def __init__(
        self, batches: Batches, head: Head, *, first_part: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        self._batches = batches
        self._number = first_part
        self._clock = clock
        self._noted = 0.0
        self.head = head

    @property
    def parts(self) -> int:
        """How many parts there are, those of earlier runs included."""
        return self._number

    @property
    def begun(self) -> bool:
        """Something of it is in the store."""
        return self._noted > 0

    def part(self, entries: Sequence[Entry], until: str | None = None) -> int:
        """Record references, before any of them is sent; returns the part's number."""
        if not self.begun:
            self.note()
        number = self._number
        self._batches.record_part(self.head.batch_id, part_name(number), entries, until)
        self._number += 1
        return number

    @property
    def age(self) -> float:
        """Seconds since the head was written."""
        return self._clock() - self._noted

    def count(self, size: int) -> None:
        """One more reference was confirmed; it is written down with whatever comes next."""
        self.head = replace(self.head, sent=self.head.sent + 1, size=self.head.size + size)

    def progress(self, *, sent: int, size: int, place: str | None) -> None:
        """So much was confirmed, and everything before ``place``; written down now and then."""
        self.head = replace(self.head, sent=self.head.sent + sent, size=self.head.size + size, place=place)
        if self._clock() - self._noted >= _PROGRESS_SECONDS:
            self.note()

    def note(self, *, finished: bool = False) -> None:
        """Write the head down."""
        self._noted = self._clock()
        self.head = replace(self.head, updated=int(self._noted * 1000), finished=finished)
        self._batches.record(self.head)
