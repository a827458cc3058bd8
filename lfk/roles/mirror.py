"""A local folder that mirrors checked keys: files appear whole or not at all, and never outside the folder.

Every folder on the way to a file is opened below the one before it without following links, so a symlink in the
folder (planted, or left by somebody) ends that file with an error and leads nowhere. The name itself may be a link:
it is replaced, not followed. The root may be a link, as the user named it.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from lfk.core.errors import FileUnreadable, ScratchFull, UsageError
from lfk.roles.hub.lease import Lease

_BLOCK = 1 << 20
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Mirror:
    """A context manager; what was not placed when it ends is gone, what was placed is on the disk.

    Files may be placed by one thread while another flushes; others may ask for temporaries and digests meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        """``folder`` is created when the context is entered."""
        self.folder = folder.expanduser().absolute()
        self._lease: Lease | None = None
        self._names = itertools.count()
        self._lock = threading.Lock()
        #: Placed, and perhaps not on the disk yet.
        self._fresh: list[str] = []

    def __enter__(self) -> Mirror:
        """Raises UsageError where the folder cannot be written to."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Inside the folder, so that placing a file is a rename. What a killed process left of this goes.
            self._lease = Lease(self.folder, ".lfk-")
            self._on_their_way().mkdir()
        except OSError as error:
            raise UsageError(
                f"cannot write into {self.folder}: {error.strerror}", hint="name another folder with --out"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lease is not None:
            self._lease.close()
        self.flush()

    def temporary(self) -> Path:
        """A path for a new file on its way."""
        return self._on_their_way() / str(next(self._names))

    def forget_temporaries(self) -> None:
        """Remove the files that were on their way and were not placed."""
        for path in self._on_their_way().iterdir():
            path.unlink()

    def sha256(self, name: str) -> str | None:
        """The sha256 of the file of that name in hex; None if there is no regular file that can be read."""
        try:
            with self._parent(name, create=False) as (folder, last):
                file = os.open(last, _FILE_FLAGS, dir_fd=folder)
                try:
                    return _digest(file) if stat.S_ISREG(os.fstat(file).st_mode) else None
                finally:
                    os.close(file)
        except OSError:
            return None

    def place(self, path: Path, name: str) -> Path:
        """Move a finished file to its name; returns where it is. It survives a crash of this process from here on.

        Raises:
            FileUnreadable: a file or link is in the way, or the folder is not ours to write to.
            ScratchFull: there is no room.
        """
        with self._errors(name), self._parent(name, create=True) as (folder, last):
            os.replace(path, last, dst_dir_fd=folder)
        with self._lock:
            self._fresh.append(name)
        return self.folder / name

    def flush(self) -> None:
        """Bring what was placed onto the disk: it survives a crash of the machine from here on.

        Apart from placing, as each file alone would wait for the disk twice; together they wait little more than once.

        Raises:
            FileUnreadable, ScratchFull: the disk does not take it.
        """
        with self._lock:
            names, self._fresh = self._fresh, []
        last_of_folder = {name.rpartition("/")[0]: name for name in names}
        for name in names:
            with self._errors(name):
                try:
                    with self._parent(name, create=False) as (folder, last):
                        _sync(last, folder)
                        if last_of_folder[name.rpartition("/")[0]] == name:
                            os.fsync(folder)
                except FileNotFoundError:
                    # Replaced or taken away since, by somebody whose business it is.
                    continue

    def remove(self, name: str) -> None:
        """Take the file of that name away, if there is one.

        Raises:
            FileUnreadable: it cannot be removed.
        """
        with self._errors(name):
            try:
                with self._parent(name, create=False) as (folder, last):
                    os.unlink(last, dir_fd=folder)
            except FileNotFoundError:
                return

    def _on_their_way(self) -> Path:
        if self._lease is None:
            raise RuntimeError("the mirror is not open")
        return self._lease.folder / "new"

    @contextmanager
    def _parent(self, name: str, *, create: bool) -> Iterator[tuple[int, str]]:
        """The folder of a name as a descriptor, and the name's last part."""
        *parts, last = name.split("/")
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                below = _open_below(folder, part, create)
                os.close(folder)
                folder = below
            yield folder, last
        finally:
            os.close(folder)

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise ScratchFull(f"no room for {self.folder / name}", hint="make room in that folder") from error
            raise FileUnreadable(
                f"{self.folder / name} cannot be written: {error.strerror}",
                hint="move what is in the way, or name another folder with --out",
            ) from error


def _sync(name: str, folder: int) -> None:
    file = os.open(name, _FILE_FLAGS, dir_fd=folder)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _digest(file: int) -> str:
    digest = hashlib.sha256()
    while block := os.read(file, _BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _open_below(folder: int, part: str, create: bool) -> int:
    if create:
        try:
            os.mkdir(part, dir_fd=folder)
        except FileExistsError:
            # Whatever it is: opening it tells whether it is a folder.
            return os.open(part, _FOLDER_FLAGS, dir_fd=folder)
    return os.open(part, _FOLDER_FLAGS, dir_fd=folder)
