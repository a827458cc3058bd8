"""What a hub tells of itself over HTTP, and to whom."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lfk.core.errors import StoreUnreachable, Suspect, UsageError
from lfk.roles.hub.health import STALLED_SECONDS, Health, HealthServer
from lfk.roles.hub.self_check import Trouble

WELL = Health(joined=True, turned=0.1, trouble=None, engines=2, engines_ready=2, running=1, stopping=False)
SICK = replace(WELL, trouble=Trouble(Suspect.STORE, StoreUnreachable("no answer"), time.time() - 5))


@pytest.fixture
def server() -> Iterator[HealthServer]:
    server = HealthServer("127.0.0.1:0")
    yield server
    server.close()


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, Any]:
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
def test_alive_and_ready(server: HealthServer, health: Health, alive: int, ready: int, status: str) -> None:
    server.show(lambda: health)
    assert ask(server, "/healthz")[0] == alive
    code, told = ask(server, "/readyz?verbose")
    assert (code, told["status"]) == (ready, status)


def test_trouble_is_told_with_what_to_do(server: HealthServer) -> None:
    server.show(lambda: SICK)
    _code, told = ask(server, "/healthz")
    trouble = told["trouble"]
    assert (trouble["part"], trouble["code"], trouble["message"]) == ("store", "store_unreachable", "no answer")
    assert trouble["hint"]
    assert trouble["seconds"] >= 5


def test_before_there_is_a_hub_it_is_starting(server: HealthServer) -> None:
    assert ask(server, "/readyz")[1]["status"] == "starting"


def test_nothing_else_is_served(server: HealthServer) -> None:
    assert ask(server, "/")[0] == 404
    assert ask(server, "/healthz/../etc/passwd")[0] == 404
    assert ask(server, "/readyz", "HEAD") == (503, None)


@pytest.mark.parametrize("address", ["nowhere.invalid:1", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_used(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        HealthServer(address)
    assert "LFK_HEALTH" in caught.value.hint
