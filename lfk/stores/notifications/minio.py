"""MinIO's own stream of notifications: no queue and no set-up, and nothing of what happens while nobody listens.

Every connection is a stream of its own here, where the SDK would quietly open the next: whoever listens has to know of
every gap, as the store has to be asked then. The SDK is therefore given a connection that opens once, reads lines as
they arrive (MinIO does not wait for slow listeners), and can be cut off while it waits.

A healthy MinIO is never silent: it sends a blank every half second. Builds of its last sources, from October 2025 on,
never flush that stream, so events lie in the server until some kilobytes have come together, and not even the answer's
head arrives before. That cannot be told from a connection that died; both are treated the same: the store is asked.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.exceptions import HTTPError

from lfk.core.errors import LfkError, MalformedMessage, NotificationsUnsupported, StoreUnreachable
from lfk.core.location import Location
from lfk.core.notifications import notification_of
from lfk.stores.notifications.base import Delivery, Intake, Trial
from lfk.stores.s3_connection import CONNECT_SECONDS, Connection
from lfk.stores.s3_errors import s3_border

log = logging.getLogger(__name__)

_EVENTS = ("s3:ObjectCreated:*",)
_STREAM = "text/event-stream"
#: Twenty missing blanks are a stream that does not work; how often the store is asked instead, too.
_SILENCE_SECONDS = 10.0
#: The answer's head comes with the first blank; without it, what has been there before is looked for all the same.
_HEAD_SECONDS = 2.0
#: How often it is looked whether to end.
_TICK_SECONDS = 0.25
#: An event is about a kilobyte, of which the metadata may be two more.
_LINE_LIMIT = 1 << 20
_BLOCK = 64 << 10
#: MinIO drops what a listener does not take; where one held it up for longer than this, something may be missing.
_HELD_UP_SECONDS = 0.5
#: The system finds out within a minute that the other side is gone, though nothing is ever sent to it.
_KEEP_ALIVE = tuple(
    (level, getattr(socket, name), value)
    for level, name, value in (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 20),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
    )
    if hasattr(socket, name)
)


class MinioNotifications:
    """See :class:`lfk.stores.notifications.base.Source`: objects created below one prefix."""

    def __init__(self, connection: Connection, prefix: Location) -> None:
        self._connection = connection
        self._prefix = prefix.as_prefix()
        self.address = connection.endpoint.endpoint_url or "AWS S3"

    def __enter__(self) -> MinioNotifications:
        if not self._connection.endpoint.endpoint_url:
            raise NotificationsUnsupported("AWS S3 does not tell of new objects by itself; MinIO does")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held between runs."""

    def check(self) -> str:
        self.run(Trial())
        return f"{self.address} takes listeners for {self._prefix}"

    def run(self, intake: Intake) -> None:
        stream = _Once(self._connection, intake.missed)
        with _attended(stream, intake, self.address):
            try:
                with (
                    _border(self._prefix),
                    self._client(stream).listen_bucket_notification(
                        self._prefix.bucket, prefix=self._prefix.key, events=_EVENTS
                    ) as events,
                ):
                    for event in events:
                        _hand_over(event, intake)
            except StoreUnreachable:
                # Cut off from here: whatever that looked like on the way up.
                if not intake.closed:
                    raise

    def _client(self, stream: PoolManager) -> Minio:
        endpoint = self._connection.endpoint
        parts = urlsplit(endpoint.endpoint_url or "")
        keys = self._connection.credentials()
        try:
            return Minio(
                parts.netloc + parts.path.rstrip("/"),
                access_key=keys.access_key if keys else None,
                secret_key=keys.secret_key if keys else None,
                session_token=keys.token if keys else None,
                secure=parts.scheme == "https",
                # As for every other request: without one, the SDK would ask the server first.
                region=endpoint.region or "us-east-1",
                http_client=stream,
            )
        except ValueError as error:
            raise NotificationsUnsupported(f"{endpoint.endpoint_url}: {error}") from error


def _hand_over(event: dict[str, Any], intake: Intake) -> None:
    try:
        delivery = Delivery(notification_of(event, encoded=False), _nothing)
    except MalformedMessage as error:
        intake.refused(error.message)
        return
    began = time.monotonic()
    if intake.offer(delivery) and time.monotonic() - began > _HELD_UP_SECONDS:
        intake.missed()


def _nothing(_done: bool) -> None:
    """MinIO waits for no answer."""


