"""What was referred to lately and may not be answered yet, so that a reconcile does not refer to it again.

Bounded: it keeps a number for each object and version, not its name. Whatever a round over the store no longer finds
outstanding has been answered, or is gone, and is forgotten when the round ends.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

from lfk.core.notifications import Sighting

#: About 170 bytes each.
LIMIT = 100_000
#: How far the clocks of store and listener may be apart: an object is only taken for newer than its reference if it is
#: newer than that.
_SKEW_SECONDS = 60.0


@dataclass(slots=True)
class _Entry:
    #: The round in which it was last of interest.
    round: int
    #: When it was referred to, seconds since the epoch.
    time: float
    #: A round found it; its notification may still come.
    found: bool


class Recent:
    """Safe for use by several threads; rounds are the business of one."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        #: Oldest first.
        self._entries: dict[int, _Entry] = {}
        self._round = 0
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        """There is so much under way that nothing is lost by waiting until some of it is answered."""
        return len(self._entries) >= self._limit

    def add(self, sighting: Sighting, now: float, *, found: bool) -> None:
        """It is referred to now; where there is no room, the oldest is forgotten."""
        with self._lock:
            self._entries[_key(sighting)] = _Entry(self._round, now, found)
            if len(self._entries) > self._limit:
                del self._entries[next(iter(self._entries))]

    def forget(self, sighting: Sighting) -> None:
        """Its reference did not get through."""
        with self._lock:
            self._entries.pop(_key(sighting), None)

    def holds(self, sighting: Sighting) -> bool:
        """Whether it was referred to."""
        return _key(sighting) in self._entries

    def is_late(self, sighting: Sighting) -> bool:
        """Whether a round was quicker than this notification of it; true once, as each upload is told of once."""
        with self._lock:
            entry = self._entries.get(_key(sighting))
            late = entry is not None and entry.found
            if entry is not None:
                entry.found = False
            return late

    def begin(self) -> None:
        """A round begins."""
        with self._lock:
            self._round += 1

    def keep(self, sighting: Sighting, modified: float) -> bool:
        """This round found it outstanding: whether it was referred to, and not written anew since.

        If so it is kept for another round.
        """
        with self._lock:
            entry = self._entries.get(_key(sighting))
            if entry is None or modified > entry.time + _SKEW_SECONDS:
                return False
            entry.round = self._round
            return True

    def end(self) -> None:
        """The round has seen everything: forget what it did not find outstanding."""
        with self._lock:
            self._entries = {key: entry for key, entry in self._entries.items() if entry.round == self._round}


def _key(sighting: Sighting) -> int:
    text = f"{sighting.location}\n{sighting.etag or ''}"
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big")
