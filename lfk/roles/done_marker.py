"""Done markers (``done.txt``): they tell whoever waits for a whole tree that all of it is stored and referred to.

One for each place under which files of the folder lie (approach, model and prefix, as far as the layout puts them into
the key), so that everything below a marker's own prefix is what it stands for. Its text counts the files and their
bytes and bears a hash of what they are, so an unchanged tree leaves its marker alone and a changed one replaces it.

What counts is what is in the folder now: it is walked once more, and where anything is not confirmed as it is there is
no marker, but a list of what lacks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from lfk.core.errors import ObjectMissing
from lfk.core.location import Location
from lfk.core.sync_plan import Known
from lfk.roles.placing import Placing
from lfk.roles.scan import Found, Misfit
from lfk.roles.sync_events import Marking
from lfk.stores.base import SHA256, SOURCE, ObjectStore

_BITS = 256
#: How many lacking files are named.
_NAMED = 5


@dataclass(slots=True)
class _Tree:
    """What lies below one place: a sum that does not depend on the order of files."""

    files: int = 0
    size: int = 0
    digest: int = 0

    def add(self, location: Location, known: Known) -> None:
        told = f"{location}\0{known.stored.sha256}".encode()
        self.files += 1
        self.size += known.stored.size
        self.digest = (self.digest + int.from_bytes(hashlib.sha256(told).digest(), "big")) % (1 << _BITS)

    def text(self) -> bytes:
        return f"{self.files} files, {self.size} bytes\n{self.digest:064x}\n".encode("ascii")


class DoneMarkers:
    """For the owner of the placing's memory."""

    def __init__(self, store: ObjectStore, placing: Placing, identity: str, name: str) -> None:
        """``identity``: who uploads, kept with each marker as with each recording. ``name`` is that of a marker."""
        self._name = name
        self._store = store
        self._placing = placing
        self._identity = identity

    def mark(self, walk: Iterable[Found | Misfit]) -> Marking:
        """Write the markers of a tree that is complete; write none of one that is not.

        Raises:
            LfkError: the store refuses, or is out of reach.
        """
        trees: dict[Location, _Tree] = {}
        lacking: list[str] = []
        lacks = 0
        for item in walk:
            confirmed = self._placing.confirmed(item) if isinstance(item, Found) else None
            if confirmed is None:
                lacks += 1
                lacking.extend([item.relative] if len(lacking) < _NAMED else [])
            else:
                place = self._placing.of(item.relative).placed.root.join(self._name)
                trees.setdefault(place, _Tree()).add(*confirmed)
        if lacks:
            return Marking(self._name, lacking=tuple(lacking), lacks=lacks)
        stale = [place for place, tree in trees.items() if not self._is_there(place, tree.text())]
        for place in stale:
            self._write(place, trees[place].text())
        return Marking(self._name, tuple(stale), tuple(place for place in trees if place not in stale))

    def _is_there(self, place: Location, text: bytes) -> bool:
        try:
            return self._store.stat(place).metadata.get(SHA256) == hashlib.sha256(text).hexdigest()
        except ObjectMissing:
            return False

    def _write(self, place: Location, text: bytes) -> None:
        metadata = {SHA256: hashlib.sha256(text).hexdigest(), SOURCE: self._identity}
        self._store.put(place, text, content_type="text/plain; charset=utf-8", metadata=metadata)
