"""What a process tells of itself over HTTP: `/healthz` (is it alive), `/readyz` (does it work), `/metrics`.

Each role that the process runs says how it is and what it has counted; the page is made when somebody asks. A process
that serves nothing has a page as well, which costs nothing, so that no role needs to know.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lfk.core.metrics import BUILD, BY_ROLE, EVERYWHERE, LAST_POLL, READY
from lfk.core.readings import Look, Reading

if TYPE_CHECKING:
    from lfk.telemetry.meter import Meter

log = logging.getLogger(__name__)

E = TypeVar("E")


class Health(Protocol):
    """How a role is."""

    @property
    def alive(self) -> bool:
        """It turns; else only a restart helps."""

    @property
    def ready(self) -> bool:
        """It does its work."""

    @property
    def turned(self) -> float:
        """Seconds since its thread last turned."""

    def to_dict(self) -> dict[str, Any]:
        """As it is shown; ``status`` is one word."""


class Page:
    """See the module. Without a meter it tells nobody."""

    def __init__(self, version: str, meter: Meter | None = None) -> None:
        self._version = version
        self._meter = meter
        self._roles: dict[str, Callable[[], Health]] = {}
        if meter is not None:
            meter.declare(EVERYWHERE, self._everywhere)

    @property
    def on(self) -> bool:
        """Somebody may ask."""
        return self._meter is not None

    def show(self, role: str, health: Callable[[], Health], look: Look) -> None:
        """A role begins: ask these from now on. They are called from threads of the server."""
        self._roles[role] = health
        self.count(role, look)

    def count(self, role: str, look: Look) -> None:
        """As :meth:`show`, for what has numbers and no health of its own."""
        if self._meter is not None:
            self._meter.declare(BY_ROLE[role], look)

    def told(self, report: Callable[[E], None], read: Callable[[E], Iterable[Reading]]) -> Callable[[E], None]:
        """``report``, whose events are counted as ``read`` says. The role has to be shown before the first one."""
        meter = self._meter
        if meter is None:
            return report

        def counted(event: E) -> None:
            report(event)
            try:
                meter.tell(read(event))
            except Exception:
                # A number that is missing must not cost anybody the work that it is about.
                log.exception("an event is not counted")

        return counted

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, content type and content."""
        if path == "/metrics" and self._meter is not None:
            from lfk.telemetry.meter import CONTENT_TYPE

            return HTTPStatus.OK, CONTENT_TYPE, self._meter.page()
        if path not in ("/healthz", "/readyz"):
            return _as_json(HTTPStatus.NOT_FOUND, {"error": "there are /healthz, /readyz and /metrics"})
        told = {role: health() for role, health in tuple(self._roles.items())}
        if not told:
            well, shown = path == "/healthz", {"status": "starting"}
        else:
            well = all(health.alive if path == "/healthz" else health.ready for health in told.values())
            shown = _shown(told)
        return _as_json(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, shown)

    def _everywhere(self) -> Iterator[Reading]:
        yield BUILD.of(1, self._version)
        for role, health in tuple(self._roles.items()):
            told = health()
            yield READY.of(told.ready, role)
            yield LAST_POLL.of(time.time() - told.turned, role)


def _shown(told: Mapping[str, Health]) -> dict[str, Any]:
    """One role as it is; of several, the worst status and each of them."""
    each = {role: health.to_dict() for role, health in told.items()}
    if len(each) == 1:
        return next(iter(each.values()))
    worst = min(told, key=lambda role: (told[role].alive, told[role].ready))
    return {"status": each[worst]["status"], **each}


def _as_json(status: HTTPStatus, content: Mapping[str, Any]) -> tuple[HTTPStatus, str, bytes]:
    return status, "application/json", json.dumps(content).encode("utf-8") + b"\n"
