"""A file on its way in: the raw body of one PUT, of a length that is told first, into a file of scratch."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from lfk.core.errors import AudioEmpty, AudioTooLarge, InvalidLocation, ScratchFull
from lfk.web.threads import Busy, Threads

#: Files that come in at a time: each may fill scratch up to the limit.
UPLOADS = 4
#: Bytes that are gathered before they are written.
_BLOCK = 1 << 20
#: Nothing for so long: whoever sends has gone.
_IDLE_SECONDS = 60.0


class Reception:
    """Takes a bounded number of files at a time. Used from one event loop."""

    def __init__(self, threads: Threads, scratch: Path | None, limit: int) -> None:
        """``scratch``: a folder, None for the system's. ``limit``: bytes of one file."""
        self._threads = threads
        self._scratch = scratch
        self._limit = limit
        self._taken = 0

    @asynccontextmanager
    async def received(self, request: Request, suffix: str) -> AsyncIterator[Path]:
        """The body as a file that goes with the block.

        Raises:
            Busy: too many come in at a time.
            AudioTooLarge, AudioEmpty, InvalidLocation: of the length that is told, or none is.
            ClientDisconnect: it ended early.
            ScratchFull: this machine has no room.
        """
        length = self._length(request)
        if self._taken >= UPLOADS:
            raise Busy
        self._taken += 1
        try:
            with tempfile.TemporaryDirectory(prefix="lfk-web-", dir=self._scratch) as folder:
                path = Path(folder) / f"recording.{suffix}"
                await self._receive(request, path, length)
                yield path
        finally:
            self._taken -= 1

    def _length(self, request: Request) -> int:
        told = request.headers.get("content-length", "")
        if not (told.isascii() and told.isdigit()):
            raise InvalidLocation("the request does not say how long the file is", hint="send a Content-Length")
        if len(told) > 19 or int(told) > self._limit:
            raise AudioTooLarge(
                f"the file has more than {self._limit} bytes", hint="let the operator raise LFK_WEB_MAX_UPLOAD"
            )
        if int(told) == 0:
            raise AudioEmpty("the file is empty (0 bytes)")
        return int(told)

    async def _receive(self, request: Request, path: Path, length: int) -> None:
        body = aiter(request.stream())
        gathered, size = bytearray(), 0
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
                        gathered.clear()
        except OSError as error:
            raise ScratchFull(f"the file cannot be kept on the way: {error.strerror}") from error
