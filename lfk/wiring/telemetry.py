"""What a process tells of itself: settings into its page of health and metrics, and into its traces."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lfk import __version__
from lfk.core.errors import BrokerUnreachable, UsageError
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.telemetry.page import Page
from lfk.wiring.broker import find_broker, lanes
from lfk.wiring.messages import codec
from lfk.wiring.places import roots

if TYPE_CHECKING:
    from lfk.brokers.base import Broker
    from lfk.roles.backlog import Load
    from lfk.roles.backlog_watch import BacklogWatch
    from lfk.roles.tracing import Tracer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Of one process; each part does nothing where nobody asked for it."""

    page: Page
    tracer: Tracer | None


@contextmanager
def open_telemetry(settings: Settings, verb: str, *, serves: bool = True) -> Iterator[Telemetry]:
    """What the command ``verb`` tells while the block lasts: a page where LFK_HEALTH says so, if it is a command that
    ``serves`` at all, and traces where OTEL_EXPORTER_OTLP_ENDPOINT says so.

    Raises:
        UsageError: nobody can listen there.
    """
    with ExitStack() as stack:
        page = _served(settings, stack) if settings.health and serves else Page(__version__)
        yield Telemetry(page, _tracer(settings, verb, stack))


def _served(settings: Settings, stack: ExitStack) -> Page:
    from lfk.telemetry.meter import Meter
    from lfk.telemetry.server import PageServer

    page = Page(__version__, Meter())
    stack.callback(PageServer(settings.health, page).close)
    return page


def _tracer(settings: Settings, verb: str, stack: ExitStack) -> Tracer | None:
    endpoint = settings.otlp_traces_endpoint
    if not endpoint and settings.otlp_endpoint:
        endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    if not endpoint:
        return None
    try:
        from lfk.telemetry.traces import OtlpTracer
    except ImportError:
        # The variable is often set for every program of a machine.
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but there are no traces: install lfk[otel], or unset it")
        return None
    headers = {name: unquote(value) for name, value in settings.otlp_headers.items()}
    tracer = OtlpTracer(endpoint, headers, settings.service_name or f"lfk-{verb}", __version__)
    stack.callback(tracer.close)
    return tracer


def watch_backlog(settings: Settings, broker: Broker, leads: Callable[[], bool]) -> BacklogWatch:
    """Measures what waits for all hubs, wherever ``leads`` says that it is for this process to do."""
    from lfk.roles.backlog import load
    from lfk.roles.backlog_watch import BacklogWatch

    where, messages, topics = roots(settings), codec(settings), lanes(settings)

    def look() -> Mapping[str, Load]:
        return {
            lane: load(broker, settings.group, topic, where, messages.decode_reference)
            for lane, topic in topics.items()
        }

    return BacklogWatch(look, leads, settings.backlog_interval)


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
