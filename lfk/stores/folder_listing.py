"""Lists a folder the way an object store lists keys: in the order of whole UTF-8 keys, folder by folder.

Memory grows with the names in the largest folder and with nothing else; no descriptor stays open while a consumer
takes its time. Never listed: temporary files, lfk's own records (unless the prefix points into them), what is neither
file nor folder, and names that are no UTF-8.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from lfk.core.location import MAX_KEY_BYTES, Location
from lfk.stores.base import ObjectInfo
from lfk.stores.folder_records import PRIVATE, is_private
from lfk.stores.folder_tree import Tree, folder_border
from lfk.stores.names import LeftOut

#: How names of files begin that are being written.
TEMPORARY = ".lfk-"
#: Files looked at in one go: bounds both the descriptors opened and the states kept.
_BATCH = 512


def etag_of(state: os.stat_result) -> str:
    """The ETag of a file: changes with every write through lfk, and with edits by hand as far as stamps tell."""
    return f"{state.st_mtime_ns:x}-{state.st_size:x}-{state.st_ino:x}"


def walk(tree: Tree, root: Location, prefix: str, after: str | None) -> Iterator[ObjectInfo]:
    """Objects whose key below ``root`` starts with ``prefix``; ``after`` is a full key.

    Raises:
        BucketMissing: the root is not there.
    """
    *parts, start = prefix.split("/")
    if "" in parts:
        return
    left_out = LeftOut(Location(root.scheme, root.bucket, root.key + prefix))
    yield from _Listing(tree, root, after, left_out).folder(tuple(parts), start)
    left_out.report()


class _Listing:
    def __init__(self, tree: Tree, root: Location, after: str | None, left_out: LeftOut) -> None:
        self._tree = tree
        self._root = root
        self._after = after
        self._left_out = left_out

    def folder(self, parts: tuple[str, ...], start: str = "") -> Iterator[ObjectInfo]:
        """Everything in a folder whose name begins with ``start``, and all that is below it."""
        files: list[str] = []
        for name, is_folder in self._names(parts, start):
            if not is_folder:
                files.append(name)
            if files and (is_folder or len(files) == _BATCH):
                yield from self._files(parts, files)
                files = []
            if is_folder:
                yield from self.folder((*parts, name))
        yield from self._files(parts, files)

    def _names(self, parts: tuple[str, ...], start: str) -> list[tuple[str, bool]]:
        """Names in the order that whole keys have: a folder sorts as its name and a slash, so after ``a.b``."""
        base = self._key(parts)
        if len(base.encode("utf-8")) > MAX_KEY_BYTES:
            self._left_out.add(base)
            return []
        with folder_border(self._root):
            found = self._tree.names(parts)
        wanted = []
        for name, is_folder in found:
            key = f"{base}{name}/" if is_folder else f"{base}{name}"
            if not name.startswith(start) or name.startswith(TEMPORARY):
                continue
            if (*parts, name) == (PRIVATE,) or is_private((*parts, name)):
                continue
            if not self._left_out.takes(f"{base}{name}") or self._is_behind(key, is_folder):
                continue
            wanted.append((key, name, is_folder))
        wanted.sort()
        return [(name, is_folder) for _key, name, is_folder in wanted]

    def _is_behind(self, key: str, is_folder: bool) -> bool:
        """Whether ``after`` has passed this key, or all keys of this folder."""
        if self._after is None:
            return False
        return key <= self._after and not (is_folder and self._after.startswith(key))

    def _files(self, parts: tuple[str, ...], names: list[str]) -> Iterator[ObjectInfo]:
        base = self._key(parts)
        with folder_border(self._root):
            states = self._tree.states(parts, names)
        for name, state in states:
            if stat.S_ISREG(state.st_mode):
                location = Location(self._root.scheme, self._root.bucket, f"{base}{name}")
                yield ObjectInfo(location, state.st_size, etag_of(state), state.st_mtime)
            elif not stat.S_ISDIR(state.st_mode):
                self._left_out.add(f"{base}{name}")

    def _key(self, parts: tuple[str, ...]) -> str:
        return self._root.key + "".join(f"{part}/" for part in parts)
