"""A hub's own copies of transcripts (MAIN_NODE_TRANSCRIPTIONS_FOLDER) go once the audio they are of was deleted.

Each hub looks after its own folder, as no other one sees it. The copy of the manifest goes last, so that one whose
removal was interrupted is found again; a file that is not what the manifest says is of a newer transcript, and stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable

from lfk.core.addressing import Roots
from lfk.core.errors import LfkError, ObjectMissing, PreconditionFailed, RejectedReference, Unreachable
from lfk.core.formats import MANIFEST
from lfk.core.location import Location, parse_location
from lfk.core.manifest import FileEntry, Manifest, read_manifest
from lfk.roles.burial import FILE_LIMIT
from lfk.roles.tombstones import Tombstones
from lfk.stores.base import IfMatch, ObjectStore

log = logging.getLogger(__name__)

#: Transcripts of one look; the next one goes on behind them.
_MOST = 500


class LocalCopies:
    """See the module. One owner."""

    def __init__(
        self,
        copies: tuple[ObjectStore, Location],
        store: ObjectStore,
        roots: Roots,
        grace: float,
        stop: threading.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``copies``: the folder, and the store that it is in; ``grace``: seconds that every copy stays at least."""
        self._copies, self._root = copies
        self._roots = roots
        self._grace = grace
        self._stop = stop
        self._clock = clock
        self._tombstones = Tombstones(store, roots.records)
        self._after: str | None = None

    def look(self) -> int:
        """Look once; returns how many transcripts were removed.

        Raises:
            Unreachable: the store that tells which audio was deleted.
        """
        removed = seen = 0
        for info in self._copies.list(self._root, after=self._after):
            if self._stop.is_set():
                return removed
            if not info.location.key.endswith(f".{MANIFEST}") or self._clock() - info.modified < self._grace:
                continue
            if seen == _MOST:
                return removed
            seen += 1
            self._after = info.location.key
            try:
                removed += self._remove(info.location)
            except Unreachable:
                raise
            except LfkError as error:
                log.warning("%s stays: %s", info.location, error)
        self._after = None
        return removed

    def _remove(self, at: Location) -> bool:
        try:
            content, info = self._copies.read(at, limit=FILE_LIMIT)
            manifest = read_manifest(content)
        except (ObjectMissing, ValueError, RecursionError):
            # Somebody else's file, or gone.
            return False
        if not self._is_buried(manifest):
            return False
        for entry in manifest.files.values():
            self._remove_file(entry)
        with contextlib.suppress(PreconditionFailed):
            self._copies.delete(at, condition=IfMatch(info.etag))
        log.info("removed the local copy %s", at)
        return True

    def _is_buried(self, manifest: Manifest) -> bool:
        try:
            buried = self._tombstones.stand_in(parse_location(manifest.path_to_audio))
        except RejectedReference:
            return False
        return buried is not None and (buried.etag, buried.size) == (manifest.audio.etag, manifest.audio.size)

    def _remove_file(self, entry: FileEntry) -> None:
        """Below the folder only, whatever a manifest says."""
        location = parse_location(entry.location)
        if not self._roots.transcripts.contains(location):
            return
        copy = self._root.join(self._roots.transcripts.relative(location))
        with contextlib.suppress(ObjectMissing, PreconditionFailed):
            content, info = self._copies.read(copy, limit=FILE_LIMIT)
            if hashlib.sha256(content).hexdigest() == entry.sha256:
                self._copies.delete(copy, condition=IfMatch(info.etag))
