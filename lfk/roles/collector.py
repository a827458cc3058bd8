"""Brings the files of one transcript into a local folder: checked against the manifest, the manifest last.

A transcript may be rewritten while it is read (its manifest goes first and comes back last), so files that do not
match the manifest are read again a few times before they count as failed. Files that are there already, with the
right content, are left alone: a redelivered announcement changes nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from lfk.core.errors import (
    AudioTooLarge,
    ContentChanged,
    FileUnreadable,
    LfkError,
    ObjectMissing,
    RejectedReference,
    ScratchFull,
    Unreachable,
)
from lfk.core.formats import MANIFEST
from lfk.core.manifest import read_manifest
from lfk.core.received import TranscriptFile
from lfk.roles.mirror import Mirror
from lfk.stores.base import ObjectStore

log = logging.getLogger(__name__)

#: The manifest of a day-long recording, the largest of the files, stays well below this.
FILE_LIMIT = 256 << 20
#: A rewrite takes as long as a few small writes; a transcript that still does not fit then is not being rewritten.
_ATTEMPTS = 4
_REWRITE_SECONDS = 0.5

#: Files of one transcript fetched at a time: they are small, so what takes time is the way to the store and back.
_TOGETHER = 4

#: What another writer at work looks like from here.
_PASSING = (ContentChanged, ObjectMissing)
#: Nothing about this transcript: the next one would fare no better.
OUTAGES = (Unreachable, ScratchFull)


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of one file."""

    file: TranscriptFile
    #: Where it is now; None if there was an error.
    path: Path | None = None
    #: False where the right content was there already.
    changed: bool = False
    error: LfkError | None = None


class Collector:
    """See the module. Used by one thread at a time, but for :meth:`flush`."""

    def __init__(self, store: ObjectStore, mirror: Mirror, stop: threading.Event) -> None:
        """``stop`` cuts waiting short."""
        self._store = store
        self._mirror = mirror
        self._stop = stop

    def collect(self, files: Sequence[TranscriptFile], wanted: Sequence[TranscriptFile]) -> Sequence[Collected]:
        """Bring the ``wanted`` ones of a transcript's ``files``.

        Raises:
            Unreachable, ScratchFull: an outage; it can be called again.
        """
        manifest = next((file for file in files if file.form == MANIFEST), None)
        attempt = 1
        while True:
            try:
                fetched = self._fetch(manifest, wanted)
                passing = any(isinstance(one.error, _PASSING) for one in fetched)
                if not passing or attempt == _ATTEMPTS or self._stop.wait(_REWRITE_SECONDS):
                    return self._place(fetched)
            finally:
                self._mirror.forget_temporaries()
            attempt += 1

    def discard(self, files: Sequence[TranscriptFile]) -> None:
        """Take files away that were collected, where they were wanted for a moment only."""
        for file in files:
            self._mirror.remove(file.name)

    def flush(self) -> None:
        """Bring what was collected onto the disk; may be called while another transcript is collected."""
        self._mirror.flush()

    def _fetch(self, manifest: TranscriptFile | None, wanted: Sequence[TranscriptFile]) -> list[Collected]:
        """Each wanted file with its path on the way, if it is not in place already."""
        listing, digests = self._manifest(manifest)

        def fetch(file: TranscriptFile) -> Collected:
            if listing is not None and file.location == listing.file.location:
                return replace(listing, file=file)
            return self._download(file, digests.get(str(file.location)))

        with ThreadPoolExecutor(_TOGETHER, thread_name_prefix="lfk-collect") as pool:
            return list(pool.map(fetch, wanted))

    def _manifest(self, file: TranscriptFile | None) -> tuple[Collected | None, Mapping[str, str]]:
        """The manifest on its way, and the sha256 of each location that it lists."""
        if file is None:
            return None, {}
        got = self._download(file, None)
        if got.path is None:
            return got, {}
        try:
            entries = read_manifest(got.path.read_bytes()).files.values()
        except (ValueError, RecursionError) as error:
            log.warning("%s is no manifest, so its files are not checked: %s", file.location, error)
            return got, {}
        return got, {entry.location: entry.sha256 for entry in entries}

    def _download(self, file: TranscriptFile, digest: str | None) -> Collected:
        """Fetch one file unless the one in place has the digest; what does not have it is an error."""
        there = self._mirror.sha256(file.name)
        if digest is not None and there == digest:
            return Collected(file, self._mirror.folder / file.name)
        path = self._mirror.temporary()
        try:
            _info, found = self._store.download(file.location, path, limit=FILE_LIMIT)
        except OUTAGES:
            raise
        except AudioTooLarge:
            large = RejectedReference(
                f"{file.location} has more than {FILE_LIMIT >> 20} MiB, which no transcript has",
                hint="look at what is there, and at who announced it",
            )
            return Collected(file, error=large)
        except LfkError as error:
            return Collected(file, error=error)
        if digest is not None and found != digest:
            return Collected(file, error=ContentChanged(f"{file.location} is not what its manifest says"))
        return Collected(file, path, changed=there != found)

    def _place(self, fetched: Sequence[Collected]) -> Sequence[Collected]:
        """Put what was fetched into place: before anything changes the manifest goes, and it comes back last."""
        placed: list[Collected] = []
        moving = any(one.changed for one in fetched)
        for one in fetched if moving else ():
            if one.file.form == MANIFEST:
                try:
                    self._mirror.remove(one.file.name)
                except FileUnreadable as error:
                    return [Collected(other.file, error=other.error or error) for other in fetched]
        for one in sorted(fetched, key=lambda one: one.file.form == MANIFEST):
            if one.file.form != MANIFEST:
                placed.append(self._move(one, one.changed))
            elif any(other.error for other in placed):
                broken = ContentChanged(f"{one.file.location} is not kept, as files that it lists could not be")
                placed.append(Collected(one.file, error=one.error or broken))
            else:
                placed.append(self._move(one, moving))
        return placed

    def _move(self, one: Collected, moving: bool) -> Collected:
        if one.error is not None or one.path is None:
            return one
        if not moving:
            return replace(one, path=self._mirror.folder / one.file.name)
        try:
            return replace(one, path=self._mirror.place(one.path, one.file.name))
        except ScratchFull:
            raise
        except LfkError as error:
            return Collected(one.file, error=error)
