"""The list that people look at: states, what is held of a large store, and how often it is taken."""

from __future__ import annotations

import json
import os
import socket
import threading
import time

import pytest

from lfk.core.catalogue import Query, Row, State
from lfk.core.errors import StoreUnreachable
from lfk.core.location import Location
from lfk.roles.catalogue import Catalogue
from lfk.roles.failures import Failures
from lfk.stores.memory import MemoryStore
from tests.roles.failing import failure_record
from tests.roles.roots import ROOTS

IDS = [f"{number:032x}" for number in range(200)]


def audio(store: MemoryStore, key: str) -> str:
    store.put(ROOTS.audio.join(key), b"RIFF", content_type="audio/wav")
    return str(ROOTS.audio.join(key))


def transcript(store: MemoryStore, key: str) -> None:
    store.put(ROOTS.transcripts.join(f"{key}.txt"), b"text", content_type="text/plain")
    store.put(ROOTS.transcripts.join(f"{key}.json"), b"{}", content_type="application/json")


def at_work(store: MemoryStore, *jobs: dict[str, object]) -> None:
    told = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time(), "engines": 1, "done": 0,
            "failed": 0, "jobs": jobs}  # fmt: skip
    store.put(ROOTS.records.join("hubs/h.json"), json.dumps(told).encode(), content_type="application/json")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_states() -> None:
    store = MemoryStore()
    failures = Failures(store, ROOTS.records)
    for name in ("waiting", "queued", "working", "failed", "again", "done", "mended", "broken"):
        audio(store, f"simple/tiny/{name}.wav")
    transcript(store, "simple/tiny/broken.wav")
    now = int(1000 * store.stat(ROOTS.transcripts.join("simple/tiny/broken.wav.json")).modified)
    for number, name in enumerate(("failed", "again", "mended", "broken")):
        path = str(ROOTS.audio.join(f"simple/tiny/{name}.wav"))
        failures.save(failure_record(IDS[number], path=path, at=now + number))
    failures.save(failure_record(IDS[50], path=None, code="malformed_message", at=now))
    for name in ("done", "mended"):
        transcript(store, f"simple/tiny/{name}.wav")
    transcript(store, "diarisation/base/elsewhere.wav")
    jobs = [
        {"audio": str(ROOTS.audio.join(f"simple/tiny/{name}.wav")), "stage": stage, "part": part, "model": "tiny",
         "event_id": "e", "seconds": 1.0}
        for name, stage, part in (("working", "transcribe", 0.25), ("again", "align", 0.75), ("queued", "queue", 0),
                                  ("done", "transcribe", 0.5))
    ]  # fmt: skip
    at_work(store, *jobs)
    catalogue = Catalogue(store, ROOTS)
    rows = {row.name: row for row in catalogue.working(iter(catalogue.snapshot().rows))}
    assert {name: row.state.value for name, row in rows.items() if name.endswith(".wav")} == {
        "waiting.wav": "waiting", "queued.wav": "waiting", "working.wav": "working", "failed.wav": "failed",
        "again.wav": "working", "done.wav": "done", "mended.wav": "done", "broken.wav": "failed",
        "elsewhere.wav": "done",
    }  # fmt: skip
    assert (rows["working.wav"].stage, rows["working.wav"].part) == ("transcribe", 0.25)
    assert (rows["elsewhere.wav"].pair, rows["elsewhere.wav"].audio) == ("diarisation.base", "")
    (unknown,) = [row for row in rows.values() if row.code == "malformed_message"]
    assert (unknown.key, unknown.state) == ("", State.FAILED)
    assert catalogue.snapshot().total == 10
    assert [row.name for row in Query("BRÓKEN", State.FAILED).page(rows.values(), 0, 9)] == ["broken.wav"]


def test_one_that_is_waited_for_is_not_blamed_for_what_was_before() -> None:
    store = MemoryStore()
    path = audio(store, "simple/tiny/x.wav")
    Failures(store, ROOTS.records).save(failure_record(IDS[0], path=path, at=1000))
    catalogue = Catalogue(store, ROOTS)
    looked = catalogue.look("simple/tiny/x.wav")
    assert looked is not None
    assert looked.state is State.WAITING
    assert catalogue.snapshot().rows[0].state is State.FAILED
    transcript(store, "simple/tiny/x.wav")
    looked = catalogue.look("simple/tiny/x.wav")
    assert looked is not None
    assert looked.state is State.DONE
    assert catalogue.look("simple/tiny/missing.wav") is None


