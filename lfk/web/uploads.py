"""A file on its way in: the raw body of one PUT, of a length that is told first, into a file of scratch.

Its room is looked for before a byte of it is taken: nobody sends gigabytes to learn at their end that the disk is full.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from lfk.core.errors import AudioEmpty, AudioTooLarge, InvalidLocation, ScratchFull
from lfk.web.threads import Busy, Threads

#: Files that come in at a time.
UPLOADS = 4
#: Bytes that are gathered before they are written.
_BLOCK = 1 << 20
#: Nothing for so long: whoever sends has gone.
_IDLE_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class _Coming:
    """A file that is on its way: its bytes, and how many of them are on the disk."""

    size: int
    written: int = 0


class Reception:
    """Takes a bounded number of files at a time, and of bytes. Used from one event loop."""

    def __init__(self, threads: Threads, scratch: Path, limit: int, room: int) -> None:
        """``scratch``: a folder. ``limit``: bytes of one file; ``room``: of all that are on their way at a time."""
        self._threads = threads
        self._scratch = scratch
        self._limit = limit
        self._room = room
        self._coming: set[_Coming] = set()

    @asynccontextmanager
    async def received(self, request: Request, suffix: str) -> AsyncIterator[Path]:
        """The body as a file that goes with the block.

        Raises:
            Busy: too many come in at a time.
            AudioTooLarge, AudioEmpty, InvalidLocation: of the length that is told, or none is.
            ClientDisconnect: it ended early.
            ScratchFull: this machine has no room.
        """
        coming = _Coming(self._length(request))
        self._admit(coming.size)
        self._coming.add(coming)
        try:
            with self._folder() as folder:
                path = Path(folder) / f"recording.{suffix}"
                await self._receive(request, path, coming)
                yield path
        finally:
            self._coming.remove(coming)

    def _admit(self, size: int) -> None:
        """Whether there is room for one more, what the others have still to write included."""
        if len(self._coming) >= UPLOADS or sum(one.size for one in self._coming) + size > self._room:
            raise Busy
        try:
            free = shutil.disk_usage(self._scratch).free
        except OSError as error:
            raise _unusable(error) from error
        if size > free - sum(one.size - one.written for one in self._coming):
            raise ScratchFull(f"there is no room for {size} bytes on their way")

    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        try:
            return tempfile.TemporaryDirectory(prefix="upload-", dir=self._scratch)
        except OSError as error:
            raise _unusable(error) from error

    def _length(self, request: Request) -> int:
        told = request.headers.get("content-length", "")
        if not (told.isascii() and told.isdigit()):
            raise InvalidLocation("the request does not say how long the file is", hint="send a Content-Length")
        if len(told) > 19 or int(told) > self._limit:
            raise AudioTooLarge(
                f"the file has more than {self._limit} bytes",
                hint="let the operator raise LFK_WEB_MAX_UPLOAD (or LFK_SCRATCH_BYTES, LFK_MAX_AUDIO_BYTES)",
            )
        if int(told) == 0:
            raise AudioEmpty("the file is empty (0 bytes)")
        return int(told)

    async def _receive(self, request: Request, path: Path, coming: _Coming) -> None:
        body = aiter(request.stream())
        gathered, size, length = bytearray(), 0, coming.size
        try:
            with path.open("wb") as file:
                while size < length:
                    try:
                        chunk = await asyncio.wait_for(anext(body), _IDLE_SECONDS)
                    except (StopAsyncIteration, asyncio.TimeoutError) as error:
                        raise ClientDisconnect from error
                    size += len(chunk)
                    gathered += chunk
                    if len(gathered) >= _BLOCK or size >= length:
                        await self._threads.run(file.write, bytes(gathered))
                        coming.written += len(gathered)
                        gathered.clear()
        except OSError as error:
            raise _unusable(error) from error


def _unusable(error: OSError) -> ScratchFull:
    """Says nothing of where that is: visitors read it."""
    return ScratchFull(f"the file cannot be kept on the way: {error.strerror}")
