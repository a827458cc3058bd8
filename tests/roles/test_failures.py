"""Failures as the store keeps them: saved, found, read in order, replaced by a retry's, forgotten."""

from __future__ import annotations

import threading

import pytest

from lfk.core.errors import FailureMissing, FailureUnreadable, StoreUnreachable, UsageError
from lfk.core.failure_record import MAX_RECORD_BYTES
from lfk.core.location import Location
from lfk.roles.failures import Failures
from lfk.stores.memory import MemoryStore
from tests.roles.failing import failure_record
from tests.roles.roots import ROOTS

IDS = [f"{number:032x}" for number in range(200)]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def failures(store: MemoryStore) -> Failures:
    return Failures(store, ROOTS.records)


def damage(store: MemoryStore, failures: Failures, event: str, content: bytes = b"{") -> None:
    store.put(failures.location(event), content, content_type="application/json")


def test_what_is_saved_is_loaded_and_forgotten(failures: Failures) -> None:
    record = failure_record(IDS[1])
    failures.save(record)
    assert failures.load(IDS[1]) == record
    assert str(failures.location(IDS[1])) == f"s3://bucket/.lfk/failed/{IDS[1]}.json"
    failures.forget(IDS[1])
    failures.forget(IDS[1])
    with pytest.raises(FailureMissing):
        failures.load(IDS[1])


def test_a_retry_that_fails_again_leaves_one_record(failures: Failures) -> None:
    failures.save(failure_record(IDS[1]))
    failures.save(failure_record(IDS[2]))
    failures.save(failure_record(IDS[3], cause=IDS[1]))
    assert failures.events() == [IDS[2], IDS[3]]
    failures.save(failure_record(IDS[3], cause=IDS[3]))
    failures.save(failure_record(IDS[3], cause="../outbox/x"))
    assert failures.events() == [IDS[2], IDS[3]]


def test_records_that_are_none_are_told_apart_from_those_that_are(store: MemoryStore, failures: Failures) -> None:
    failures.save(failure_record(IDS[1]))
    damage(store, failures, IDS[2])
    damage(store, failures, IDS[3], failure_record(IDS[1]).to_bytes())
    damage(store, failures, IDS[4], b" " * (MAX_RECORD_BYTES + 1))
    store.put(ROOTS.records.join("failed/notes.txt"), b"", content_type="text/plain")
    store.put(ROOTS.records.join(f"failed/sub/{IDS[1]}.json"), b"", content_type="text/plain")
    found = {one.event_id: one for one in failures.each()}
    assert {event: one.error and one.error.code for event, one in found.items()} == {
        IDS[1]: None,
        IDS[2]: "failure_unreadable",
        IDS[3]: "failure_unreadable",
        IDS[4]: "store_error",
    }
    assert failures.count() == 4
    with pytest.raises(FailureUnreadable, match="another event"):
        failures.load(IDS[3])


def test_they_are_read_in_the_order_in_which_they_came(failures: Failures) -> None:
    for event in reversed(IDS):
        failures.save(failure_record(event))
    assert failures.events() == IDS[::-1]
    assert [one.event_id for one in failures.read(failures.events())] == IDS[::-1]
    assert [one.event_id for one in failures.each()] == IDS


def test_one_that_goes_while_they_are_read_is_passed_over(failures: Failures) -> None:
    for event in IDS[:3]:
        failures.save(failure_record(event))
    events = failures.events()
    failures.forget(IDS[1])
    assert [one.event_id for one in failures.read(events)] == [IDS[0], IDS[2]]


def test_few_are_read_ahead() -> None:
    lock, reads = threading.Lock(), 0

    def count(method: str, _location: Location) -> None:
        nonlocal reads
        with lock:
            reads += method == "read"

    failures = Failures(MemoryStore(on_call=count), ROOTS.records)
    for event in IDS:
        failures.save(failure_record(event))
    reading = failures.each()
    assert next(reading).event_id == IDS[0]
    assert reads < 100
    reading.close()  # type: ignore[attr-defined]
    assert reads < 100


def test_an_outage_is_an_outage() -> None:
    def fail(method: str, _location: Location) -> None:
        if method == "read":
            raise StoreUnreachable("gone")

    failures = Failures(MemoryStore(on_call=fail), ROOTS.records)
    failures.save(failure_record(IDS[1]))
    with pytest.raises(StoreUnreachable):
        list(failures.each())


def test_an_event_is_found_by_the_beginning_of_its_id(failures: Failures) -> None:
    for event in ("abcd" + "0" * 28, "abce" + "0" * 28):
        failures.save(failure_record(event))
    assert failures.find("ABCD") == "abcd" + "0" * 28
    assert failures.find("f" * 32) == "f" * 32
    with pytest.raises(FailureMissing):
        failures.find("ffff")


@pytest.mark.parametrize("text", ["", "abc", "abcx", "../../", "a" * 33, "abcd/"])
def test_what_is_no_beginning_of_an_id_is_refused(failures: Failures, text: str) -> None:
    with pytest.raises(UsageError):
        failures.find(text)


def test_a_beginning_that_several_have_is_refused(failures: Failures) -> None:
    for event in ("abcd1" + "0" * 27, "abcd2" + "0" * 27):
        failures.save(failure_record(event))
    with pytest.raises(UsageError, match="2 event ids"):
        failures.find("abcd")
