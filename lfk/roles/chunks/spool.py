"""Where the gateway keeps the bytes of audios that are not whole yet: one file each, so that memory stays flat.

Owned by the gateway's one thread, but for :meth:`Spool.finish` and :meth:`Spool.drop`, which any thread may call for
a file that no other touches.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lfk.core.chunks import Piece
from lfk.core.errors import ScratchFull, UsageError
from lfk.core.pcm import HEADER_BYTES
from lfk.stores.local_file import NO_ROOM

_BLOCK = 1 << 20
_HINT = "make room in MAIN_NODE_TEMP_FOLDER, raise LFK_SCRATCH_BYTES, or send fewer audios at a time"


@dataclass(slots=True, eq=False)
class SpoolFile:
    """The file of one audio. ``lead`` bytes at its beginning are left for a header."""

    path: Path
    lead: int
    held: int = 0


@dataclass(frozen=True, slots=True)
class WholeFile:
    """An audio as it is to be stored."""

    path: Path
    size: int
    sha256: str


class Spool:
    """See the module."""

    def __init__(self, folder: Path, budget: int) -> None:
        """``folder`` is this gateway's own; ``budget``: bytes that all audios together may hold."""
        self._folder = folder
        self._budget = budget
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._held = 0

    @property
    def filled(self) -> float:
        """How much of the budget is taken; over 1 by one chunk at most."""
        return self._held / self._budget if self._budget else 1.0

    def open(self, *, pcm: bool) -> SpoolFile:
        """A file for a new audio. Nothing is on the disk before something is appended."""
        return SpoolFile(self._folder / f"audio-{next(self._numbers)}", HEADER_BYTES if pcm else 0)

    def append(self, file: SpoolFile, frames: bytes) -> None:
        """Add a chunk.

        Raises:
            ScratchFull: the disk has no room.
            UsageError: the folder cannot be used, which no other audio would change.
        """
        with _disk(file.path), file.path.open("ab") as stream:
            if not file.held and file.lead:
                stream.write(bytes(file.lead))
            stream.write(frames)
        file.held += len(frames)
        with self._lock:
            self._held += len(frames)

    def finish(self, file: SpoolFile, pieces: Sequence[Piece], header: bytes) -> WholeFile:
        """The audio made of those pieces, in their order, behind ``header`` (as long as the file's lead).

        Raises:
            ScratchFull, UsageError: as for :meth:`append`.
        """
        digest = hashlib.sha256(header)
        size = len(header) + sum(piece.length for piece in pieces)
        if _stand_in_order(pieces, file.held):
            with _disk(file.path), file.path.open("r+b") as stream:
                stream.write(header)
                stream.flush()
                for block in _blocks(file, pieces):
                    digest.update(block)
            return WholeFile(file.path, size, digest.hexdigest())
        path = file.path.with_suffix(".whole")
        with _disk(path), path.open("wb") as stream:
            stream.write(header)
            for block in _blocks(file, pieces):
                digest.update(block)
                stream.write(block)
        return WholeFile(path, size, digest.hexdigest())

    def drop(self, file: SpoolFile) -> None:
        """Remove everything of an audio."""
        for path in (file.path, file.path.with_suffix(".whole")):
            path.unlink(missing_ok=True)
        with self._lock:
            self._held -= file.held
        file.held = 0


def _stand_in_order(pieces: Sequence[Piece], held: int) -> bool:
    at = 0
    for piece in pieces:
        if piece.start != at:
            return False
        at += piece.length
    return at == held


def _blocks(file: SpoolFile, pieces: Sequence[Piece]) -> Iterator[bytes]:
    with file.path.open("rb") as stream:
        for piece in pieces:
            stream.seek(file.lead + piece.start)
            left = piece.length
            while left:
                block = stream.read(min(_BLOCK, left))
                if not block:
                    raise OSError(errno.EIO, "it became shorter")
                left -= len(block)
                yield block


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise ScratchFull(f"no room for {path}", hint=_HINT) from error
        raise UsageError(
            f"the scratch folder cannot be used: {path}: {error.strerror}",
            hint="set MAIN_NODE_TEMP_FOLDER to a folder that this user may write to",
        ) from error


def over_budget() -> ScratchFull:
    """Why an audio is given up whose bytes the budget has no room for."""
    return ScratchFull("the audios under way together are more than the gateway's scratch may hold", hint=_HINT)
