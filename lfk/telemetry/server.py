"""Serves a process's page over HTTP, to whoever may reach its port: requests are limited in size, time and number."""

from __future__ import annotations

import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lfk.core.errors import UsageError
from lfk.telemetry.page import Page

log = logging.getLogger(__name__)

#: A probe sends one line, and a Prometheus takes what it gets; whoever is slower is neither.
_REQUEST_SECONDS = 5.0
#: Requests at a time; more than that are not from probes.
_VISITS = 32
_ADDRESS_HINT = "set LFK_HEALTH to a free host:port, such as 127.0.0.1:8080, or leave it empty"


class PageServer:
    """Serves a page until it is closed."""

    def __init__(self, address: str, page: Page) -> None:
        """``address`` is ``host:port`` or ``:port`` (all interfaces).

        Raises:
            UsageError: nobody can listen there.
        """
        host, _colon, port = address.rpartition(":")
        if not port.isdecimal():
            raise UsageError(f"the health address {address!r} is not of the form host:port", hint=_ADDRESS_HINT)
        try:
            self._server = _Server((host.strip("[]"), int(port)), _handler(page))
        except (OSError, ValueError, OverflowError) as error:
            raise UsageError(f"the health address {address!r} cannot be used: {error}", hint=_ADDRESS_HINT) from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="lfk-health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Probes come every few seconds; a queue of them means that nobody reads the answers.
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.BoundedSemaphore(_VISITS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # Whatever trickles in keeps a connection below any limit between two bytes; this one is for all of it.
        end = threading.Timer(_REQUEST_SECONDS, self.shutdown_request, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's
        log.info("a request from %s broke off", client_address[0], exc_info=True)


def _handler(page: Page) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_SECONDS
        server_version = "lfk"
        sys_version = ""

        def do_GET(self) -> None:
            status, content_type, body = page.answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name is http.server's

        def log_message(self, format: str, *args: object) -> None:
            """Probes are no news."""

    return Handler
