"""The local end of a transfer: a file that is read for an upload, and a file that a download fills.

A source that changes while it is read is refused; a target that cannot be completed is removed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from lfk.core.errors import AudioTooLarge, ContentChanged, ScratchFull
from lfk.core.location import Location

#: Bytes per read: large enough that hashing and system calls run outside Python, small enough to keep memory flat.
BLOCK_BYTES = 1 << 20

#: A file is claimed for as long as it takes to find an unfinished upload of it, and to compare its parts.
_CLAIM_SECONDS = 30.0
_LOOK_SECONDS = 0.01

#: A disk without room, or a user over quota.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class SourceFile:
    """A regular file, opened for reading, whose change is noticed."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            OSError: it is missing, may not be read, or is no regular file.
        """
        self._path = path
        # Not blocking, as the open of a named pipe would wait for its other end for ever.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = os.fstat(self._descriptor)
        if not stat.S_ISREG(self._before.st_mode):
            os.close(self._descriptor)
            number = errno.EISDIR if stat.S_ISDIR(self._before.st_mode) else errno.EINVAL
            raise OSError(number, "not a regular file", str(path))

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @property
    def size(self) -> int:
        """Bytes, when it was opened."""
        return self._before.st_size

    def claim(self) -> bool:
        """Whether nobody else holds the file now. Holds it alone, until :meth:`share` or the end of this object."""
        return self._lock(fcntl.LOCK_EX) is True

    def share(self) -> None:
        """Hold the file together with others that are busy with it, so that nobody can claim it.

        Who has claimed it is waited for, within reason: who goes on without a lock is seen by nobody.
        """
        until = time.monotonic() + _CLAIM_SECONDS
        while self._lock(fcntl.LOCK_SH) is None and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)

    def _lock(self, kind: int) -> bool | None:
        """Whether it is ours now; None where somebody else holds it."""
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError:  # the file system knows no such locks
            return False
        return True

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes. Safe for use by several threads.

        Raises:
            ContentChanged: the file has become shorter.
        """
        pieces = []
        while length:
            piece = os.pread(self._descriptor, length, offset)
            if not piece:
                raise ContentChanged(f"{self._path} became shorter while it was read")
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def blocks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from ``offset`` on, in blocks of at most ``BLOCK_BYTES``.

        Raises:
            ContentChanged: the file has become shorter.
        """
        end = self.size if length is None else offset + length
        while offset < end:
            block = self.read(offset, min(BLOCK_BYTES, end - offset))
            offset += len(block)
            yield block

    def confirm(self) -> None:
        """Check that it still is the file that was opened.

        Raises:
            ContentChanged: size, times or inode differ.
        """
        after = os.fstat(self._descriptor)
        if _identity(after) != _identity(self._before):
            raise ContentChanged(f"{self._path} changed while it was read")


def _identity(state: os.stat_result) -> tuple[int, int, int, int, int]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


class TargetFile:
    """The file that a download fills: hashed and measured as it grows, removed unless it is completed."""

    def __init__(self, path: Path, location: Location, *, limit: int) -> None:
        """``limit``: the most bytes it may come to hold; ``location`` is only named in errors."""
        self._path = path
        self._location = location
        self._limit = limit
        self._hash = hashlib.sha256()
        self.size = 0

    def expect(self, size: int) -> None:
        """Refuse an object before anything of it is written.

        Raises:
            AudioTooLarge: ``size`` is over the limit.
        """
        if size > self._limit:
            raise AudioTooLarge(f"{self._location} has {size} bytes; the limit is {self._limit}")

    def __enter__(self) -> TargetFile:
        with _disk(self._path):
            self._file = self._path.open("wb", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)

    def write(self, block: bytes) -> None:
        """Append a block.

        Raises:
            AudioTooLarge: the store sends more than it announced.
            ScratchFull: the disk has no room.
        """
        self.expect(self.size + len(block))
        with _disk(self._path):
            view = memoryview(block)
            while view:
                view = view[self._file.write(view) :]
        self._hash.update(block)
        self.size += len(block)

    def restart(self) -> None:
        """Forget what was written."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    def sha256(self) -> str:
        """Of what was written, in hex."""
        return self._hash.hexdigest()


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Maps a full disk; other errors of this machine's disk stay what they are."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise ScratchFull(
                f"no room for {path}", hint="make room in that folder; a hub's is MAIN_NODE_TEMP_FOLDER"
            ) from error
        raise
