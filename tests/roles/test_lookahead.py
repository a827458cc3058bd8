"""Looks that a page of a listing answers, and those that it must not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lfk.core.location import Location, parse_location
from lfk.roles.lookahead import Lookahead
from lfk.stores.base import ObjectInfo
from lfk.stores.memory import MemoryStore

FOLDER = parse_location("s3://bucket/transcripts/")
PARTS = ("srt", "txt")


class CountingStore(MemoryStore):
    """Tells how often it was asked for a listing."""

    listings = 0

    def list(self, prefix: Location, *, after: str | None = None) -> Iterator[ObjectInfo]:
        self.listings += 1
        return super().list(prefix, after=after)


class Place:
    """A folder of many transcripts, and a clock that stands still unless it is moved."""

    def __init__(self, count: int) -> None:
        self.now = 100.0
        self.store = CountingStore()
        self.lookahead = Lookahead(self.store, lambda: self.now)
        for number in range(count):
            for name in self.sizes(number):
                self.store.put(parse_location(name), b"text", content_type="text/plain")

    def sizes(self, number: int) -> dict[str, int]:
        return {f"{FOLDER}{number:05d}.wav.{part}": 4 for part in PARTS}

    def shows(self, number: int) -> bool:
        return self.lookahead.shows(FOLDER.join(f"{number:05d}.wav."), self.sizes(number))


@pytest.fixture
def place() -> Place:
    return Place(2_000)


def test_looks_in_order_cost_few_listings(place: Place) -> None:
    shown = [place.shows(number) for number in range(1_000)]
    assert shown[:15] == [False] * 15, "few looks are no reason to list a whole page"
    assert all(shown[16:])
    assert place.store.listings <= 4


def test_what_is_missing_or_another_is_never_shown(place: Place) -> None:
    place.store.delete(parse_location(f"{FOLDER}00100.wav.txt"))
    place.store.put(parse_location(f"{FOLDER}00200.wav.txt"), b"longer", content_type="text/plain")
    shown = [place.shows(number) for number in range(400)]
    assert not shown[100]
    assert not shown[200]
    assert sum(shown) >= 370


def test_a_page_is_believed_for_seconds_only(place: Place) -> None:
    for number in range(30):
        place.shows(number)
    assert place.shows(200)
    place.store.delete(parse_location(f"{FOLDER}00200.wav.txt"))
    assert place.shows(200), "the page is of a moment ago"
    place.now += 6.0
    assert not place.shows(200)


def test_looks_here_and_there_end_it(place: Place) -> None:
    for number in range(300):
        place.shows(number * 7919 % 2_000)
        place.now += 0.4 * (number % 16 == 0)
    listings = place.store.listings
    far = Place(100_000)
    for number in range(300):
        far.shows(number * 7919 % 100_000)
    assert far.store.listings <= 5
    assert listings <= 30


def test_looks_that_are_far_apart_list_nothing(place: Place) -> None:
    for number in range(100):
        place.shows(number)
        place.now += 0.1
    assert place.store.listings == 0
