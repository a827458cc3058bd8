"""A look at one transcript and its audio: is it readable, complete, and of the audio as it is now?"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.errors import LfkError, ObjectMissing, RejectedReference
from lfk.core.formats import MANIFEST
from lfk.core.location import Location, parse_location
from lfk.core.manifest import FileEntry, Manifest
from lfk.roles.batch_progress import is_of
from lfk.roles.results import Results
from lfk.roles.stock import StockPlace
from lfk.roles.tombstones import Tombstones
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

#: A rendering of a day-long recording stays well below this, in bytes.
_FILE_LIMIT = 256 << 20


@dataclass(frozen=True, slots=True)
class Examined:
    """What a place holds. ``manifest`` is None where none is there or it cannot be read."""

    place: StockPlace
    manifest: Manifest | None = None
    #: The audio of the transcript as it is now, and what of it is asked; None where it is gone by nobody's wish.
    audio: ObjectInfo | None = None
    address: AudioAddress | None = None

    @property
    def stale(self) -> bool:
        """The audio has changed since."""
        return self.manifest is not None and self.audio is not None and not is_of(self.manifest, self.audio)

    @property
    def orphaned(self) -> bool:
        """The audio is gone."""
        return self.manifest is not None and self.audio is None


class Examiner:
    """Safe for use by several threads."""

    def __init__(self, store: ObjectStore, roots: Roots) -> None:
        self._store = store
        self._roots = roots
        self._results = Results(store, roots)
        self._tombstones = Tombstones(store, roots.records)

    def look(self, place: StockPlace) -> Examined:
        """Read the manifest, if there is one, and look at its audio where the listing does not tell of it.

        Audio that was deleted on request counts as what it was.

        Raises:
            Unreachable: the store.
        """
        there = self._results.manifest(place.key)
        if there is None:
            return Examined(place)
        manifest = there[0]
        mine = place.audio
        if mine is not None and manifest.path_to_audio == str(mine.info.location):
            return Examined(place, manifest, mine.info, mine.address)
        try:
            address = resolve(manifest.path_to_audio, manifest.transcription_approach, self._roots)
            return Examined(place, manifest, self._tombstones.stat(address.location), address)
        except ObjectMissing:
            return Examined(place, manifest)
        except RejectedReference as error:
            log.info("%s: its audio cannot be asked for: %s", place.key, error)
            return Examined(place, manifest)

    def faults(self, examined: Examined, *, deep: bool) -> Iterator[str]:
        """What is wrong with the files that the manifest lists: missing, of another size, or (deep) other bytes."""
        for form, entry in (examined.manifest.files if examined.manifest is not None else {}).items():
            fault = self._fault(examined.place, form, entry, deep=deep)
            if fault is not None:
                yield f"{form} {fault}"

    def _fault(self, place: StockPlace, form: str, entry: FileEntry, *, deep: bool) -> str | None:
        location = self._file(entry)
        if location is None:
            return f"is said to be at {entry.location}, which is no place for it"
        listed = place.files.get(form)
        if listed is None or listed.location != location:
            try:
                listed = self._store.stat(location)
            except ObjectMissing:
                return "is missing"
        if listed.size != entry.size:
            return f"has {listed.size} bytes instead of {entry.size}"
        if deep and self._digest(location) != entry.sha256:
            return "has other bytes than were written"
        return None

    def _file(self, entry: FileEntry) -> Location | None:
        """A manifest is as hostile as a message: only what lies below the transcripts root is looked at."""
        try:
            location = parse_location(entry.location)
        except RejectedReference:
            return None
        return location if self._roots.transcripts.contains(location) else None

    def _digest(self, location: Location) -> str | None:
        try:
            return hashlib.sha256(self._store.read(location, limit=_FILE_LIMIT)[0]).hexdigest()
        except ObjectMissing:
            return None


def rewritten_meanwhile(store: ObjectStore, roots: Roots, key: str) -> bool:
    """Whether a transcript that the listing showed without a manifest has one by now: a hub was just writing it."""
    try:
        store.stat(roots.transcripts.join(f"{key}.{MANIFEST}"))
    except ObjectMissing:
        return False
    except LfkError as error:
        log.info("%s: %s", key, error)
        return False
    return True
