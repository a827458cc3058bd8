"""A small HTTP server that may face a network: every request is bounded in bytes and in time, and so is their number.

One request a connection, one thread a connection, at most :data:`_VISITS` of them; whoever comes then waits in the
system's queue. Those who take long to say what they want make room for others first. No TLS: where it leaves the
machine, a reverse proxy belongs in front of it.
"""

from __future__ import annotations

import hmac
import io
import json
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from lfk.core.printable import printable

log = logging.getLogger(__name__)

#: Events are about a kilobyte each, and senders put few into a request.
BODY_LIMIT = 1 << 20
#: Request line and headers; proxies send a few kilobytes.
_HEAD_LIMIT = 32 << 10
#: How long a request may take to arrive: far more than a megabyte needs on any line that a server has.
_ARRIVAL_SECONDS = 10.0
#: How long an answer of a few bytes may take to go.
_ANSWER_SECONDS = 5.0
#: Connections at a time; each waits for the broker, which confirms hundreds together.
_VISITS = 64
#: Connections that the system keeps waiting: a burst that is over within seconds.
_BACKLOG = 1024
#: Where all places are taken, whoever has been asking for longer than this makes room.
_ROOM_SECONDS = 1.0
#: How often a wait looks up.
_TICK_SECONDS = 0.1
#: What a refused request may still send, so that its sender gets to read why.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 4 * BODY_LIMIT
#: How long answers that are being made are waited for at the end.
_CLOSE_SECONDS = 10.0

#: Takes a body; gives the status and a word of explanation.
Handler = Callable[[bytes], tuple[HTTPStatus, str]]


class Door(socketserver.TCPServer):
    """Listens, from construction on, until it is closed."""

    allow_reuse_address = True
    request_queue_size = _BACKLOG

    def __init__(self, host: str, port: int, token: str, handler: Handler, ready: Callable[[], bool]) -> None:
        """``token`` is what every caller has to bear; empty where nobody has to. Raises OSError."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.token = token.encode("utf-8")
        self.handler = handler
        self.ready = ready
        self._visits: dict[socket.socket, _Visit] = {}
        self._changed = threading.Condition()
        self._closing = False
        super().__init__((host, port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(_TICK_SECONDS,), name="lfk-webhook")
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def close(self) -> None:
        """Take nobody in any more, let those who are in finish, and let go."""
        self._closing = True
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._changed:
            self._changed.wait_for(lambda: not self._visits, _CLOSE_SECONDS)

    def arrived(self, request: Any) -> None:
        """The request is there whole: from now on it is not its sender who takes the time."""
        with self._changed:
            self._visits[request].arriving = False

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            while len(self._visits) >= _VISITS and not self._closing:
                self._make_room()
                self._changed.wait(_TICK_SECONDS)
            if self._closing:
                self.shutdown_request(request)
                return
            self._visits[request] = _Visit(time.monotonic())
        threading.Thread(target=self._visit, args=(request, client_address), name="lfk-visit", daemon=True).start()

    def _make_room(self) -> None:
        arriving = [(visit.since, request) for request, visit in self._visits.items() if visit.arriving]
        since, request = min(arriving, default=(None, None), key=lambda item: item[0] or 0.0)
        if request is not None and since is not None and time.monotonic() - since > _ROOM_SECONDS:
            # Its thread finds the connection closed, and goes.
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def _visit(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError as error:
            log.info("a request from %s broke off: %s", client_address[0], type(error).__name__)
        except Exception:
            log.exception("a request from %s failed", client_address[0])
        finally:
            self.shutdown_request(request)
            with self._changed:
                del self._visits[request]
                self._changed.notify_all()


@dataclass(slots=True)
class _Visit:
    """A connection: since when, and whether its request is still on its way."""

    since: float
    arriving: bool = True


class _TooMuch(OSError):
    """More bytes than a request may have."""


class _Arrival(io.RawIOBase):
    """What comes in over a connection: no more than so many bytes, no longer than so many seconds in all."""

    def __init__(self, connection: socket.socket, allowance: int, seconds: float) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = time.monotonic() + seconds
        self.allowance = allowance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        if self.allowance <= 0:
            raise _TooMuch("the request is too long")
        self._connection.settimeout(left)
        count = self._connection.recv_into(memoryview(buffer)[: self.allowance])
        self.allowance -= count
        return count


class _Handler(BaseHTTPRequestHandler):
    """One request: judged by its head before its body is read."""

    protocol_version = "HTTP/1.1"
    server: Door

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._arrival = _Arrival(self.connection, _HEAD_LIMIT, _ARRIVAL_SECONDS)
        self.rfile = io.BufferedReader(self._arrival)
        #: Something of the request may still be on its way.
        self._unread = True

    def version_string(self) -> str:
        return "lfk"

    def handle(self) -> None:
        self.close_connection = True
        try:
            self.handle_one_request()
        except _TooMuch:
            self._answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is too long")
        if self._unread:
            self._linger()

    def do_POST(self) -> None:
        refusal = self._refusal()
        if refusal is not None:
            self._answer(*refusal)
            return
        length = int(self.headers["content-length"])
        # What was read ahead was counted already, so this is enough and no more than the limit.
        self._arrival.allowance += length
        body = self.rfile.read(length)
        if len(body) == length:
            self._unread = False
            self.server.arrived(self.request)
            self._answer(*self.server.handler(body))

    def do_GET(self) -> None:
        if self.path != "/healthz":
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "notifications are sent with POST")
        elif self.server.ready():
            self._answer(HTTPStatus.OK, "ok")
        else:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "waiting for store and broker")

    do_HEAD = do_GET  # noqa: N815

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        self.close_connection = True
        status = HTTPStatus(code)
        self._answer(status, status.phrase)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s: %s", self.client_address[0], printable(format % args))

    def _refusal(self) -> tuple[HTTPStatus, str] | None:
        """Why this request is not read any further."""
        if not self._is_allowed():
            return HTTPStatus.UNAUTHORIZED, "send the token of LFK_WEBHOOK_TOKEN as `Authorization: Bearer …`"
        if not self.server.token and self.headers.get_content_type() != "application/json":
            # Any page may make a browser post to this machine, but not with this type unless we agree.
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "without a token, only application/json is taken"
        length = self.headers.get("content-length", "")
        if "transfer-encoding" in self.headers or not length:
            return HTTPStatus.LENGTH_REQUIRED, "say how long the body is"
        if not (length.isascii() and length.isdigit()) or len(self.headers.get_all("content-length", [])) > 1:
            return HTTPStatus.BAD_REQUEST, "the length of the body is no number"
        if len(length) > len(str(BODY_LIMIT)) or int(length) > BODY_LIMIT:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {BODY_LIMIT} bytes are taken"
        return None

    def _is_allowed(self) -> bool:
        if not self.server.token:
            return True
        scheme, _blank, given = self.headers.get("authorization", "").partition(" ")
        # Header texts are bytes in disguise: each character stands for one.
        same = hmac.compare_digest(given.strip(" ").encode("latin-1", "replace"), self.server.token)
        return same and scheme.lower() == "bearer"

    def _answer(self, status: HTTPStatus, text: str) -> None:
        body = json.dumps({"status": status.value, "message": text}).encode()
        self.connection.settimeout(_ANSWER_SECONDS)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        elif status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        elif status is HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "5")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _linger(self) -> None:
        """Take in what is still coming: closing on it would tear the answer out of its reader's hands."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            rest = _Arrival(self.connection, _LINGER_BYTES, _LINGER_SECONDS)
            while rest.readinto(bytearray(65536)):
                pass
