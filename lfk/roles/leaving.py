"""What becomes of a source once its copy is in the store: it may be deleted or moved, but never on trust.

Before anything goes, the stored object is looked at anew: it must be the very object that was uploaded, of the size
and hash of the file. Where the store itself compared what it received with a checksum, that is enough; where it does
not, or somebody else uploaded the object, it is read back and hashed. Where that is asked for, a transcript of these
very bytes must be there too, with every file that it lists.

Links, and what lies behind them, stay: whoever linked a file in did not mean the original to go.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lfk.core.addressing import AudioAddress, Roots, collision_key
from lfk.core.errors import AccessDenied, InvalidLocation, ObjectMissing, PreconditionFailed, ScratchFull, StoreError
from lfk.core.location import Location, parse_location
from lfk.core.manifest import Manifest
from lfk.core.sync_plan import Content, Known
from lfk.roles import taking_away
from lfk.roles.results import Results
from lfk.roles.sync_events import Fate
from lfk.roles.sync_job import SyncJob
from lfk.roles.uploader import Stopped
from lfk.stores.base import SHA256, SOURCE, ObjectStore

_OWNER_LIMIT = 16 << 10


@dataclass(frozen=True, slots=True)
class Leaver:
    """A file whose reference was confirmed, and what is remembered of it."""

    relative: str
    path: Path
    address: AudioAddress
    known: Known


class Leaving:
    """Safe for use by several threads."""

    def __init__(self, job: SyncJob, store: ObjectStore, stopped: Callable[[], bool], scratch: Path | None) -> None:
        """``scratch``: folder for objects that are read back; None for the system's."""
        self._job = job
        self._store = store
        self._stopped = stopped
        self._scratch = scratch

    def take(self, leaver: Leaver) -> Fate:
        """Verify, then delete or move.

        Raises:
            Stopped: told to stop.
            PreconditionFailed: the object is no longer the one that was uploaded.
            ContentChanged: the file is no longer the one that was uploaded.
            StoreError: what is stored is not what was uploaded.
            FileUnreadable, ScratchFull: it cannot be deleted or moved.
        """
        afterwards = self._job.afterwards
        path = leaver.path
        if afterwards is None or path.resolve() != path:
            return Fate.KEPT
        if afterwards.needs_transcript and not has_transcript(
            self._store, self._job.roots, leaver.address, leaver.known.stored
        ):
            return Fate.KEPT
        self._verify(leaver.address.location, leaver.known)
        if afterwards.move_to is None:
            taking_away.delete(path, leaver.known.stamp)
            return Fate.DELETED
        file = Content(leaver.known.stamp.size, leaver.known.sha256)
        taking_away.move(path, leaver.known.stamp, file, afterwards.move_to / leaver.relative)
        return Fate.MOVED

    def _verify(self, location: Location, known: Known) -> None:
        stored = known.stored
        try:
            info = self._store.stat(location)
        except ObjectMissing as error:
            raise PreconditionFailed(f"{location} is no longer there") from error
        told = info.metadata.get(SHA256)
        if (info.etag, info.size, told or stored.sha256) != (known.etag, stored.size, stored.sha256):
            raise PreconditionFailed(f"{location} is no longer what was uploaded")
        ours = told is not None and info.metadata.get(SOURCE) == self._job.identity
        if not (ours and self._checked_on_arrival()):
            self._read_back(location, stored, known)

    def _checked_on_arrival(self) -> bool:
        """Whether the store compared what it received with a checksum."""
        try:
            return self._store.capabilities(self._job.roots.audio).verifies_checksums
        except AccessDenied:
            # Who may write recordings alone cannot try out what the store does.
            return False

    def _read_back(self, location: Location, stored: Content, known: Known) -> None:
        def progress(_size: int) -> None:
            if self._stopped():
                raise Stopped

        try:
            with tempfile.TemporaryDirectory(prefix="lfk-verify-", dir=self._scratch) as folder:
                _info, sha256 = self._store.download(
                    location,
                    Path(folder) / "object",
                    limit=stored.size,
                    etag=known.etag,
                    version_id=known.version_id,
                    progress=progress,
                )
        except OSError as error:
            raise ScratchFull(f"{location} cannot be read back here: {error.strerror}") from error
        if sha256 != stored.sha256:
            raise StoreError(
                f"{location} does not hold what was uploaded; the file stays",
                hint="the store has damaged it: delete the object, then sync again",
            )


def has_transcript(store: ObjectStore, roots: Roots, address: AudioAddress, audio: Content) -> bool:
    """Whether a complete transcript of these very bytes is there, as asked for at ``address``."""
    manifest = _manifest(store, roots, address)
    return (
        manifest is not None
        and manifest.path_to_audio == str(address.location)
        and manifest.transcription_approach == address.pair
        and (manifest.audio.size, manifest.audio.sha256) == (audio.size, audio.sha256)
        and _is_whole(store, roots, manifest)
    )


def _manifest(store: ObjectStore, roots: Roots, address: AudioAddress) -> Manifest | None:
    key = address.transcript_key
    try:
        owner = store.read(roots.records.join(f"owners/{key}"), limit=_OWNER_LIMIT)[0]
    except ObjectMissing:
        return None
    if owner.decode("utf-8", "replace") != str(address.location):
        key = collision_key(key, address.location)
    there = Results(store, roots).manifest(key)
    return there[0] if there is not None else None


def _is_whole(store: ObjectStore, roots: Roots, manifest: Manifest) -> bool:
    """Whether every file that it lists is there and matches."""
    for entry in manifest.files.values():
        try:
            location = parse_location(entry.location)
            if not roots.transcripts.contains(location):
                return False
            info = store.stat(location)
        except (InvalidLocation, ObjectMissing):
            return False
        if (info.size, info.metadata.get(SHA256, entry.sha256)) != (entry.size, entry.sha256):
            return False
    return True
