"""What was referred to lately and may not be answered yet, so that a reconcile does not refer to it again.

Bounded: it keeps a number for each object and version, not its name. Whatever a round over the store no longer finds
outstanding has been answered, or is gone, and is forgotten when the round ends.
"""

from __future__ import annotations

import hashlib
import threading

from lfk.core.notifications import Sighting

#: About 150 bytes each.
LIMIT = 100_000


class Recent:
    """Safe for use by several threads; rounds are the business of one."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        #: The round in which each was last of interest, oldest entries first.
        self._rounds: dict[int, int] = {}
        self._round = 0
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        """There is so much under way that nothing is lost by waiting until some of it is answered."""
        return len(self._rounds) >= self._limit

    def add(self, sighting: Sighting) -> None:
        """It is being referred to; where there is no room, the oldest is forgotten."""
        with self._lock:
            self._rounds[_key(sighting)] = self._round
            if len(self._rounds) > self._limit:
                del self._rounds[next(iter(self._rounds))]

    def forget(self, sighting: Sighting) -> None:
        """Its reference did not get through."""
        with self._lock:
            self._rounds.pop(_key(sighting), None)

    def holds(self, sighting: Sighting) -> bool:
        """Whether it was referred to."""
        return _key(sighting) in self._rounds

    def begin(self) -> None:
        """A round begins."""
        with self._lock:
            self._round += 1

    def keep(self, sighting: Sighting) -> bool:
        """This round found it outstanding: whether it was referred to, which is then kept for another round."""
        with self._lock:
            known = _key(sighting) in self._rounds
            if known:
                self._rounds[_key(sighting)] = self._round
            return known

    def end(self) -> None:
        """The round has seen everything: forget what it did not find outstanding."""
        with self._lock:
            self._rounds = {key: last for key, last in self._rounds.items() if last == self._round}


def _key(sighting: Sighting) -> int:
    text = f"{sighting.location}\n{sighting.etag or ''}"
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big")
