"""How a hub is, over HTTP, for whoever runs it: `/healthz` (is it alive) and `/readyz` (does it take work).

A hub in trouble is alive and not ready: it heals by itself, and killing it would help nobody. It is not alive when its
one thread no longer turns.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lfk.core.errors import UsageError
from lfk.roles.hub.self_check import Trouble

#: The hub's thread turns many times a second; its longest wait by design is for a killed hub's transaction
#: (240 s, see brokers/kafka_member.py), after which it would leave the group by itself.
STALLED_SECONDS = 270.0
#: A probe sends one line; whoever is slower is not one.
_REQUEST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Health:
    """A hub as it is. ``turned`` is seconds since its thread last turned."""

    joined: bool
    turned: float
    trouble: Trouble | None
    engines: int
    engines_ready: int
    running: int
    stopping: bool

    @property
    def alive(self) -> bool:
        """Its thread turns."""
        return self.turned < STALLED_SECONDS

    @property
    def ready(self) -> bool:
        """It takes work."""
        return self.alive and self.joined and self.trouble is None and self.engines_ready > 0 and not self.stopping

    def to_dict(self) -> dict[str, Any]:
        """As it is shown."""
        status = "stopping" if self.stopping else "trouble" if self.trouble else "ready" if self.ready else "starting"
        shown: dict[str, Any] = {
            "status": status if self.alive else "stalled",
            "joined": self.joined,
            "turned_seconds_ago": round(self.turned, 1),
            "engines": self.engines,
            "engines_ready": self.engines_ready,
            "running": self.running,
        }
        if self.trouble is not None:
            error = self.trouble.error
            shown["trouble"] = {
                "part": self.trouble.suspect.value,
                "code": error.code,
                "message": error.message,
                "hint": error.hint,
                "seconds": round(time.time() - self.trouble.since, 1),
            }
        return shown


_STARTING = Health(joined=False, turned=0.0, trouble=None, engines=0, engines_ready=0, running=0, stopping=False)


class HealthServer:
    """Serves one hub's health until it is closed."""

    def __init__(self, address: str) -> None:
        """``address`` is ``host:port`` or ``:port`` (all interfaces). Until :meth:`show`, the hub is starting.

        Raises:
            UsageError: nobody can listen there.
        """
        self._health: Callable[[], Health] = lambda: _STARTING
        host, _colon, port = address.rpartition(":")
        try:
            self._server = _Server((host.strip("[]"), int(port)), _handler(self._now))
        except (OSError, ValueError, OverflowError) as error:
            raise UsageError(
                f"the health address {address!r} cannot be used: {error}",
                hint="set LFK_HEALTH to a free host:port, such as 127.0.0.1:8080, or leave it empty",
            ) from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="lfk-health", daemon=True)
        self._thread.start()

    def show(self, health: Callable[[], Health]) -> None:
        """Ask ``health`` from now on; it is called from this server's threads."""
        self._health = health

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _now(self) -> Health:
        return self._health()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Probes come every few seconds; a queue of them means that nobody reads the answers.
    request_queue_size = 16


def _handler(health: Callable[[], Health]) -> type[BaseHTTPRequestHandler]:
    views: Mapping[str, Callable[[Health], bool]] = {
        "/healthz": lambda told: told.alive,
        "/readyz": lambda told: told.ready,
    }

    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_SECONDS
        server_version = "lfk"
        sys_version = ""

        def do_GET(self) -> None:
            view = views.get(self.path.partition("?")[0])
            if view is None:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "there are /healthz and /readyz"})
                return
            told = health()
            self._answer(HTTPStatus.OK if view(told) else HTTPStatus.SERVICE_UNAVAILABLE, told.to_dict())

        do_HEAD = do_GET  # noqa: N815 - the name is http.server's

        def _answer(self, status: HTTPStatus, content: Mapping[str, Any]) -> None:
            body = json.dumps(content).encode("utf-8") + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes are no news."""

    return Handler
