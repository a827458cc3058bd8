"""Proves that a recording is transcribed, and deletes it from the store: audio goes only on this proof.

Nothing goes on the word of a name. The manifest has to be of these very bytes, and every file that it lists has to be
there with its size and sha256. A tombstone is written first: a crash in between leaves both, and the audio counts.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable

from lfk.core.addressing import Roots
from lfk.core.errors import AccessDenied, ObjectMissing, PreconditionFailed
from lfk.core.extraction import EXTRACTED_FROM
from lfk.core.location import Location, parse_location
from lfk.core.manifest import Manifest, read_manifest
from lfk.core.tombstone import tombstone_of
from lfk.roles.tombstones import Tombstones
from lfk.stores.base import SHA256, IfMatch, ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

#: The manifest of a day-long recording, the largest of the files, stays well below this.
FILE_LIMIT = 256 << 20


class Kept(Exception):
    """Why a recording stays, in words for people."""


class Burial:
    """See the module. Safe for use by several threads."""

    def __init__(self, store: ObjectStore, roots: Roots, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._roots = roots
        self._clock = clock
        self._tombstones = Tombstones(store, roots.records)

    def manifest(self, location: Location) -> Manifest | None:
        """The manifest there; None where there is none that can be read."""
        try:
            return read_manifest(self._store.read(location, limit=FILE_LIMIT)[0])
        except (ObjectMissing, ValueError, RecursionError):
            return None

    def confirm(self, manifest: Manifest, audio: ObjectInfo | None) -> None:
        """The transcript is whole, and (unless None) of the bytes of ``audio``.

        Raises:
            Kept: it is not.
            Unreachable: the store.
        """
        if audio is not None and not _is_of(manifest, audio):
            raise Kept("the stored audio has changed since it was transcribed")
        for name, entry in manifest.files.items():
            location = parse_location(entry.location)
            if not self._roots.transcripts.contains(location):
                raise Kept(f"its {name} is outside the transcripts root")
            try:
                content, _info = self._store.read(location, limit=FILE_LIMIT)
            except ObjectMissing:
                raise Kept(f"its {name} is missing") from None
            if (len(content), hashlib.sha256(content).hexdigest()) != (entry.size, entry.sha256):
                raise Kept(f"its {name} is not what the manifest says")

    def bury(self, manifest: Manifest, audio: ObjectInfo, transcript: Location) -> None:
        """Set up the tombstone, then delete the audio if it still is ``audio``.

        Args:
            manifest: what :meth:`confirm` has found to be of it.
            transcript: where that manifest is.

        Raises:
            Kept: it is another one by now.
            Unreachable, AccessDenied: the store; the audio stays.
        """
        tombstone = tombstone_of(
            manifest,
            str(transcript),
            timestamp=int(self._clock() * 1000),
            modified=audio.modified,
            version_id=audio.version_id,
            extracted_from=audio.metadata.get(EXTRACTED_FROM),
        )
        self._tombstones.put(audio.location, tombstone)
        try:
            self._store.delete(audio.location, condition=IfMatch(audio.etag))
        except PreconditionFailed as error:
            # Where another hub was first, stores may say the same of what is gone; that needs its tombstone.
            if self._is_there(audio.location):
                self._tombstones.remove(audio.location)
                raise Kept("it was replaced just now") from error
        self._purge(audio.location, audio.version_id)

    def finish(self, audio: Location) -> None:
        """Audio is gone: if it was buried by whoever died right after, do what was left."""
        buried = self._tombstones.stand_in(audio)
        if buried is not None:
            self._purge(audio, buried.version_id)

    def _is_there(self, audio: Location) -> bool:
        try:
            self._store.stat(audio)
        except ObjectMissing:
            return False
        return True

    def _purge(self, audio: Location, version_id: str | None) -> None:
        """Where the bucket keeps versions, the audio is only hidden so far."""
        if version_id is None:
            return
        try:
            self._store.delete_version(audio, version_id)
        except AccessDenied as error:
            # A bucket's lock, or credentials that may delete but not from history: hidden is as far as it goes.
            log.warning("%s is deleted, but its version %s stays in the bucket: %s", audio, version_id, error)


def _is_of(manifest: Manifest, audio: ObjectInfo) -> bool:
    """These very bytes: by the store's tag and size, and by their sha256 where whoever uploaded them wrote it down."""
    same = (audio.etag, audio.size) == (manifest.audio.etag, manifest.audio.size)
    return same and audio.metadata.get(SHA256, manifest.audio.sha256) == manifest.audio.sha256
