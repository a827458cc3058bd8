"""Stands before everything, the guard too, and tells of each request how it was answered."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lfk.web.events import Answered


class Counting:
    """See the module. What a client is sent after its answer has begun costs that client's time, and is not counted."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route], report: Callable[[Answered], None]) -> None:
        self._app = app
        self._routes = routes
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        begun = time.monotonic()
        answered = False

        def tell(status: int) -> None:
            nonlocal answered
            answered = True
            self._report(Answered(scope["method"], self._route(scope), status, time.monotonic() - begun))

        async def noted(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                tell(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            # The server answers in our stead.
            if not answered:
                tell(500)
            raise

    def _route(self, scope: Scope) -> str:
        """Matched here, as whom the guard turns away comes to no route."""
        found = (route.path_format for route in self._routes if route.matches(scope)[0] is not Match.NONE)
        return next(found, "")
