"""An HTTP server that says exactly what a test wants, byte for byte, broken or not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

_REASONS = {200: "OK", 204: "No Content", 206: "Partial Content"}


@dataclass(frozen=True)
class Request:
    """What a client sent. Header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What the server answers. ``length`` announces another length than that of the body that is sent."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    #: Close without any answer.
    silent: bool = False
    #: Say nothing until the server ends.
    hang: bool = False

    def to_bytes(self, *, head: bool) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Error')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if "Transfer-Encoding" not in self.headers:
            lines.append(f"Content-Length: {len(self.body) if self.length is None else self.length}")
        lines += ["Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1") + (b"" if head else self.body)


def refusal(status: int, code: str, message: str = "") -> Reply:
    """An error as S3 words it."""
    return Reply(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


class ScriptedServer:
    """Answers each request with what ``script`` makes of it; remembers all of them."""

    def __init__(self, script: Callable[[Request], Reply], tls: ssl.SSLContext | None) -> None:
        self.requests: list[Request] = []
        self._script = script
        self._end = threading.Event()
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._end.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._end.is_set():
            try:
                connection, _peer = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:  # a client that does not trust us
                connection.close()
                return
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
            head = list(iter(lambda: stream.readline().rstrip(b"\r\n"), b""))
            if not head:
                return
            method, target, _version = head[0].decode("latin-1").split(" ")
            headers = {
                name.lower(): value.strip()
                for name, _colon, value in (line.decode("latin-1").partition(":") for line in head[1:])
            }
            if headers.get("expect") == "100-continue":
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = stream.read(int(headers.get("content-length", "0")))
            parts = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            request = Request(method, unquote(parts.path), query, headers, body)
            self.requests.append(request)
            reply = self._script(request)
            if reply.hang:
                self._end.wait(10)
            elif not reply.silent:
                connection.sendall(reply.to_bytes(head=method == "HEAD"))


@contextlib.contextmanager
def scripted(script: Callable[[Request], Reply], tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """A server for as long as the context lasts."""
    server = ScriptedServer(script, tls)
    try:
        yield server
    finally:
        server.close()
