"""What hubs tell of themselves: whoever can write into the store can tell anything, and readers have to bear it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from lfk.cli.status_display import lines_of
from lfk.roles.backlog import Outlook
from lfk.roles.heartbeat import hub_reports
from lfk.roles.status import look
from lfk.stores.memory import MemoryStore
from tests.roles.roots import ROOTS

JOB = {"event_id": "e", "audio": "s3://bucket/audio/x.wav", "model": "tiny", "stage": "write", "part": 1, "seconds": 2}
TOLD = {"host": "hub1", "pid": 7, "engines": 2, "done": 3, "failed": 0, "jobs": [JOB], "trouble": ""}
DEEP = b"[" * 100_000


def _store(*bodies: bytes) -> MemoryStore:
    store = MemoryStore()
    for number, body in enumerate(bodies):
        store.put(ROOTS.records.join(f"hubs/{number}.json"), body, content_type="application/json")
    return store


def _body(changes: Mapping[str, Any]) -> bytes:
    return json.dumps({**TOLD, "time": time.time(), **changes}).encode()


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        b"{" + b'"a":{' * 50_000,
        b"\xff",
        b"[]",
        b"null",
        *(_body({name: wrong}) for name in ("pid", "engines", "time", "done") for wrong in (None, "x", [], {})),
        *(_body({name: float("inf")}) for name in ("pid", "engines", "done", "failed")),
        *(_body({"jobs": wrong}) for wrong in (None, 1, [1], ["x"], [{}], [None])),
        *(_body({"jobs": [{**JOB, name: wrong}]}) for name in ("part", "seconds") for wrong in (None, "x", [], {})),
    ],
)
def test_what_makes_no_sense_is_passed_over(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    store = _store(body, _body({}))
    assert [report.host for report in hub_reports(store, ROOTS.records)] == ["hub1"]
    assert "hubs/0.json is passed over" in caplog.text


@pytest.mark.parametrize("pid", [10**30, -(10**30)])
def test_a_process_that_no_system_has_is_not_alive(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "hub1")
    assert not any(report.alive for report in hub_reports(_store(_body({"pid": pid})), ROOTS.records))


def test_every_kind_of_value_can_be_shown() -> None:
    odd = {**JOB, "stage": None, "audio": ["x"], "part": float("nan"), "seconds": float("inf")}
    store = _store(_body({"jobs": [odd], "trouble": {"part": "disk"}}))
    status = look(None, store, ROOTS, "group", ())
    assert any("hub1:7" in line for line in lines_of(status, Outlook(), ()))
