"""Notifications that are posted to us: MinIO's webhook, or whatever sends S3's events over HTTP.

The sender hears 200 only once every reference is confirmed, and 503 where that takes too long or broker or store are
away, so that it sends again: it is the queue.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from http import HTTPStatus
from types import TracebackType
from urllib.parse import urlsplit

from lfk.core.errors import MalformedMessage, UsageError
from lfk.core.notifications import read_notification
from lfk.stores.notifications.base import Delivery, Intake
from lfk.stores.notifications.door import Door

#: How long a sender waits for its answer; the broker confirms within milliseconds when all is well.
_ANSWER_SECONDS = 8.0
#: How often it is looked whether to end.
_TICK_SECONDS = 0.1


class WebhookNotifications:
    """See :class:`lfk.stores.notifications.base.Source`. Its port is open for as long as the service lives."""

    def __init__(self, address: str, token: str) -> None:
        """``address`` is ``host:port``; ``token`` may be empty on a loopback address alone."""
        self.address = address
        self._token = token
        self._door: Door | None = None
        self._intake: Intake | None = None

    def __enter__(self) -> WebhookNotifications:
        host, port = _host_and_port(self.address)
        if not self._token and not _is_loopback(host):
            raise UsageError(
                f"anybody could send notifications to {self.address}",
                hint="set LFK_WEBHOOK_TOKEN (or LFK_WEBHOOK_TOKEN_FILE), or listen on 127.0.0.1",
            )
        try:
            self._door = Door(host, port, self._token, self._told, lambda: self._intake is not None)
        except OSError as error:
            raise UsageError(
                f"cannot listen on {self.address}: {error.strerror or error}",
                hint="choose another address with --address (LFK_WEBHOOK_ADDRESS)",
            ) from error
        name = f"[{host}]" if ":" in host else host
        self.address = f"http://{name}:{self._door.port}/"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._door is not None:
            self._door.close()

    def check(self) -> str:
        return f"{self.address} is free to listen on"

    def run(self, intake: Intake) -> None:
        self._intake = intake
        intake.missed()
        try:
            while not intake.closed:
                time.sleep(_TICK_SECONDS)
        finally:
            self._intake = None

    def _told(self, body: bytes) -> tuple[HTTPStatus, str]:
        """On the thread of one request."""
        away = (HTTPStatus.SERVICE_UNAVAILABLE, "broker or store are away: send it again")
        intake = self._intake
        if intake is None:
            return away
        try:
            notification = read_notification(body)
        except MalformedMessage as error:
            intake.refused(f"a request: {error.message}")
            return HTTPStatus.BAD_REQUEST, error.message
        answered = threading.Event()
        outcome: list[bool] = []

        def ended(done: bool) -> None:
            outcome.append(done)
            answered.set()

        patience = time.monotonic() + _ANSWER_SECONDS
        if not intake.offer(Delivery(notification, ended), _ANSWER_SECONDS):
            return away
        if not answered.wait(max(0.0, patience - time.monotonic())) or not outcome[0]:
            return away
        return HTTPStatus.OK, "done"


def _host_and_port(address: str) -> tuple[str, int]:
    refused = UsageError(
        f"LFK_WEBHOOK_ADDRESS: {address!r} is not host:port", hint="write it as 127.0.0.1:8790 or [::]:8790"
    )
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise refused from error
    if not host or port is None or parts.netloc != address:
        raise refused
    return host, port


def _is_loopback(host: str) -> bool:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise UsageError(f"LFK_WEBHOOK_ADDRESS: there is no host {host!r}") from error
    return all(ipaddress.ip_address(text.partition("%")[0]).is_loopback for text in found)
