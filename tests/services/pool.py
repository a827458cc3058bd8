"""One server of each kind per test run, however many workers run the tests.

The controlling pytest process owns the servers: it starts one when a test first asks, and ends all of them. Workers
ask it over an authenticated local connection, so a worker that crashes takes no server with it.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, Protocol

from tests.services.programs import MissingError, cache_folder
from tests.services.provide import SERVICES, provide

_CLOSE = "close"


@dataclass(frozen=True)
class Missing:
    """The answer where no way leads to a server."""

    reason: str


class Servers(Protocol):
    """Where a test run gets its servers."""

    def get(self, name: str) -> Any:
        """The address of a server, or :class:`Missing`. The first caller waits for its start."""


class Pool:
    """The servers of this run, in the process that owns them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lfk-services-"))
        self.cache = cache_folder(environ)
        self._environ = environ
        self._stack = contextlib.ExitStack()
        self._answers: dict[str, Any] = {}
        self._locks = {name: threading.Lock() for name in SERVICES}
        self._secret = secrets.token_bytes(32)
        self._listener: Listener | None = None

    def get(self, name: str) -> Any:
        with self._locks[name]:
            if name not in self._answers:
                self._answers[name] = self._start(name)
            return self._answers[name]

    def listen(self) -> tuple[Any, bytes]:
        """The address and key for workers to ask at; opened by the first call."""
        if self._listener is None:
            self._listener = Listener(("127.0.0.1", 0), authkey=self._secret)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self._listener.address, self._secret

    def close(self, *, keep_logs: bool) -> None:
        """End every server. Their data always goes, their logs only if nobody needs them."""
        if self._listener is not None:
            with Client(self._listener.address, authkey=self._secret) as connection:
                connection.send(_CLOSE)
            self._listener.close()
        self._stack.close()
        for path in self.folder.glob("*/*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        if not (keep_logs and self._answers):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name: str) -> Any:
        folder = self.folder / name
        folder.mkdir()
        try:
            return self._stack.enter_context(provide(SERVICES[name], self._environ, folder=folder, cache=self.cache))
        except MissingError as error:
            return Missing(str(error))

    def _accept(self, listener: Listener) -> None:
        while True:
            try:
                connection = listener.accept()
                name = connection.recv()
            except (AuthenticationError, EOFError, OSError):
                continue  # not one of our workers, or one that died asking
            if name == _CLOSE:
                connection.close()
                return
            # A thread for each question: whoever asks for an S3 server need not wait for somebody else's Kafka.
            threading.Thread(target=self._answer, args=(connection, name), daemon=True).start()

    def _answer(self, connection: Connection, name: str) -> None:
        with connection, contextlib.suppress(OSError):  # the worker may have died meanwhile
            connection.send(self.get(name))


class RemotePool:
    """A worker's view of the servers of its run."""

    def __init__(self, address: Any, secret: bytes) -> None:
        self._address = address
        self._secret = secret

    def get(self, name: str) -> Any:
        with Client(self._address, authkey=self._secret) as connection:
            connection.send(name)
            return connection.recv()
