"""What stored audio is to be deleted in time: one small record each, written before its transcript.

``<records>/expiring/<name>.json`` holds the tombstone that the audio will have. Being written before the transcript is
complete, it is there whatever dies afterwards; that the transcript is announced is told by its reference being done
with. A later transcript of the same audio replaces the record, and so begins the grace time anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from lfk.core.errors import ObjectMissing, PreconditionFailed
from lfk.core.location import Location, parse_location
from lfk.core.manifest import Manifest
from lfk.core.tombstone import Tombstone, tombstone_name, tombstone_of
from lfk.stores.base import IfMatch, ObjectInfo, ObjectStore

_LIMIT = 16 << 10


@dataclass(frozen=True, slots=True)
class Due:
    """Audio whose grace time is over. ``etag`` is that of its record ``at``."""

    audio: Location
    tombstone: Tombstone
    at: Location
    etag: str


class Expiring:
    """See the module. Safe for use by several threads."""

    def __init__(self, store: ObjectStore, records: Location) -> None:
        self._store = store
        self._folder = records.join("expiring").as_prefix()

    def record(self, manifest: Manifest, transcript: Location, now: float) -> None:
        """The audio of a transcript is to go; ``now`` in seconds since the epoch."""
        version = manifest.audio
        planned = tombstone_of(
            manifest,
            str(transcript),
            timestamp=int(now * 1000),
            modified=version.modified,
            version_id=version.version_id,
        )
        at = self._folder.join(tombstone_name(parse_location(manifest.path_to_audio)))
        self._store.put(at, planned.to_bytes(), content_type="application/json")

    def listed(self, after: str | None = None) -> Iterator[ObjectInfo]:
        """The records, in some order of their own; ``after`` is the key of the last one of an earlier look."""
        return self._store.list(self._folder, after=after)

    def read(self, record: Location) -> Due | None:
        """One of them; None if it is gone by now.

        Raises:
            ValueError: it is no such record.
        """
        try:
            data, info = self._store.read(record, limit=_LIMIT)
        except ObjectMissing:
            return None
        tombstone = Tombstone.from_bytes(data)
        audio = parse_location(tombstone.location)
        if tombstone_name(audio) != record.name:
            raise ValueError(f"it is of another audio, {audio}")
        return Due(audio, tombstone, record, info.etag)

    def drop(self, due: Due) -> None:
        """It is done with, unless it was written anew meanwhile."""
        with contextlib.suppress(PreconditionFailed):
            self._store.delete(due.at, condition=IfMatch(due.etag))
