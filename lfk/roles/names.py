"""From names that a user gave to objects: looked up, or trusted. A list of names costs a listing for each folder.

Names come one by one from a command line, or as a stream from a file or pipe. Looking each of a hundred thousand up by
itself would take minutes, so names of one folder that follow each other are settled by listing it, a thousand to a
request; what a listing does not settle is looked up, several at a time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.errors import InvalidLocation, LfkError, ObjectMissing
from lfk.core.location import Location
from lfk.core.request import Request
from lfk.roles.parallel import in_parallel
from lfk.stores.base import ObjectInfo, ObjectStore

#: Names taken together: bounds memory, and the size of what one listing has to cover.
GROUP_NAMES = 5000
#: Parts of a group that are read ahead.
_BLOCKS = 10
#: A stream that has been quiet for so long has told all it has for now: what there is goes out.
_QUIET_SECONDS = 0.3
#: Below this many names of a folder, asking for each is as fast as listing it.
_FEW = 8
#: Objects of others that a listing may run over, for each name it is to settle, before it is given up.
_STRANGERS = 4
#: A location has at most 1024 bytes of key, twice that where it is escaped; more on a line is no name.
_LINE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """A name and what it leads to. ``info`` is None where it is trusted, ``address`` where it is refused."""

    name: str
    address: AudioAddress | None = None
    info: ObjectInfo | None = None
    error: LfkError | None = None


def lines_of(stream: IO[bytes]) -> Iterator[str]:
    """The lines of a stream. Bytes that are no UTF-8 come as they do in file names, to be refused one by one."""
    # Bounded: what has no line breaks is no list, and must not fill the memory.
    while line := stream.readline(2 * _LINE_LIMIT):
        yield line.decode("utf-8", "surrogateescape")


def gathered(lines: Iterable[str], stop: threading.Event, most: int = GROUP_NAMES) -> Iterator[list[str]]:
    """Names of a stream, one a line, as many together as are there; empty lines are passed over.

    The stream is read by a thread of its own, so that a pipe which pauses holds nothing up.

    Raises:
        OSError, UnicodeError: what the stream raises.
    """
    read: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
    # Bounded a block at a time: a queue that is bounded itself hands the processor over for every line.
    block = max(1, most // _BLOCKS)
    room = threading.Semaphore(_BLOCKS)

    def pull() -> None:
        try:
            for number, line in enumerate(lines):
                if number % block == 0:
                    room.acquire()
                read.put(line)
            read.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the names are taken
            read.put(error)

    threading.Thread(target=pull, name="lfk-names", daemon=True).start()
    group: list[str] = []
    taken = 0
    while not stop.is_set():
        try:
            line = read.get(timeout=_QUIET_SECONDS)
        except queue.Empty:
            if group:
                yield group
                group = []
            continue
        if isinstance(line, BaseException):
            raise line
        taken += 1
        if taken % block == 0:
            room.release()
        if line is not None and (name := line.rstrip("\r\n")):
            group.append(name)
        if group and (line is None or len(group) >= most):
            yield group
            group = []
        if line is None:
            return


class Finder:
    """Looks names of objects (not prefixes) up."""

    def __init__(self, store: ObjectStore, roots: Roots, request: Request, *, trust: bool = False) -> None:
        """``trust``: take names as they are; what is not there is told by the hub's failed announcement."""
        self._store = store
        self._roots = roots
        self._request = request
        self._trust = trust

    def find(self, names: Sequence[str]) -> Iterator[Found]:
        """What each name leads to, in order.

        Raises:
            Unreachable: the store.
        """
        resolved = [self._resolve(name) for name in names]
        if self._trust:
            yield from resolved
            return
        listed = self._listed([one.address.location for one in resolved if one.address is not None])
        yield from in_parallel(lambda one: self._look(one, listed), resolved)

    def _resolve(self, name: str) -> Found:
        try:
            if len(name) > _LINE_LIMIT:
                raise InvalidLocation(f"{name[:80]!r}… is too long for a location")
            return Found(name, self._request.resolve(name, self._roots))
        except LfkError as error:
            return Found(name[:_LINE_LIMIT], error=error)

    def _listed(self, locations: Sequence[Location]) -> dict[Location, ObjectInfo]:
        """What listings of the folders tell of these objects; not all of them, where that would cost more."""
        folders: dict[Location, set[Location]] = {}
        for location in locations:
            folder = Location(location.scheme, location.bucket, location.key.removesuffix(location.name))
            folders.setdefault(folder, set()).add(location)
        found: dict[Location, ObjectInfo] = {}
        for folder, wanted in folders.items():
            if len(wanted) >= _FEW:
                found.update(self._list(folder, wanted))
        return found

    def _list(self, folder: Location, wanted: set[Location]) -> Iterator[tuple[Location, ObjectInfo]]:
        first, last = min(wanted), max(wanted).key
        strangers = 0
        # The key before the first one: the same without its last character, which sorts right before it.
        for info in self._store.list(folder, after=first.key[:-1] if first.key[:-1] != folder.key else None):
            if info.location in wanted:
                yield info.location, info
            else:
                strangers += 1
            if info.location.key >= last or strangers > _STRANGERS * len(wanted):
                return

    def _look(self, one: Found, listed: dict[Location, ObjectInfo]) -> Found:
        address = one.address
        if address is None:
            return one
        info = listed.get(address.location)
        try:
            if info is None:
                info, address = self._stat(address)
        except LfkError as error:
            return replace(one, error=error)
        return replace(one, address=address, info=info)

    def _stat(self, address: AudioAddress) -> tuple[ObjectInfo, AudioAddress]:
        try:
            return self._store.stat(address.location), address
        except ObjectMissing:
            if address.fallback is None:
                raise
        return self._store.stat(address.fallback), address.at(address.fallback)


def prefixes(name: str, roots: Roots) -> list[Location]:
    """Where to look for what is below a prefix, in this order: where any object directly below it would be.

    Raises:
        RejectedReference: it is not one of ours.
    """
    pair = f"{roots.default_approach.name}.{roots.default_model}"
    probe = resolve(f"{name}x", pair, roots)
    places = [probe.location] if probe.fallback is None else [probe.location, probe.fallback]
    return [Location(place.scheme, place.bucket, place.key.removesuffix("x")) for place in places]
