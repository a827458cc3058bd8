"""The store's listings joined: for each transcript key the audio that wants it, its files, and who owns it.

Three streams that are sorted each in its own way become one that is sorted by transcript key, so that a million keys
need no more memory than a thousand. The order is that of ``key + "."``: of a key's files, the order of listings.
Held in memory: names below one that they all begin with (``x.wav`` and ``x.wav.part1.wav``), and audios whose
transcript key another audio owns, until their own marked key comes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from lfk.core.addressing import AudioAddress, collision_key
from lfk.core.location import Location
from lfk.core.media_types import is_media

#: What a listing tells of an object; the stores' own type, which core does not know.
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanting(Generic[T]):
    """Audio, and what its path asks for."""

    info: T
    address: AudioAddress


@dataclass(frozen=True, slots=True)
class Place(Generic[T]):
    """A transcript key with all that the listings hold of it."""

    key: str
    #: The audio whose path asks for a transcript here, and which may have it.
    audio: Wanting[T] | None
    #: Format to object.
    files: Mapping[str, T] = field(default_factory=dict)
    #: The record of who owns the key.
    owner: T | None = None


def join(
    audios: Iterable[tuple[str, Wanting[T]]],
    files: Iterable[tuple[str, Mapping[str, T]]],
    owners: Iterable[tuple[str, T]],
    owns: Callable[[T, Location], bool],
) -> Iterator[Place[T]]:
    """Join streams whose keys ascend as ``key + "."`` does; several audios may have one key.

    Args:
        owns: whether an owner's record names the audio at a location.
    """
    wanting: Iterator[tuple[str, Wanting[T]]] = iter(audios)
    others: list[tuple[str, int, Wanting[T]]] = []
    tie = count()
    heads = (_Head(wanting), _Head(iter(files)), _Head(iter(owners)))
    while True:
        keys = [head.key for head in heads if head.key is not None]
        if others:
            keys.append(others[0][0])
        if not keys:
            return
        lowest = min(keys)
        found = heads[0].take(lowest)
        marked = []
        while others and others[0][0] == lowest:
            marked.append(heapq.heappop(others)[2])
        listed = heads[1].take(lowest)
        record = next(iter(heads[2].take(lowest)), None)
        audio = marked[0] if marked else _owner(found, record, owns)
        for one in found:
            if one is not audio:
                key = collision_key(lowest[:-1], one.address.location)
                heapq.heappush(others, (f"{key}.", next(tie), one))
        if audio is not None or listed:
            yield Place(lowest[:-1], audio, listed[0] if listed else {}, record)


def _owner(found: list[Wanting[T]], record: T | None, owns: Callable[[T, Location], bool]) -> Wanting[T] | None:
    """Which of those that want a key has it: its owner; where nobody owns it yet, the first."""
    if record is None:
        return found[0] if found else None
    return next((one for one in found if owns(record, one.address.location)), None)


class _Head(Generic[T]):
    """A stream whose next item can be looked at."""

    def __init__(self, items: Iterator[tuple[str, T]]) -> None:
        self._items = items
        self._advance()

    def take(self, key: str) -> list[T]:
        """The items of that key (with its dot), which is the lowest of all."""
        taken = []
        while self.key == key and self._item is not None:
            taken.append(self._item)
            self._advance()
        return taken

    def _advance(self) -> None:
        following = next(self._items, None)
        self.key = None if following is None else f"{following[0]}."
        self._item = None if following is None else following[1]


def in_order(items: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """From the order of keys to that of ``key + "."``; keys that begin with one another wait for each other."""
    waiting: list[tuple[str, int, T]] = []
    tie = count()
    for key, item in items:
        while waiting and waiting[0][0] <= key:
            dotted, _tie, ready = heapq.heappop(waiting)
            yield dotted[:-1], ready
        heapq.heappush(waiting, (f"{key}.", next(tie), item))
    while waiting:
        dotted, _tie, ready = heapq.heappop(waiting)
        yield dotted[:-1], ready


def by_transcript(items: Iterable[tuple[str, T]], forms: Iterable[str]) -> Iterator[tuple[str, Mapping[str, T]]]:
    """Listed objects as transcripts: key to format to object. What is no file of a transcript is left out.

    A file belongs to a transcript if it has a format's suffix behind the name of a recording.
    """
    suffixes = frozenset(forms)
    together: dict[str, dict[str, T]] = {}
    lead: str | None = None
    for key, item in items:
        if lead is not None and not key.startswith(lead):
            yield from _ascending(together)
            together, lead = {}, None
        stem, _dot, form = key.rpartition(".")
        if form in suffixes and is_media(stem.rpartition("/")[2]):
            lead = lead or _lead(stem)
            together.setdefault(stem, {})[form] = item
    yield from _ascending(together)


def _ascending(together: Mapping[str, Mapping[str, T]]) -> list[tuple[str, Mapping[str, T]]]:
    return sorted(together.items(), key=lambda one: f"{one[0]}.")


def _lead(stem: str) -> str:
    """What the keys begin with that may lie between the files of this transcript: the shortest recording's name."""
    folder, slash, name = stem.rpartition("/")
    at = 0
    while (at := name.find(".", at + 1)) != -1:
        if is_media(name[:at]):
            return f"{folder}{slash}{name[:at]}."
    return f"{stem}."
