"""The application: routes, what their errors become, the guard before all of it, and what counts before that."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from lfk.core.errors import LfkError
from lfk.roles.uploader import Stopped
from lfk.web.answers import failed, refusal
from lfk.web.api import Api, BadBody
from lfk.web.counting import Counting
from lfk.web.guard import Guard
from lfk.web.pages import Pages
from lfk.web.sessions import Sessions
from lfk.web.site import Site
from lfk.web.threads import Busy, Threads


def make_app(site: Site, threads: Threads, stopping: threading.Event) -> ASGIApp:
    """Everything that the page answers. ``stopping`` is set when it should come to an end."""
    sessions = Sessions(site.token)
    routes = [*Api(site, sessions, threads, stopping).routes(), *Pages(site, threads).routes()]
    app = Starlette(routes=routes, exception_handlers=dict(_HANDLERS))
    # Behind a proxy that ends TLS it would send a browser, and what it posts, to plain HTTP.
    app.router.redirect_slashes = False
    return Counting(Guard(app, sessions, site.hosts), routes, site.report)


Handler = Callable[[Request, Exception], Awaitable[Response]]


async def _ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, LfkError)  # noqa: S101 - states what the table below says
    return failed(error)


async def _bad_body(_request: Request, error: Exception) -> Response:
    return refusal(400, BadBody.code, str(error), BadBody.hint)


async def _busy(_request: Request, _error: Exception) -> Response:
    return refusal(503, "busy", "too much is asked at once", "try again in a moment", {"Retry-After": "2"})


async def _gone(_request: Request, _error: Exception) -> Response:
    return refusal(400, "incomplete", "the request ended early", "send it again")


async def _stopped(_request: Request, _error: Exception) -> Response:
    return refusal(503, "stopping", "this page is being stopped", "send it again", {"Retry-After": "5"})


async def _plain(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return refusal(status, f"http_{status}", "there is nothing here" if status == 404 else "not in this way", "")


async def _broken(_request: Request, _error: Exception) -> Response:
    return refusal(500, "internal", "something went wrong here", "the log of `lfk web` says what")


_HANDLERS: dict[type[Exception] | int, Handler] = {
    BadBody: _bad_body,
    LfkError: _ours,
    Busy: _busy,
    ClientDisconnect: _gone,
    Stopped: _stopped,
    HTTPException: _plain,
    Exception: _broken,
}
