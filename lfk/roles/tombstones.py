"""Tombstones in the store: written before audio is deleted on request, looked up by whoever misses it.

Looking up many costs nothing where there are none: their names are listed once in a while, not asked for one by one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from lfk.core.errors import AccessDenied, BucketMissing, ObjectMissing
from lfk.core.location import Location
from lfk.core.tombstone import Tombstone, tombstone_name
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

_LIMIT = 16 << 10
#: How long a listing of the names is good for; audio that was deleted since may be uploaded once more.
_LISTED_SECONDS = 60.0


class Tombstones:
    """See the module. Safe for use by several threads."""

    def __init__(self, store: ObjectStore, records: Location, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._prefix = records.join("tombstones").as_prefix()
        self._clock = clock
        self._lock = threading.Lock()
        self._names: frozenset[str] = frozenset()
        self._listed: float | None = None

    def find(self, audio: Location) -> Tombstone | None:
        """The tombstone of an audio, if it has one that can be read; one of the last minute may be missed."""
        return self._read(audio) if tombstone_name(audio) in self._known() else None

    def stand_in(self, audio: Location) -> ObjectInfo | None:
        """What the store said of the audio when it was there, for whoever only compares and has looked for it."""
        found = self._read(audio)
        if found is None:
            return None
        return ObjectInfo(audio, found.size, found.etag, found.modified, found.version_id)

    def stat(self, audio: Location) -> ObjectInfo:
        """What the store says of the audio, or said of it before it was deleted on request.

        Raises:
            ObjectMissing: it is gone, or never was there.
            Unreachable: the store.
        """
        try:
            return self._store.stat(audio)
        except ObjectMissing:
            buried = self.stand_in(audio)
            if buried is None:
                raise
            return buried

    def put(self, audio: Location, tombstone: Tombstone) -> None:
        """Set one up, in the place of an earlier one."""
        self._store.put(self._at(audio), tombstone.to_bytes(), content_type="application/json")

    def remove(self, audio: Location) -> None:
        """The audio is there after all."""
        self._store.delete(self._at(audio))

    def _read(self, audio: Location) -> Tombstone | None:
        try:
            data, _info = self._store.read(self._at(audio), limit=_LIMIT)
            tombstone = Tombstone.from_bytes(data)
        except ObjectMissing:
            return None
        except ValueError as error:
            log.warning("%s is passed over: %s", self._at(audio), error)
            return None
        return tombstone if tombstone.location == str(audio) else None

    def _at(self, audio: Location) -> Location:
        return self._prefix.join(tombstone_name(audio))

    def _list(self) -> frozenset[str]:
        try:
            return frozenset(info.location.name for info in self._store.list(self._prefix))
        except (AccessDenied, BucketMissing) as error:
            # Who may only write audio loses nothing: at worst some of it is uploaded once more.
            log.info("tombstones cannot be looked for: %s", error)
            return frozenset()

    def _known(self) -> frozenset[str]:
        with self._lock:
            if self._listed is None or self._clock() - self._listed >= _LISTED_SECONDS:
                self._names = self._list()
                self._listed = self._clock()
            return self._names
