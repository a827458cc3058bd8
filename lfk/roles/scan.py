"""Walks a source folder and says what is in it: recordings with their stamps, and what stands in the way of reading.

Follows links, and tells those that lead back into their own parents. Opens nothing, so a pipe named ``x.wav``
cannot stop it. Memory grows with the largest single folder, not with the tree.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from lfk.core.errors import FileUnreadable, LfkError
from lfk.core.media_types import is_media
from lfk.core.patterns import Selection
from lfk.core.sync_plan import Stamp

#: A folder's device and inode: its identity, whatever leads to it.
FolderId = tuple[int, int]

_SIGNED = (1 << 63) - 1

_REASONS = {
    errno.ENOENT: "it is gone, or a link to nothing",
    errno.ELOOP: "a link that leads to itself",
    errno.EACCES: "no permission to read it",
    errno.EPERM: "no permission to read it",
    errno.ENAMETOOLONG: "its path is too long for this system",
    errno.EISDIR: "a folder, not an audio file",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A recording; ``relative`` is its path below the source folder with ``/`` between the parts."""

    relative: str
    stamp: Stamp
    #: The store was listed a moment ago, and had nothing at its place.
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that has the name of a recording or of a folder and cannot be read as one."""

    relative: str
    error: LfkError


class Scan:
    """One walk over a folder, in the order of names; files of a folder come before its folders."""

    def __init__(self, source: Path, selection: Selection, skip: Set[FolderId]) -> None:
        """``skip`` holds folders that are passed over, such as the store's own."""
        self._source = source
        self._selection = selection
        self._skip = skip
        #: Files passed over so far: not media, hidden, or not selected.
        self.ignored = 0

    def __iter__(self) -> Iterator[Found | Misfit]:
        # Each entry: a folder's path below the source, and the identities of the folders that led there.
        waiting: list[tuple[str, tuple[FolderId, ...]]] = [("", ())]
        while waiting:
            relative, parents = waiting.pop()
            folder = self._source / relative
            try:
                identity = folder_id(folder)
                if identity in self._skip:
                    continue
                if identity in parents:
                    yield Misfit(relative, FileUnreadable("a link that leads back into a folder above it"))
                    continue
                with os.scandir(folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                yield Misfit(relative, unreadable(error))
                continue
            folders = []
            for entry in listed:
                path = f"{relative}/{entry.name}" if relative else entry.name
                item = self._look(entry, path)
                if isinstance(item, Found | Misfit):
                    yield item
                if _is_folder(entry) and not entry.name.startswith(".") and not self._selection.excludes(path):
                    folders.append((path, (*parents, identity)))
            waiting.extend(reversed(folders))

    def _look(self, entry: os.DirEntry[str], path: str) -> Found | Misfit | None:
        folder = _is_folder(entry)
        if not is_media(entry.name) or not self._selection.wants(path):
            self.ignored += not folder
            return None
        if folder:
            return Misfit(path, FileUnreadable("a folder with the name of an audio file", hint="rename the folder"))
        try:
            return Found(path, stamp_of(entry.stat()))
        except FileNotFoundError as error:
            # Gone since the folder was listed, which is nobody's failure; or a link to nothing.
            return Misfit(path, unreadable(error)) if entry.is_symlink() else None
        except OSError as error:
            return Misfit(path, unreadable(error))
        except FileUnreadable as error:
            return Misfit(path, error)


def stamp_of(info: os.stat_result) -> Stamp:
    """The stamp of a file.

    Raises:
        FileUnreadable: it is no regular file.
    """
    if not stat.S_ISREG(info.st_mode):
        raise FileUnreadable("not a regular file")
    # Some network filesystems use all 64 bits of an inode; what remembers stamps has signed numbers.
    return Stamp(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino & _SIGNED)


def folder_id(path: Path) -> FolderId:
    """The identity of a folder; raises OSError."""
    info = path.stat()
    return info.st_dev, info.st_ino


def unreadable(error: OSError) -> FileUnreadable:
    """Our error for the system's."""
    reason = _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
    failure = FileUnreadable(reason)
    failure.__cause__ = error
    return failure


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that cannot be followed is no folder; reading it as a file tells why.
        return False
