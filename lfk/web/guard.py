"""Stands before everything else: which requests come in at all, and what every answer says to the browser.

- The Host header must be an IP address, localhost or a name of LFK_WEB_HOSTS. A page elsewhere whose name is made to
  lead here (DNS rebinding) comes with its own name.
- What changes something must come from a page of this very origin, as ``Sec-Fetch-Site`` or ``Origin`` tell, and from
  somebody who may: the token itself as ``Authorization: Bearer``, or a session's cookie together with its word.
- Every answer forbids frames, scripts and styles of others, and guessing of types.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Iterable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from lfk.web.answers import refusal
from lfk.web.sessions import COOKIE, Sessions

log = logging.getLogger(__name__)

#: Where the token is shown; nobody can have a session before.
SIGN_IN = "/api/session"
WORD_HEADER = "x-csrf-token"
_SAFE = frozenset({"GET", "HEAD"})
_CHANGING = frozenset({"POST", "PUT", "DELETE"})
#: A reader who takes none of an answer for so long has gone, or holds a connection on purpose.
_SEND_SECONDS = 60.0

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)

_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": with it browsers hide the origin of what is posted, which is looked at here.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """See the module; wraps the whole application."""

    def __init__(self, app: ASGIApp, sessions: Sessions, hosts: Iterable[str]) -> None:
        self._app = app
        self._sessions = sessions
        self._hosts = frozenset(host.lower().rstrip(".") for host in hosts) | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await asyncio.wait_for(send(message), _SEND_SECONDS)

        try:
            answer = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
            await (answer or self._app)(scope, receive, guarded)
        except asyncio.TimeoutError:
            if not started:
                raise
            log.info("a reader of %s took nothing for %.0f s", scope["path"], _SEND_SECONDS)

    def _refusal(self, method: str, path: str, headers: Headers) -> ASGIApp | None:
        if not self.knows(headers.get("host", "")):
            return refusal(
                421, "unknown_host", "this name does not lead here", "let the operator add it to LFK_WEB_HOSTS"
            )
        if method in _SAFE:
            return None
        if method not in _CHANGING:
            return refusal(
                405, "method", f"{method[:20]} is not used here", "", {"Allow": "GET, HEAD, POST, PUT, DELETE"}
            )
        if not is_same_origin(headers):
            return refusal(403, "other_origin", "this was asked by a page of another origin", "")
        return None if path == SIGN_IN else self._not_allowed(headers)

    def knows(self, host: str) -> bool:
        """Whether a Host header may come in."""
        name = _host_name(host)
        if name is None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True

    def _not_allowed(self, headers: Headers) -> ASGIApp | None:
        if not self._sessions.possible:
            return refusal(403, "read_only", "this page only shows", "let the operator set LFK_WEB_TOKEN")
        scheme, _blank, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._sessions.is_token(given.strip()):
            return None
        cookie = session_of(headers)
        if not self._sessions.holds(cookie):
            return refusal(
                401, "sign_in", "sign in first", "show the token of LFK_WEB_TOKEN", {"WWW-Authenticate": "Bearer"}
            )
        if not self._sessions.is_word(cookie, headers.get(WORD_HEADER, "")):
            return refusal(403, "csrf", "the session's own word did not come along", "load the page again")
        return None


def is_same_origin(headers: Headers) -> bool:
    """Whether a browser says that a page of this origin asks; programs that are no browsers say nothing."""
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is None:
        # A cookie without any word of where from: no browser of the last years does that when it changes something.
        return site is not None or "cookie" not in headers
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() and origin != "null"
    except ValueError:
        return False


def session_of(headers: Headers) -> str:
    """The session's cookie, empty where none comes."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _host_name(host: str) -> str | None:
    """The name or address in a Host header, without port; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _port = parts.port
    except ValueError:
        return None
    if parts.netloc != host or "@" in host or parts.hostname is None:
        return None
    return parts.hostname.rstrip(".")
