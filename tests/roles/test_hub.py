"""A hub's own trouble and its jobs': told apart, waited out, and never paid for by healthy audio."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from lfk.core.errors import (
    AccessDenied,
    EngineCrashed,
    EngineUnavailable,
    ScratchFull,
    StoreUnreachable,
    Suspect,
)
from lfk.core.identity import event_id
from lfk.core.location import Location
from lfk.engine.base import Task
from lfk.roles.demo import SAMPLE
from lfk.roles.hub import due, self_check
from lfk.roles.hub import hub as hub_module
from lfk.roles.hub.answers import RETRY_DUE, RETRY_EVENT
from tests.roles.hub_bench import LANES, FaultyKind, HubBench
from tests.roles.roots import ROOTS
from tests.roles.silent_registry import SilentRegistryCodec
from tests.waiting import wait_until

NAMES = tuple(f"simple/tiny/{number}.wav" for number in range(12))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubBench:
    monkeypatch.setattr(self_check, "_FIRST_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(self_check, "_LAST_LOOK_SECONDS", 0.1)
    bench = HubBench(tmp_path)
    bench.add_audio(*NAMES)
    return bench


@pytest.mark.parametrize("error", [StoreUnreachable("no answer"), AccessDenied("the keys have expired")])
def test_an_outage_of_the_store_costs_no_attempt(bench: HubBench, error: Exception) -> None:
    def fault(_operation: str, _location: Location) -> None:
        raise error

    with bench.hub(attempts=1) as running:
        bench.store.fault = fault
        bench.refer(*NAMES)
        wait_until(lambda: running.hub.trouble is not None)
        assert running.hub.trouble is not None
        assert running.hub.trouble.suspect is Suspect.STORE
        time.sleep(0.3)
        assert bench.announcements() == []
        bench.store.fault = lambda _operation, _location: None
        wait_until(bench.answered(len(NAMES)))
        assert running.hub.trouble is None
    assert bench.outcomes() == {"done": len(NAMES)}
    assert not bench.dead_letters()


def test_an_outage_of_the_registry_costs_neither_attempts_nor_order(
    bench: HubBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_AGAIN_SECONDS", 0.2)
    codec = bench.codec = SilentRegistryCodec()
    codec.silent.set()
    with bench.hub(attempts=1) as running:
        # Of each audio several, so that there is an order to be lost.
        bench.refer(*NAMES[:3] * 4)
        wait_until(lambda: running.hub.trouble is not None)
        assert running.hub.trouble is not None
        assert running.hub.trouble.suspect is Suspect.REGISTRY
        time.sleep(0.3)
        assert bench.announcements() == []
        codec.silent.clear()
        wait_until(bench.answered(12))
        assert running.hub.trouble is None
    assert bench.outcomes() == {"done": 12}
    assert not bench.dead_letters()
    sent = [
        event_id(LANES["fresh"], record.partition.number, record.offset, record.timestamp, record.key)
        for record in bench.broker.snapshot(LANES["fresh"])
    ]
    for name in NAMES[:3]:
        answered = [sent.index(one.event_id) for one in bench.announcements() if str(one.path_to_audio).endswith(name)]
        assert answered == sorted(answered)


def test_a_forbidden_object_is_that_jobs_failure(bench: HubBench) -> None:
    def fault(_operation: str, location: Location) -> None:
        if location.name == "3.wav" and ROOTS.audio.contains(location):
            raise AccessDenied("not for you")

    bench.store.fault = fault
    with bench.hub() as running:
        bench.refer(*NAMES)
        wait_until(bench.answered(len(NAMES)))
        assert running.hub.trouble is None
    assert bench.outcomes() == {"done": len(NAMES) - 1, "access_denied": 1}
    assert bench.dead_letters() == {"access_denied": 1}


def test_a_failure_that_cannot_be_recorded_is_answered_all_the_same(bench: HubBench) -> None:
    def fault(_operation: str, location: Location) -> None:
        if ROOTS.records.join("failed").contains(location):
            raise AccessDenied("not below failed/")

    bench.store.fault = fault
    with bench.hub():
        bench.refer("simple/tiny/none.wav", NAMES[0])
        wait_until(bench.answered(2))
    assert bench.outcomes() == {"done": 1, "object_missing": 1}
    assert bench.dead_letters() == {"object_missing": 1}


def test_a_failure_is_recorded_once_the_store_is_back(bench: HubBench) -> None:
    down = threading.Event()

    def fault(operation: str, location: Location) -> None:
        if ROOTS.records.join("failed").contains(location):
            down.set()
        if down.is_set() and operation in ("put", "check"):
            raise StoreUnreachable("no answer")

    bench.store.fault = fault
    with bench.hub() as running:
        bench.refer("simple/tiny/none.wav")
        wait_until(lambda: running.hub.trouble is not None)
        assert bench.announcements() == []
        bench.store.fault = lambda _operation, _location: None
        wait_until(bench.answered(1))
    (failed,) = bench.announcements()
    assert failed.error is not None
    assert (failed.error.code, failed.error.attempts) == ("object_missing", 1)
    assert [info.location.name for info in bench.store.list(ROOTS.records.join("failed").as_prefix())] == [
        f"{failed.event_id}.json"
    ]


def test_a_missing_model_is_that_jobs_failure_and_a_missing_default_model_the_hubs(bench: HubBench) -> None:
    kind = FaultyKind()
    kind.lacks = {"large-v3"}
    bench.add_audio("simple/large/x.wav")
    with bench.hub(kind) as running:
        bench.refer("simple/large/x.wav", NAMES[0])
        wait_until(bench.answered(2))
        assert running.hub.trouble is None
        assert bench.outcomes() == {"done": 1, "model_missing": 1}
        kind.lacks = {"large-v3", "tiny", "tiny.en"}
        bench.refer(NAMES[1])
        wait_until(lambda: running.hub.trouble is not None)
        kind.lacks = set()
        wait_until(bench.answered(3))
    assert bench.outcomes() == {"done": 2, "model_missing": 1}


def test_a_broken_deployment_drains_nothing_into_the_dead_letters(bench: HubBench) -> None:
    kind = FaultyKind()

    def fault(_task: Task) -> None:
        raise EngineCrashed("no engine here can do anything")

    kind.fault = fault
    with bench.hub(kind, attempts=3, breaker=2) as running:
        bench.refer(*NAMES)
        wait_until(lambda: running.hub.trouble is not None)
        assert running.hub.trouble is not None
        assert running.hub.trouble.suspect is Suspect.ENGINE
        tried = len(kind.tasks)
        time.sleep(0.4)
        # Only the engine's own trial goes on.
        assert {task.audio for task in kind.tasks[tried:]} == {SAMPLE}
        kind.fault = lambda _task: None
        wait_until(bench.answered(len(NAMES)))
    assert bench.outcomes() == {"done": len(NAMES)}
    assert not bench.dead_letters()


def test_a_job_that_waits_to_begin_keeps_no_engine_from_the_look(bench: HubBench) -> None:
    kind = FaultyKind()

    def fault(_task: Task) -> None:
        raise EngineCrashed("no engine here can do anything")

    kind.fault = fault
    with bench.hub(kind, workers=1, attempts=100, breaker=1) as running:
        for _ in range(5):
            bench.refer(*NAMES)
        for _ in range(10):
            wait_until(lambda: running.hub.trouble is not None, "the hub does not notice")
            kind.fault = lambda _task: None
            wait_until(lambda: running.hub.trouble is None, "the hub does not get well")
            kind.fault = fault
        kind.fault = lambda _task: None
        wait_until(bench.answered(5 * len(NAMES)))
    assert bench.outcomes() == {"done": 5 * len(NAMES)}


def test_many_poisons_in_a_row_are_their_own_failures(bench: HubBench) -> None:
    kind = FaultyKind()

    def fault(task: Task) -> None:
        if task.audio != SAMPLE and b"poison" in task.audio.read_bytes():
            raise EngineCrashed("killed by SIGSEGV")

    kind.fault = fault
    poisons = [f"simple/tiny/poison-{number}.wav" for number in range(6)]
    bench.add_audio(*poisons)
    with bench.hub(kind, attempts=3, breaker=2):
        bench.refer(*poisons, *NAMES)
        wait_until(bench.answered(len(NAMES) + len(poisons)))
    assert bench.outcomes() == {"done": len(NAMES), "engine_crashed": len(poisons)}
    assert bench.dead_letters() == {"engine_crashed": len(poisons)}
    assert {one.error.attempts for one in bench.announcements() if one.error} == {3}


def test_a_hub_without_an_engine_ends_at_its_start_and_waits_later(bench: HubBench) -> None:
    kind = FaultyKind()

    def fault(_task: Task) -> None:
        raise EngineUnavailable("no engine comes up on this machine")

    kind.fault = fault
    with bench.hub(kind) as running:
        bench.refer(NAMES[0])
        running.thread.join(10)
        assert not running.thread.is_alive()
        with pytest.raises(EngineUnavailable):
            running.end()
    kind.fault = lambda _task: None
    with bench.hub(kind) as running:
        wait_until(bench.answered(1))
        kind.fault = fault
        bench.refer(NAMES[1])
        wait_until(lambda: running.hub.trouble is not None)
        kind.fault = lambda _task: None
        wait_until(bench.answered(2))
    assert bench.outcomes() == {"done": 2}


def test_an_outage_while_a_result_is_kept_costs_no_second_run(bench: HubBench) -> None:
    kind = FaultyKind()
    down = threading.Event()

    def fault(operation: str, _location: Location) -> None:
        if down.is_set() and operation in ("put", "check"):
            raise StoreUnreachable("no answer")

    bench.store.fault = fault
    kind.fault = lambda _task: down.set()
    with bench.hub(kind, attempts=1) as running:
        bench.refer(NAMES[0])
        wait_until(lambda: running.hub.trouble is not None)
        down.clear()
        wait_until(bench.answered(1))
    assert bench.outcomes() == {"done": 1}
    assert len(kind.tasks) == 1
    assert not bench.announcements()[0].reused


def test_a_full_disk_is_the_hubs_trouble(bench: HubBench, monkeypatch: pytest.MonkeyPatch) -> None:
    full = threading.Event()
    full.set()

    def check() -> None:
        if full.is_set():
            raise ScratchFull("no room for anything")

    def fault(operation: str, _location: Location) -> None:
        if operation == "download" and full.is_set():
            raise ScratchFull("no room")

    monkeypatch.setattr(bench, "looks", lambda: {Suspect.SCRATCH: check})
    bench.store.fault = fault
    with bench.hub(attempts=1) as running:
        bench.refer(*NAMES)
        wait_until(lambda: running.hub.trouble is not None)
        full.clear()
        wait_until(bench.answered(len(NAMES)))
    assert bench.outcomes() == {"done": len(NAMES)}


def test_lasting_trouble_gives_the_partitions_to_other_hubs(bench: HubBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_LEAVE_SECONDS", 0.1)
    broken = FaultyKind()
    broken.lacks = {"tiny", "tiny.en"}
    with bench.hub(broken) as sick:
        bench.refer(*NAMES)
        wait_until(lambda: sick.hub.trouble is not None and not sick.hub.joined)
        with bench.hub():
            wait_until(bench.answered(len(NAMES)))
            assert sick.hub.trouble is not None
        broken.lacks = set()
        wait_until(lambda: sick.hub.trouble is None and sick.hub.joined)
        bench.add_audio("simple/tiny/later.wav")
        bench.refer("simple/tiny/later.wav")
        wait_until(bench.answered(len(NAMES) + 1))
        assert sick.hub.summary.done == 1
    assert bench.outcomes() == {"done": len(NAMES) + 1}


def test_references_that_are_gone_unread_are_noticed(bench: HubBench) -> None:
    with bench.hub():
        bench.refer(NAMES[0])
        wait_until(bench.answered(1))
    bench.refer(*NAMES[1:])
    standing = bench.broker.standing("hubs", "lfk.audio")
    bench.broker.trim({partition: one.end for partition, one in standing.items()})
    with bench.hub():
        wait_until(lambda: bench.missed > 0)
        bench.refer(NAMES[1])
        wait_until(bench.answered(2))
    assert bench.outcomes() == {"done": 2}
    for one in bench.broker.standing("hubs", "lfk.audio").values():
        assert one.progress is None or one.progress.note == ""


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(bench: HubBench) -> None:
    with bench.hub():
        bench.refer(*NAMES)
        wait_until(bench.answered(len(NAMES)))
        bench.broker.remake("lfk.audio")
        wait_until(lambda: bench.missed > 0)
        bench.add_audio("simple/tiny/new.wav")
        bench.refer("simple/tiny/new.wav")
        wait_until(bench.answered(len(NAMES) + 1))
    assert bench.outcomes() == {"done": len(NAMES) + 1}


def test_retries_that_are_not_due_block_nothing_fresh(bench: HubBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due, "LIMIT", 3)
    later = str(int((time.time() + 3600) * 1000)).encode()
    bench.refer(*NAMES[:6], lane="retry", headers={RETRY_EVENT: b"e" * 32, RETRY_DUE: later})
    with bench.hub() as running:
        wait_until(lambda: running.hub._waiting.many_due)
        bench.refer(*NAMES[6:])
        wait_until(bench.answered(len(NAMES) - 6))
    assert bench.outcomes() == {"done": len(NAMES) - 6}


def test_many_references_of_one_busy_audio_hold_no_other_back(bench: HubBench) -> None:
    kind = FaultyKind()
    going_on = threading.Event()

    def fault(task: Task) -> None:
        if task.audio.read_bytes() == b"speech of simple/tiny/0.wav":
            assert going_on.wait(30)

    kind.fault = fault
    with bench.hub(kind):
        bench.refer(*[NAMES[0]] * 60)
        wait_until(lambda: len(kind.tasks) == 1)
        bench.refer(*NAMES[1:])
        wait_until(bench.answered(len(NAMES) - 1))
        going_on.set()
        wait_until(bench.answered(len(NAMES) + 59))
    assert bench.outcomes() == {"done": len(NAMES) + 59}
    assert sum(one.reused for one in bench.announcements()) == 59
