"""Lists the store instead of asking it file by file: a thousand answers for one request.

A file whose reference is remembered as confirmed is passed over where the very object is still there, which an equal
ETag says. A file that has nothing at its place need not be looked for there again before it goes up, as its upload is
conditional anyway. Whatever a listing does not settle goes on to be looked at by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

from lfk.core.errors import LfkError, RejectedReference
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
        #: Files of one folder by their places, each with the ETag that is remembered, if it need not go up again.
        self._group: dict[Location, tuple[Found, str | None]] = {}
        self._folder: Location | None = None
        self._after: str | None = None

    def sift(self, items: Iterable[Found | Misfit]) -> Iterator[Found | Misfit]:
        """What has to be looked at."""
        placing = self._files.placing
        for item in items:
            try:
                destination = placing.of(item.relative) if isinstance(item, Found) else None
            except RejectedReference:
                destination = None
            if destination is None or not isinstance(item, Found):
                yield item
                continue
            location = destination.location
            folder = Location(location.scheme, location.bucket, location.key.removesuffix(location.name))
            if folder != self._folder or len(self._group) >= _MANY:
                yield from self._settle()
                self._after = None if folder != self._folder else self._after
                self._folder = folder
            confirmed = placing.confirmed(item, destination)
            self._group[location] = (item, confirmed[1].etag if confirmed is not None else None)
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
        """Take out of the group what the store still has, and note what it has not."""
        last = max(self._group).key
        there: set[Location] = set()
        strangers = 0
        for info in self._store.list(folder, after=self._after):
            found, etag = self._group.get(info.location, (None, None))
            there.add(info.location)
            if found is None:
                strangers += 1
            elif info.etag == etag:
                del self._group[info.location]
                self._files.pass_over(found, info.location)
            if info.location.key >= last:
                break
            if strangers > _STRANGERS:
                # What lies behind is not known.
                last = info.location.key
                break
        for location, (found, etag) in self._group.items():
            if location not in there and location.key <= last:
                self._group[location] = (replace(found, absent=True), etag)
        self._after = last
