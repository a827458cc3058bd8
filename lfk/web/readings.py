"""The page in numbers: what each event adds, and how the server is whenever somebody looks."""

from __future__ import annotations

from collections.abc import Iterator

from lfk.core import metrics
from lfk.core.readings import OTHER, Reading, code_label, listed
from lfk.web.events import Answered, Taken, WebEvent

_METHODS = ("get", "head", "post", "put", "delete")


def of_event(event: WebEvent) -> Iterator[Reading]:
    """What an event adds."""
    if isinstance(event, Answered):
        route = event.route or OTHER
        yield metrics.WEB_REQUESTS.of(1, listed(event.method.lower(), _METHODS), route, f"{event.status // 100}xx")
        yield metrics.WEB_SECONDS.of(event.seconds, route)
    elif isinstance(event, Taken):
        yield metrics.WEB_UPLOADS.of(1, "known" if event.known else "new")
        yield metrics.WEB_BYTES.of(0 if event.known else event.size)
    else:
        yield metrics.WEB_FAILURES.of(1, code_label(event.error.code))


def of_calls(calls: int) -> Iterator[Reading]:
    """How much the server has in hand."""
    yield metrics.WEB_CALLS.of(calls)
