"""Passes over unchanged files by listing the store instead of asking it file by file: a thousand for one request.

Only for files whose reference is remembered as confirmed; all that is open is whether the very object is still
there, and an equal ETag says so. Whatever a listing does not settle goes on to be looked at by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from lfk.core.errors import LfkError
from lfk.core.location import Location
from lfk.roles.scan import Found, Misfit
from lfk.roles.sync_files import FileSync
from lfk.stores.base import ObjectStore

log = logging.getLogger(__name__)

#: Below this many files in a folder, asking for each is as fast.
_FEW = 8
#: Files of a folder that are held in memory and settled by one listing.
_MANY = 5000
#: Objects of others (of folders below, or deleted here) that a listing may run over before it is given up.
_STRANGERS = 2000


class Sieve:
    """One per scan."""

    def __init__(self, store: ObjectStore, files: FileSync) -> None:
        self._store = store
        self._files = files
        self._group: dict[Location, tuple[Found, str]] = {}
        self._folder: Location | None = None
        self._after: str | None = None

    def sift(self, items: Iterable[Found | Misfit]) -> Iterator[Found | Misfit]:
        """What has to be looked at."""
        for item in items:
            confirmed = self._files.placing.confirmed(item) if isinstance(item, Found) else None
            if confirmed is None or not isinstance(item, Found):
                yield item
                continue
            location, known = confirmed
            folder = Location(location.scheme, location.bucket, location.key.removesuffix(location.name))
            if folder != self._folder or len(self._group) >= _MANY:
                yield from self._settle()
                self._after = None if folder != self._folder else self._after
                self._folder = folder
            self._group[location] = (item, known.etag)
        yield from self._settle()

    def _settle(self) -> Iterator[Found | Misfit]:
        if len(self._group) >= _FEW and self._folder is not None:
            try:
                self._list(self._folder)
            except LfkError as error:
                # Looking at each file by itself tells what it means for that file, or that it is an outage.
                log.info("%s cannot be listed: %s", self._folder, error)
        yield from (found for found, _etag in self._group.values())
        self._group.clear()

    def _list(self, folder: Location) -> None:
        """Take out of the group what the store still has."""
        last = max(self._group).key
        strangers = 0
        for info in self._store.list(folder, after=self._after):
            found, etag = self._group.get(info.location, (None, ""))
            if found is None:
                strangers += 1
            elif info.etag == etag:
                del self._group[info.location]
                self._files.pass_over(found, info.location)
            if info.location.key >= last or strangers > _STRANGERS:
                break
        self._after = last
