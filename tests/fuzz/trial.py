"""Hostile media through the decoder, one after another: what became of each, and what should not have."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lfk.core.errors import LfkError
from lfk.engine.base import Task
from lfk.engine.limits import EngineLimits
from lfk.engine.process import ProcessEngine
from tests.fuzz.decoder import decoding_engine
from tests.fuzz.media import Medium

#: The longest recording that is taken here, in seconds: the same code refuses a day, only later.
MAX_SECONDS = 600.0
#: What decoding one medium may take in all, on a machine that is busy with other things: seconds and bytes.
LIMITS = EngineLimits(start_seconds=120.0, base_seconds=90.0, memory_bytes=1536 << 20)


@dataclass(frozen=True)
class Verdict:
    """What became of a medium: ``done`` or the code of its refusal."""

    medium: Medium
    code: str
    message: str
    seconds: float

    @property
    def wrong(self) -> str:
        """What should not have been; empty if all is well."""
        if self.code in self.medium.allowed:
            return ""
        return (
            f"{self.medium.name}: {self.code} ({self.message}) is not one of {', '.join(sorted(self.medium.allowed))}"
        )


def try_all(media: Iterable[Medium], folder: Path) -> Iterator[Verdict]:
    """Decode each within :data:`LIMITS`; nothing may stay in ``folder``."""
    engine = decoding_engine(LIMITS, MAX_SECONDS)
    try:
        for medium in media:
            yield _try(engine, medium, folder)
    finally:
        engine.close()


def _try(engine: ProcessEngine, medium: Medium, folder: Path) -> Verdict:
    suffix = Path(medium.name).suffix
    path = folder / f"audio{suffix if suffix.isascii() else ''}"
    path.write_bytes(medium.content)
    began = time.monotonic()
    code, message = "done", ""
    try:
        outcome = engine.run(Task(path, "ab" * 32, (), "tiny.en", {}, folder))
        if (outcome.transcript.duration or 0.0) > MAX_SECONDS:
            code = "over the limit"
    except LfkError as error:
        code, message = error.code, error.message
    seconds = time.monotonic() - began
    path.unlink()
    if left := [entry.name for entry in folder.iterdir()]:
        code, message = "left behind", ", ".join(left)
    return Verdict(medium, code, message, seconds)


class Canary:
    """A server that nobody may be made to call."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        #: How often somebody called.
        self.calls = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        while True:
            try:
                connection, _peer = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()


@contextlib.contextmanager
def canary() -> Iterator[Canary]:
    """One for as long as the block lasts."""
    server = Canary()
    try:
        yield server
    finally:
        server.close()