def test_of_a_large_store_the_newest_are_held_and_all_are_counted() -> None:
    store = MemoryStore()
    for number in range(300):
        audio(store, f"simple/tiny/{number:03}.wav")
    failures = Failures(store, ROOTS.records)
    for number in range(40):
        failures.save(
            failure_record(IDS[number], path=str(ROOTS.audio.join(f"simple/tiny/{number:03}.wav")), at=number)
        )
    snapshot = Catalogue(store, ROOTS, rows=20, failures=10).snapshot()
    assert [row.name for row in snapshot.rows] == [f"{number:03}.wav" for number in range(299, 279, -1)]
    assert snapshot.total == 300
    assert snapshot.counts == {State.WAITING: 290, State.FAILED: 10}


def test_failures_are_read_once() -> None:
    reads: list[str] = []

    def note(method: str, location: Location) -> None:
        if method == "read" and "/failed/" in location.key:
            reads.append(location.key)

    store = MemoryStore(on_call=note)
    failures, clock = Failures(store, ROOTS.records), Clock()
    catalogue = Catalogue(store, ROOTS, clock=clock)
    for number in range(3):
        failures.save(failure_record(IDS[number]))
        clock.now += 100
        catalogue.snapshot()
    failures.forget(IDS[0])
    clock.now += 100
    assert {row.event for row in catalogue.snapshot().rows} == {IDS[1], IDS[2]}
    assert len(reads) == 3


def test_one_takes_a_snapshot_and_nobody_waits_for_it_who_has_one() -> None:
    slow, lists, clock = threading.Event(), [0], Clock()
    slow.set()

    def hold(method: str, location: Location) -> None:
        if method == "list" and location == ROOTS.transcripts:
            lists[0] += 1
            clock.now += 5.0  # so long does a listing take here
            slow.wait(20)

    store = MemoryStore(on_call=hold)
    catalogue = Catalogue(store, ROOTS, clock=clock)
    first = catalogue.snapshot()
    clock.now += 19.0
    assert catalogue.snapshot() is first  # four times as long as it took it is good
    clock.now += 2.0
    slow.clear()
    taker = threading.Thread(target=catalogue.snapshot)
    taker.start()
    while lists[0] < 2:
        time.sleep(0.001)
    assert catalogue.snapshot() is first
    slow.set()
    taker.join()
    assert catalogue.snapshot() is not first
    assert lists[0] == 2
    catalogue.renew()
    catalogue.snapshot()
    assert lists[0] == 3


def test_an_outage_is_raised_and_over_when_it_is_over() -> None:
    away = [True]

    def fail(_method: str, _location: Location) -> None:
        if away[0]:
            raise StoreUnreachable("no answer")

    catalogue = Catalogue(MemoryStore(on_call=fail), ROOTS)
    with pytest.raises(StoreUnreachable):
        catalogue.snapshot()
    away[0] = False
    assert catalogue.snapshot().total == 0


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (Query(), ["Ä b/Zoë.wav", "c.wav"]),
        (Query("zoe"), ["Ä b/Zoë.wav"]),
        (Query("  A  ZOË "), ["Ä b/Zoë.wav"]),
        (Query("zoe missing"), []),
        (Query("no_audio"), ["c.wav"]),
        (Query(approach="simple", model="tiny.en"), ["c.wav"]),
        (Query(model="tiny"), ["Ä b/Zoë.wav"]),
        (Query(state=State.WORKING), []),
    ],
)
def test_what_a_search_means(query: Query, names: list[str]) -> None:
    rows = [
        Row("diarisation/tiny/Ä b/Zoë.wav", "Ä b/Zoë.wav", State.DONE, 1.0, "diarisation.tiny"),
        Row("simple/tiny.en/c.wav", "c.wav", State.FAILED, 1.0, "simple.tiny.en", code="no_audio"),
    ]
    assert [row.name for row in query.page(rows, 0, 10)] == names
