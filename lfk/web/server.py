"""Serves the application until it is told to stop: bounded connections, and little patience with slow requests."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lfk.core.errors import UsageError
from lfk.roles.health import Pulse, ServiceHealth
from lfk.web.app import make_app
from lfk.web.sessions import LEAST_TOKEN
from lfk.web.site import Site
from lfk.web.threads import Threads

#: Connections at a time; browsers keep up to six each.
_CONNECTIONS = 256
#: How long the head of a request may take to arrive, and what is left of a body once it is answered.
_HEAD_SECONDS = 15.0
_KEEP_ALIVE_SECONDS = 20
#: How long answers that are on their way get at the end.
_GRACE_SECONDS = 5
#: Bytes of a request's line and headers.
_HEAD_BYTES = 32 << 10
_BACKLOG = 128
#: Between two notes that the event loop turns.
_BEAT_SECONDS = 1


class WebServer:
    """Listens from construction on, and serves from :meth:`start` on, on a thread of its own."""

    def __init__(self, site: Site, address: str) -> None:
        """``address`` is ``host:port``.

        Raises:
            UsageError: nobody can listen there, or the token could be guessed.
        """
        if site.token and len(site.token) < LEAST_TOKEN:
            raise UsageError(
                f"LFK_WEB_TOKEN has fewer than {LEAST_TOKEN} characters, and could be guessed",
                hint="make one with `openssl rand -hex 16`",
            )
        listening = _listen(address)
        self.address = _shown(listening)
        self._site = site
        self._stopping = threading.Event()
        self._threads = Threads()
        self._pulse = Pulse()
        config = uvicorn.Config(
            make_app(site, self._threads, self._stopping),
            http=_Patient,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            h11_max_incomplete_event_size=_HEAD_BYTES,
            callback_notify=self._beat,
            timeout_notify=_BEAT_SECONDS,
        )
        # Its news are told by the command; what goes wrong still comes out.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="lfk-web")

    def start(self) -> None:
        """Let people in."""
        self._thread.start()

    @property
    def health(self) -> ServiceHealth:
        """How the page is: whether its event loop turns, and whether store and broker answered lately."""
        return self._pulse.health(self._stopping)

    @property
    def calls(self) -> int:
        """Calls of store, broker and disk that run or wait."""
        return self._threads.taken

    def close(self) -> None:
        """Take nobody in any more, let answers finish for a few seconds, and let go."""
        self._stopping.set()
        self._server.should_exit = True
        self._thread.join()
        self._threads.close()

    async def _beat(self) -> None:
        """On the event loop."""
        taken = self._site.pulse.pulse
        if taken.error is not None:
            self._pulse.waits(taken.error)
        elif taken.status is not None:
            self._pulse.serves()
        else:
            self._pulse.beat()


class _Patient(H11Protocol):
    """A request's head has to arrive within some seconds, the first on a connection as every later one; and so has the
    rest of a body that was answered already. Else a few bytes now and then would hold a connection for ever."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._watch()

    def _watch(self) -> None:
        """The clock runs while the client owes something; between requests the keep-alive's own does."""
        if not self._owes():
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(_HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._late = None
        if self._owes() and not self.transport.is_closing():
            self.transport.close()

    def _owes(self) -> bool:
        """A head, or the rest of a body that nobody waits for."""
        answered = self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)
        return self.conn.their_state is h11.IDLE or (self.conn.their_state is h11.SEND_BODY and answered)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def _listen(address: str) -> socket.socket:
    host, _colon, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family, backlog=_BACKLOG)
    except (OSError, ValueError, OverflowError) as error:
        raise UsageError(
            f"the address {address!r} cannot be used: {error}",
            hint="set LFK_WEB to a free host:port, such as 127.0.0.1:8080",
        ) from error


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
