"""What a process tells of itself: settings into its page of health and metrics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lfk import __version__
from lfk.core.errors import BrokerUnreachable, UsageError
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.telemetry.page import Page
from lfk.wiring.broker import find_broker
from lfk.wiring.hubs import watch_backlog


@contextmanager
def open_page(settings: Settings, *, serves: bool = True) -> Iterator[Page]:
    """The page of this process, served where LFK_HEALTH says so for as long as the block lasts, if the process
    ``serves`` at all.

    Raises:
        UsageError: nobody can listen there.
    """
    if not (settings.health and serves):
        yield Page(__version__)
        return
    from lfk.telemetry.meter import Meter
    from lfk.telemetry.server import PageServer

    page = Page(__version__, Meter())
    server = PageServer(settings.health, page)
    try:
        yield page
    finally:
        server.close()


@contextmanager
def serve_backlog(settings: Settings, store: ObjectStore, page: Page) -> Iterator[None]:
    """Measure what waits for as long as the block lasts, and tell it on the page.

    Raises:
        BrokerUnreachable: there is no broker whose topics could be measured.
        UsageError: nothing would ever be measured.
    """
    if not settings.backlog_interval:
        raise UsageError("LFK_BACKLOG_INTERVAL is 0, so nothing is ever measured", hint="leave it unset")
    broker = find_broker(settings, store)
    if broker is None:
        raise BrokerUnreachable(
            f"no embedded broker runs on {settings.store} and this machine",
            hint="start `lfk up` or `lfk hub`, or set BOOTSTRAP_SERVERS",
        )
    stop = threading.Event()
    watch = watch_backlog(settings, broker, lambda: True)
    page.show("backlog", lambda: watch.pulse.health(stop), watch.readings)
    try:
        yield
    finally:
        stop.set()
        watch.close()
