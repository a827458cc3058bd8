"""Many looks at objects of one folder, answered by few listings: a page of one tells of hundreds of neighbours.

Whoever republishes a folder has hubs look at each transcript in it, and a listing of a single transcript's files costs
a server more than all other requests of such a look together. Where looks at a folder come thick and fast, a whole page
is listed from there on, and kept for seconds. It can only say yes: what it does not show as wanted is asked for anew.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lfk.core.location import Location
from lfk.stores.base import ObjectStore

#: What a server lists in one request. It costs about ten times what a handful of keys do.
_PAGE_KEYS = 1000
#: So many pages are kept, of some hundred kilobytes each.
_PAGES = 12
#: For so long a page is believed. An object that is deleted meanwhile might as well have been after the look.
_FRESH_SECONDS = 5.0
#: A page is worth its cost where so many looks at its folder came in the last second.
_LOOKS = 16
_RECENT_SECONDS = 1.0
#: And where pages bring that many answers each, as they do for looks in the order of names, but not for looks here and
#: there in a folder of millions. So many pages are tried before that is judged, and again after a while.
_ANSWERS = 12
_TRIES = 4
_AGAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Page:
    taken: float
    #: By location, as text.
    sizes: Mapping[str, int]


class Lookahead:
    """See the module. Safe for use by several threads."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._pages: deque[_Page] = deque(maxlen=_PAGES)
        #: When the last looks were, and at which folder.
        self._looks: deque[tuple[Location, float]] = deque(maxlen=4 * _LOOKS)
        #: Pages listed and answers that they gave, since when.
        self._listed = self._answered = 0
        self._judged_since = clock()

    def shows(self, prefix: Location, sizes: Mapping[str, int]) -> bool:
        """Whether all of these objects, whose keys begin with ``prefix``, are there with these sizes in bytes.

        False if nothing that is known tells.

        Raises:
            Unreachable, AccessDenied: the store.
        """
        # One at a time: who comes next may find what the one before has had listed.
        with self._lock:
            folder = prefix.parent
            self._looks.append((folder, self._clock()))
            if any(_agrees(page, sizes) for page in self._fresh()):
                self._answered += 1
                return True
            if not self._is_worth_it(folder):
                return False
            self._listed += 1
            taken = self._clock()
            listed = itertools.islice(self._store.list(folder, after=prefix.key), _PAGE_KEYS)
            page = _Page(taken, {str(info.location): info.size for info in listed})
            self._pages.append(page)
            return _agrees(page, sizes)

    def _fresh(self) -> list[_Page]:
        oldest = self._clock() - _FRESH_SECONDS
        while self._pages and self._pages[0].taken < oldest:
            self._pages.popleft()
        return list(self._pages)

    def _is_worth_it(self, folder: Location) -> bool:
        now = self._clock()
        if now - self._judged_since >= _AGAIN_SECONDS:
            self._listed, self._answered, self._judged_since = 0, 0, now
        if self._listed >= _TRIES and self._answered < _ANSWERS * self._listed:
            return False
        since = now - _RECENT_SECONDS
        return sum(1 for at, when in self._looks if at == folder and when >= since) >= _LOOKS


def _agrees(page: _Page, sizes: Mapping[str, int]) -> bool:
    return all(page.sizes.get(location) == size for location, size in sizes.items())
