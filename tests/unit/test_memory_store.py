"""What the memory store offers to tests: a clock that obeys, and calls that fail when they should."""

from __future__ import annotations

import logging

import pytest

from lfk.core.errors import PreconditionFailed, StoreUnreachable
from lfk.core.location import Location, parse_location
from lfk.stores.base import IfMatch
from lfk.stores.memory import MemoryStore

ROOT = parse_location("s3://bucket/p/")
TEXT = "text/plain"


def test_every_bucket_exists_unless_told_otherwise() -> None:
    store = MemoryStore()
    for root in (ROOT, parse_location("file:///folder/")):
        store.check(root)
        assert store.ensure(root) is False
        store.put(root.join("x"), b"x", content_type=TEXT)


def test_time_goes_on_by_a_second_with_each_write() -> None:
    store = MemoryStore()
    moments = [store.put(ROOT.join("x"), b"x", content_type=TEXT).modified for _write in range(3)]
    assert moments == [moments[0], moments[0] + 1, moments[0] + 2]


def test_a_clock_can_be_given() -> None:
    now = [5.0]
    store = MemoryStore(clock=lambda: now[0])
    assert store.put(ROOT.join("x"), b"x", content_type=TEXT).modified == 5.0
    now[0] = 7.0
    assert store.put(ROOT.join("x"), b"x", content_type=TEXT).modified == 7.0
    assert store.stat(ROOT.join("x")).modified == 7.0


def test_equal_content_has_equal_etags() -> None:
    store = MemoryStore()
    first = store.put(ROOT.join("x"), b"same", content_type=TEXT)
    assert store.put(ROOT.join("y"), b"same", content_type=TEXT).etag == first.etag
    store.put(ROOT.join("x"), b"same", content_type=TEXT, condition=IfMatch(first.etag))


def test_any_call_can_be_made_to_fail() -> None:
    seen: list[tuple[str, str]] = []

    def on_call(method: str, location: Location) -> None:
        seen.append((method, location.name))
        if method == "read":
            raise StoreUnreachable("the store is away")

    store = MemoryStore(on_call=on_call)
    store.put(ROOT.join("x"), b"x", content_type=TEXT)
    with pytest.raises(StoreUnreachable):
        store.read(ROOT.join("x"), limit=9)
    assert store.stat(ROOT.join("x")).size == 1
    assert seen == [("put", "x"), ("read", "x"), ("stat", "x")]


def test_another_writer_can_come_in_between() -> None:
    def come_first(method: str, location: Location) -> None:
        if method == "put" and location.name == "x":
            store.put(ROOT.join("other"), b"y", content_type=TEXT)
            store.delete(location)

    store = MemoryStore(on_call=come_first)
    with pytest.raises(PreconditionFailed):
        store.put(ROOT.join("x"), b"x", content_type=TEXT, condition=IfMatch("0"))
    assert [info.location.name for info in store.list(ROOT)] == ["other"]


def test_names_that_no_location_holds_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    info = store.put(ROOT.join("x"), b"x", content_type=TEXT)
    hostile = Location("s3", "bucket", "p/../up")
    store._objects[hostile] = store._objects[info.location]
    with caplog.at_level(logging.WARNING, "lfk"):
        assert [found.location for found in store.list(ROOT)] == [info.location]
    assert "address them: 1," in caplog.text