@contextmanager
def _attended(stream: _Once, intake: Intake, address: str) -> Iterator[None]:
    """Look after a stream while the block runs: cut it off when the intake closes, and tell of its silence."""
    done = threading.Event()

    def attend() -> None:
        told = 0.0
        while not done.wait(_TICK_SECONDS):
            limit = _SILENCE_SECONDS if told or stream.answered else _HEAD_SECONDS
            if intake.closed:
                stream.cut()
            elif time.monotonic() - max(stream.heard, told) > limit:
                if not told:
                    log.warning(
                        "%s is silent: its notifications come late or not at all, so the store is asked every %.0f s; "
                        "`lfk listen --source webhook` is told at once",
                        address,
                        _SILENCE_SECONDS,
                    )
                told = time.monotonic()
                intake.missed()

    thread = threading.Thread(target=attend, name="lfk-minio", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        stream.cut()
        stream.clear()


class _Ended(Exception):
    """The stream is over, for a reason that is the server's or the network's."""


class _Once(PoolManager):
    """Opens one stream, and no second one. The thread that reads may be cut off by another."""

    def __init__(self, connection: Connection, opened: Callable[[], None]) -> None:
        trust: Any = connection.session.get_config_variable("ca_bundle")
        super().__init__(
            num_pools=1,
            maxsize=1,
            retries=False,
            # How long it may be silent is decided by who attends to it, as a head that is late must not be given up.
            timeout=Timeout(connect=CONNECT_SECONDS, read=None),
            socket_options=_KEEP_ALIVE,
            **({"ca_certs": trust} if trust else {}),
        )
        self.pool_classes_by_scheme = {
            "http": _pool_of(HTTPConnectionPool, self._connected),
            "https": _pool_of(HTTPSConnectionPool, self._connected),
        }
        self._opened = opened
        self._used = False
        self._socket: socket.socket | None = None
        #: The answer's head has come.
        self.answered = False
        #: When something last came.
        self.heard = time.monotonic()

    def urlopen(self, method: str, url: str, *args: Any, **named: Any) -> BaseHTTPResponse:
        if self._used:
            raise _Ended("the server ended the stream")
        self._used = True
        response = super().urlopen(method, url, *args, **{**named, "redirect": False})
        self.heard = time.monotonic()
        if response.status != 200 or not isinstance(response, HTTPResponse):
            return response
        # What others make of this request is a listing.
        if response.headers.get("content-type", "").partition(";")[0].strip() != _STREAM:
            response.close()
            raise NotificationsUnsupported("the store answers, but does not tell of new objects; MinIO does")
        self.answered = True
        self._opened()
        return _Lines(response, self)

    def cut(self) -> None:
        """End what is read from it now. From any thread."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _connected(self, connected: socket.socket) -> None:
        self._socket = connected


def _pool_of(pool: type[HTTPConnectionPool], connected: Callable[[socket.socket], None]) -> type[HTTPConnectionPool]:
    """The same kind of pool, whose connections tell of their sockets."""
    ordinary = pool.ConnectionCls

    def connect(self: Any) -> None:
        ordinary.connect(self)
        connected(self.sock)

    telling = type(f"Telling{ordinary.__name__}", (ordinary,), {"connect": connect})
    return type(f"Telling{pool.__name__}", (pool,), {"ConnectionCls": telling})


class _Lines(HTTPResponse):
    """A response whose lines are there as soon as they have arrived."""

    def __init__(self, response: HTTPResponse, stream: _Once) -> None:
        super().__init__(status=response.status, headers=response.headers, preload_content=False)
        self._response = response
        self._stream = stream
        self._lines: list[bytes] = []
        self._rest = b""

    @property
    def closed(self) -> bool:
        # The last lines are here while the connection has gone already.
        return self._response.closed and not self._lines

    def close(self) -> None:
        self._response.close()

    def release_conn(self) -> None:
        self._response.release_conn()

    def readline(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002 - a line is taken whole
        while not self._lines:
            block = self._response.read1(_BLOCK)
            if not block:
                raise _Ended("the server ended the stream")
            self._stream.heard = time.monotonic()
            # The blanks of a quiet night lead the next line.
            *self._lines, self._rest = (self._rest + block).lstrip(b" ").split(b"\n")
            if len(self._rest) > _LINE_LIMIT:
                raise _Ended(f"a line of over {_LINE_LIMIT} bytes")
        return self._lines.pop(0)


@contextmanager
def _border(prefix: Location) -> Iterator[None]:
    """Maps what the SDK and urllib3 raise; the cause is kept."""
    with s3_border(prefix):
        try:
            yield
        except LfkError:
            raise
        except S3Error as error:
            raise _as_botocore_says_it(error) from error
        except (ServerError, InvalidResponseError) as error:
            raise StoreUnreachable(f"{prefix}: an answer that is not S3's ({type(error).__name__})") from error
        except (_Ended, HTTPError) as error:
            raise StoreUnreachable(f"listening to {prefix}: {_reason(error)}") from error
        except (MinioException, ValueError, KeyError, TypeError) as error:
            raise StoreUnreachable(f"listening to {prefix}: not what MinIO sends ({type(error).__name__})") from error


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, _Ended) else f"no connection ({type(error).__name__})"


def _as_botocore_says_it(error: S3Error) -> ClientError:
    """So that one table maps the codes of servers, whoever asked."""
    status = error.response.status if error.response is not None else 0
    answer: Any = {
        "Error": {"Code": error.code or "", "Message": error.message or ""},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "ListenNotification")
