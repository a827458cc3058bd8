"""Objects of the store as answers that can be had in parts (RFC 9110, range requests), in flat memory.

One block at a time is read, when the one before has gone out: a slow reader holds no thread and no memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from lfk.core.errors import ContentChanged
from lfk.stores.base import ObjectInfo, ObjectStore
from lfk.web.threads import Threads

#: Bytes that are read at a time: half a minute of speech in a common format.
_BLOCK = 512 << 10


class Unsatisfiable(Exception):
    """The range lies behind the end."""


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """First byte and the byte behind the last; None where the header is to be passed over: other units, several
    ranges, or none at all.

    Raises:
        Unsatisfiable: nothing of it is there.
    """
    unit, equals, asked = text.partition("=")
    first, dash, last = (part.strip() for part in asked.partition("-"))
    numbers = [part for part in (first, last) if part]
    if unit.strip().lower() != "bytes" or not equals or not dash or not numbers:
        return None
    # Sizes have at most 19 digits; longer numbers are not worth the work of reading them.
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in numbers):
        return None
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return None
    if start >= size or start >= end:
        raise Unsatisfiable
    return start, end


def answer(
    store: ObjectStore, threads: Threads, info: ObjectInfo, headers: Headers, told: Mapping[str, str], *, head: bool
) -> Response:
    """The object, or the part of it that ``headers`` ask for. ``told`` are headers of the answer."""
    etag = f'"{info.etag}"'
    known = {**told, "Accept-Ranges": "bytes", "ETag": etag, "Cache-Control": "private, no-cache"}
    if headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=known)
    part = None
    if "range" in headers and headers.get("if-range", etag) == etag:
        try:
            part = parse_range(headers["range"], info.size)
        except Unsatisfiable:
            return Response(status_code=416, headers={**known, "Content-Range": f"bytes */{info.size}"})
    start, end = part or (0, info.size)
    known["Content-Length"] = str(end - start)
    if part is not None:
        known["Content-Range"] = f"bytes {start}-{end - 1}/{info.size}"
    status = 200 if part is None else 206
    if head:
        return Response(status_code=status, headers=known)
    return StreamingResponse(_blocks(store, threads, info, start, end), status, known)


async def _blocks(store: ObjectStore, threads: Threads, info: ObjectInfo, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        block = await threads.run(
            store.read_part, info.location, start=start, size=min(_BLOCK, end - start), etag=info.etag
        )
        if not block:
            raise ContentChanged(f"{info.location} became shorter while it was read")
        start += len(block)
        yield block
