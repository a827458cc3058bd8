"""Files below one root, reached part by part through descriptors, so that no symbolic link ever leads out of it.

Every part is opened with ``O_NOFOLLOW`` relative to the one before: between a check and a use nobody can slip a link
in. Links below the root are refused, wherever they point; the root itself may be one, as the operator named it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lfk.core.errors import (
    AccessDenied,
    BucketMissing,
    InvalidKey,
    LfkError,
    ObjectMissing,
    StoreError,
    StoreFull,
    StoreUnreachable,
)
from lfk.core.location import Location
from lfk.stores.local_file import NO_ROOM

#: O_PATH (Linux) needs no right to list the folders on the way.
_STEP = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_LIST = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_RDONLY
#: Not blocking, as the open of a named pipe would wait for its other end for ever.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

#: Commits take milliseconds; whoever holds the lock this long is stopped, and others must not hang with it.
LOCK_SECONDS = 30.0
_LOCK_POLL_SECONDS = 0.002

_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP})
_BAD_NAME = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ENOTEMPTY})
#: What a network file system says while its server is away, and a disk that fails.
_AWAY = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.ENOLCK}
)


@contextmanager
def folder_border(location: Location) -> Iterator[None]:
    """Maps every ``OSError`` raised inside, by its number; the cause is kept."""
    try:
        yield
    except OSError as error:
        raise _mapped(error, location) from error


def _mapped(error: OSError, location: Location) -> LfkError:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return ObjectMissing(f"there is no {location}")
    if error.errno in _DENIED:
        return AccessDenied(f"{location}: {reason}", hint="check owner and permissions of the folder, and its mount")
    if error.errno in NO_ROOM:
        return StoreFull(f"{location}: {reason}")
    if error.errno in _BAD_NAME:
        return InvalidKey(f"{location}: {reason}")
    if error.errno in _AWAY:
        return StoreUnreachable(f"{location}: {reason}", hint="check the disk or network share that holds the store")
    return StoreError(f"{location}: {reason}")


class Tree:
    """The files below one folder. Methods raise ``OSError`` unless they say otherwise."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def folder(self, parts: Sequence[str], *, create: bool = False, listable: bool = False) -> Iterator[int]:
        """What :meth:`open_folder` opens, closed at the end."""
        descriptor = self.open_folder(parts, create=create, listable=listable)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open_folder(self, parts: Sequence[str], *, create: bool = False, listable: bool = False) -> int:
        """A new descriptor of the folder at ``parts``; good for reading its names only if ``listable``.

        Raises:
            BucketMissing: the root is not there.
            AccessDenied: a part is a symbolic link.
            InvalidKey: a part is a file, and folders should be created below it.
        """
        try:
            here = os.open(self.root, (_LIST if listable and not parts else _STEP) & ~os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BucketMissing(f"there is no folder {self.root}") from error
        for number, part in enumerate(parts, 1):
            try:
                below = self._step(here, part, _LIST if listable and number == len(parts) else _STEP, create)
            finally:
                os.close(here)
            here = below
        return here

    def _step(self, here: int, part: str, flags: int, create: bool) -> int:
        if create:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=here)
        try:
            return os.open(part, flags, dir_fd=here)
        except NotADirectoryError as error:
            refuse_link(os.stat(part, dir_fd=here, follow_symlinks=False), part)
            if create:
                raise InvalidKey(f"{part!r} is a file, so there cannot be anything below it") from error
            raise

    def open_file(self, parts: Sequence[str]) -> tuple[int, os.stat_result]:
        """A new descriptor of a regular file, for reading, and the file's state.

        Raises:
            AccessDenied: it is a symbolic link.
            FileNotFoundError: there is nothing, or no regular file.
        """
        with self.folder(parts[:-1]) as parent:
            regular(parent, parts[-1])
            descriptor = os.open(parts[-1], _READ, dir_fd=parent)
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):  # exchanged between the look and the opening
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, "not a regular file")
        return descriptor, state

    def names(self, parts: Sequence[str]) -> list[tuple[str, bool]]:
        """Each name in the folder at ``parts`` and whether it is a folder; empty where there is no such folder.

        Raises:
            BucketMissing: the root is not there.
        """
        try:
            with self.folder(parts, listable=True) as here, os.scandir(here) as scan:
                return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in scan]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def states(self, parts: Sequence[str], names: Sequence[str]) -> list[tuple[str, os.stat_result]]:
        """The states of these names in the folder at ``parts``, without those that are gone."""
        found = []
        try:
            with self.folder(parts) as here:
                for name in names:
                    with suppress(FileNotFoundError):
                        found.append((name, os.stat(name, dir_fd=here, follow_symlinks=False)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return found

    def remove_older(
        self,
        parts: Sequence[str],
        seconds: float,
        found: Callable[[str, int], None] | None = None,
        *,
        dry_run: bool = False,
    ) -> int:
        """Remove the files in the folder at ``parts`` that nobody has written to for so long; returns how many.

        ``found`` gets the name and bytes of each; in a ``dry_run`` they stay.
        """
        removed = 0
        names = [name for name, folder in self.names(parts) if not folder]
        for name, state in self.states(parts, names):
            if time.time() - state.st_mtime > seconds:
                with suppress(FileNotFoundError, PermissionError), self.folder(parts) as here:
                    if not dry_run:
                        os.unlink(name, dir_fd=here)
                    removed += 1
                    if found is not None:
                        found(name, state.st_size)
        return removed

    def prune(self, parts: Sequence[str]) -> None:
        """Remove the folder at ``parts`` and those above it, as far as they are empty. The root stays."""
        for depth in range(len(parts), 0, -1):
            try:
                with self.folder(parts[: depth - 1]) as parent:
                    os.rmdir(parts[depth - 1], dir_fd=parent)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.EBUSY, *_DENIED):
                    return
                raise

    def sync(self, parts: Sequence[str]) -> None:
        """Make the names in a folder durable, where its permissions and its file system let us."""
        try:
            with self.folder(parts, listable=True) as here:
                os.fsync(here)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP):
                raise

    @contextmanager
    def locked(self, parts: Sequence[str]) -> Iterator[None]:
        """Hold the lock file at ``parts`` against other threads and processes.

        Raises:
            StoreUnreachable: somebody held it for ``LOCK_SECONDS``.
        """
        with self.folder(parts[:-1], create=True) as parent:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(parts[-1], flags, 0o666, dir_fd=parent)
        try:
            self._wait_for(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _wait_for(self, descriptor: int) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StoreUnreachable(
                        f"another process has kept {self.root} locked for {LOCK_SECONDS:.0f} s",
                        hint="look for an lfk process on this store that is stopped, and continue or end it",
                    ) from error
                time.sleep(_LOCK_POLL_SECONDS)
            else:
                return


def regular(parent: int, name: str) -> os.stat_result:
    """The state of the regular file ``name`` in a folder.

    Raises:
        AccessDenied: it is a symbolic link.
        FileNotFoundError: there is nothing, or something else than a regular file.
    """
    state = os.stat(name, dir_fd=parent, follow_symlinks=False)
    refuse_link(state, name)
    if not stat.S_ISREG(state.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file")
    return state


def refuse_link(state: os.stat_result, name: str) -> None:
    """Raise ``AccessDenied`` if the state is that of a symbolic link."""
    if stat.S_ISLNK(state.st_mode):
        raise AccessDenied(
            f"{name!r} is a symbolic link; the store does not follow links",
            hint="put the file itself there, or name the folder it points to in LFK_AUDIO or LFK_TRANSCRIPTS",
        )
