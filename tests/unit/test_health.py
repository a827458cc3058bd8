"""What a hub tells of itself over HTTP, and to whom."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lfk.core.errors import BrokerUnreachable, StoreUnreachable, Suspect, UsageError
from lfk.core.readings import Reading
from lfk.roles.health import STALLED_SECONDS, Pulse
from lfk.roles.hub.health import Health
from lfk.roles.hub.self_check import Trouble
from lfk.telemetry.page import Page
from lfk.telemetry.server import _VISITS as VISITS
from lfk.telemetry.server import PageServer

WELL = Health(joined=True, turned=0.1, trouble=None, engines=2, engines_ready=2, running=1, stopping=False)
SICK = replace(WELL, trouble=Trouble(Suspect.STORE, StoreUnreachable("no answer"), time.time() - 5))


@pytest.fixture
def page() -> Page:
    return Page("1.2.3")


@pytest.fixture
def server(page: Page) -> Iterator[PageServer]:
    server = PageServer("127.0.0.1:0", page)
    yield server
    server.close()


def nothing() -> Iterator[Reading]:
    return iter(())


def ask(server: PageServer, path: str, method: str = "GET") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body else None
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("health", "alive", "ready", "status"),
    [
        (WELL, 200, 200, "ready"),
        (SICK, 200, 503, "trouble"),
        (replace(WELL, joined=False), 200, 503, "starting"),
        (replace(WELL, engines_ready=0), 200, 503, "starting"),
        (replace(WELL, stopping=True), 200, 503, "stopping"),
        (replace(WELL, turned=STALLED_SECONDS + 1), 503, 503, "stalled"),
    ],
)
def test_alive_and_ready(server: PageServer, page: Page, health: Health, alive: int, ready: int, status: str) -> None:
    page.show("hub", lambda: health, nothing)
    assert ask(server, "/healthz")[0] == alive
    code, told = ask(server, "/readyz?verbose")
    assert (code, told["status"]) == (ready, status)


def test_trouble_is_told_with_what_to_do(server: PageServer, page: Page) -> None:
    page.show("hub", lambda: SICK, nothing)
    _code, told = ask(server, "/healthz")
    trouble = told["trouble"]
    assert (trouble["part"], trouble["code"], trouble["message"]) == ("store", "store_unreachable", "no answer")
    assert trouble["hint"]
    assert trouble["seconds"] >= 5


def test_of_several_roles_all_have_to_be_well(server: PageServer, page: Page) -> None:
    stop, pulse = threading.Event(), Pulse()
    page.show("hub", lambda: WELL, nothing)
    page.show("sync", lambda: pulse.health(stop), nothing)
    pulse.waits(BrokerUnreachable("no answer"))
    code, told = ask(server, "/readyz")
    assert (code, told["status"], told["hub"]["status"], told["sync"]["status"]) == (503, "waiting", "ready", "waiting")
    assert told["sync"]["outage"]["code"] == "broker_unreachable"
    assert ask(server, "/healthz")[0] == 200
    pulse.serves()
    assert ask(server, "/readyz")[0] == 200
    stop.set()
    assert ask(server, "/readyz")[1]["status"] == "stopping"


def test_a_thread_that_stands_still_is_not_alive(
    server: PageServer, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulse = Pulse()
    pulse.serves()
    page.show("listen", lambda: pulse.health(threading.Event()), nothing)
    assert ask(server, "/healthz")[0] == 200
    later = time.monotonic() + STALLED_SECONDS + 1
    monkeypatch.setattr("lfk.roles.health.time.monotonic", lambda: later)
    assert ask(server, "/healthz")[1]["status"] == "stalled"
    assert not pulse.through(lambda: False)()
    assert ask(server, "/healthz")[0] == 200


def test_more_requests_than_probes_make_are_turned_away(server: PageServer) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(VISITS)]
    try:
        with pytest.raises(OSError):
            ask(server, "/healthz")
    finally:
        for one in idle:
            one.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            assert ask(server, "/healthz")[0] == 200
            return
    pytest.fail("there is no room again")


def test_before_there_is_a_hub_it_is_starting(server: PageServer) -> None:
    assert ask(server, "/readyz")[1]["status"] == "starting"


def test_nothing_else_is_served(server: PageServer) -> None:
    assert ask(server, "/")[0] == 404
    assert ask(server, "/metrics")[0] == 404
    assert ask(server, "/healthz/../etc/passwd")[0] == 404
    assert ask(server, "/readyz", "HEAD") == (503, None)


@pytest.mark.parametrize("address", ["nowhere.invalid:1", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_used(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        PageServer(address, Page("1.2.3"))
    assert "LFK_HEALTH" in caught.value.hint
    assert "int()" not in caught.value.message
