"""Which keys a store takes, and what a listing does with names that no location can hold.

Keys come from messages, folders and other people's buckets; whatever :func:`lfk.core.location.check_key` refuses never
reaches a server or a disk.
"""

from __future__ import annotations

import logging

from lfk.core.errors import InvalidKey, InvalidLocation
from lfk.core.location import Location, check_key

log = logging.getLogger(__name__)

#: A hostile name may be as long as a server likes; a log line shows its beginning.
_SHOWN = 80


def object_key(location: Location) -> str:
    """The key of an object that may be read or written.

    Raises:
        InvalidKey: it is no key, or the key of a prefix.
    """
    if location.key.endswith("/"):
        raise InvalidKey(f"{location} is a prefix, not an object")
    try:
        return check_key(location.key)
    except InvalidLocation as error:
        raise InvalidKey(error.message) from error


class LeftOut:
    """Counts the names that one listing leaves out, and says so once."""

    def __init__(self, prefix: Location) -> None:
        self._prefix = prefix
        self._count = 0
        self._example = ""

    def takes(self, key: str) -> bool:
        """Whether a location can hold ``key``; counts it if not."""
        try:
            check_key(key)
        except InvalidLocation:
            self.add(key)
            return False
        return True

    def add(self, name: str) -> None:
        """Count a name."""
        self._count += 1
        self._example = self._example or ascii(name[:_SHOWN])

    def report(self) -> None:
        """Warn of what was left out, if anything was."""
        if self._count:
            log.warning(
                "names left out below %s, as lfk cannot address them: %d, one of them %s",
                self._prefix,
                self._count,
                self._example,
            )
