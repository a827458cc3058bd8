"""A man in the middle of an S3 store: passes every request on, except where a rule has something else in mind.

Signatures cover the host that a client asked for, so requests go on as they came; the server behind checks them.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_TIMEOUT = 60


@dataclass(frozen=True)
class Asked:
    """A request on its way."""

    method: str
    #: Bucket and key, decoded.
    path: str
    headers: dict[str, str]
    body: bytes

    def is_about(self, method: str, part: str) -> bool:
        """Whether it is of that method and its path holds ``part``."""
        return self.method == method and part in self.path


@dataclass(frozen=True)
class Fault:
    """What happens instead. Nothing given: the connection is cut before anything is passed on."""

    #: The refusal's status and code, as S3 words them.
    status: int = 0
    code: str = ""
    #: Pass it on, and send back only this part of the answer's body; 0 means that the answer is lost altogether.
    part: float | None = None
    #: Seconds before it is passed on as if nothing were.
    delay: float = 0.0


Rule = Callable[[Asked], Fault | None]


@dataclass
class Meddler:
    """The rule in force, and what has come by. Both may be used at any time."""

    url: str
    rule: Rule = lambda _asked: None
    asked: list[Asked] = field(default_factory=list)
    faults: int = 0

    @contextlib.contextmanager
    def ruled(self, rule: Rule) -> Iterator[None]:
        """A rule for as long as the block lasts."""
        self.rule = rule
        try:
            yield
        finally:
            self.rule = lambda _asked: None


@contextlib.contextmanager
def meddler(upstream: str) -> Iterator[Meddler]:
    """One in front of the server at ``upstream``, for as long as the block lasts."""
    behind = urlsplit(upstream).netloc
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    one = Meddler(f"http://127.0.0.1:{server.server_address[1]}")
    server.lfk = (one, behind)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT

    def handle_one_request(self) -> None:
        with contextlib.suppress(OSError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _pass(self) -> None:
        meddler, behind = self.server.lfk  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        asked = Asked(self.command, unquote(urlsplit(self.path).path), dict(self.headers.items()), body)
        meddler.asked.append(asked)
        fault = meddler.rule(asked)
        if fault is None:
            self._answer(*self._forward(behind, body))
            return
        meddler.faults += 1
        if fault.status:
            text = f"<Error><Code>{fault.code}</Code><Message>meddled with</Message></Error>".encode()
            self._answer(fault.status, [("Content-Type", "application/xml")], text)
        elif fault.delay:
            time.sleep(fault.delay)
            self._answer(*self._forward(behind, body))
        elif fault.part is not None:
            status, headers, content = self._forward(behind, body)
            if fault.part:
                self._answer(status, headers, content, sent=int(len(content) * fault.part))
            self.close_connection = True
        else:
            self.close_connection = True

    def _forward(self, behind: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(behind, timeout=_TIMEOUT)
        with contextlib.closing(connection):
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, sent: int | None = None) -> None:
        length = {name.lower(): value for name, value in headers}.get("content-length", str(len(content)))
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:sent])

    def log_message(self, *_about: Any) -> None:
        """Nothing: the test tells."""


for _method in ("GET", "PUT", "HEAD", "POST", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler._pass)
