"""Results among several writers: whoever comes late, and whatever the store says of conflicts, nothing is torn."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from lfk.core.addressing import resolve
from lfk.core.errors import ContentChanged, ObjectMissing, PreconditionFailed
from lfk.core.location import Location, parse_location
from lfk.core.manifest import AudioVersion, Manifest, Rendering, StoredResult
from lfk.core.transcript import Segment, Transcript
from lfk.roles.results import Results
from lfk.stores.memory import MemoryStore
from tests.roles.roots import ROOTS

ADDRESS = resolve("simple/tiny/x.wav", None, ROOTS)
KEY = ADDRESS.transcript_key
RENDERING = Rendering(("txt", "srt", "vtt", "json"), True, 0.5)


def result(name: str) -> StoredResult:
    return StoredResult(f"event {name}", f"job-{name}", Transcript("en", 2.0, (Segment(0.0, 2.0, f"said {name}"),)), {})


def version(name: str, modified: float) -> AudioVersion:
    return AudioVersion(f"etag {name}", 9, name, modified)


OLD, NEW = (result("old"), version("old", 1.0)), (result("new"), version("new", 2.0))


def published(results: Results, what: tuple[StoredResult, AudioVersion]) -> Manifest:
    return results.publish(KEY, ADDRESS, what[1], results.save(what[0]), RENDERING).manifest


def assert_whole(store: MemoryStore) -> Manifest:
    there = Results(store, ROOTS).manifest(KEY)
    assert there is not None
    for entry in there[0].files.values():
        content, _info = store.read(parse_location(entry.location), limit=1 << 20)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry.size, entry.sha256), entry.location
    return there[0]


class Crash(Exception):
    """The hub dies here."""


@pytest.mark.parametrize("dies_before", [None, "srt", "vtt", "json"])
def test_a_late_writer_of_older_audio_leaves_the_newer_whole(dies_before: str | None) -> None:
    """It stands still before its first file, while the newer audio is done from beginning to end; then it goes on, or
    dies behind some of its files and is delivered again."""
    plans: dict[str, Callable[[], object]] = {}

    def before(method: str, location: Location) -> None:
        if method == "put" and (plan := plans.pop(location.name.rpartition(".")[2], None)) is not None:
            plan()

    def crash() -> None:
        raise Crash

    store = MemoryStore(on_call=before)
    results = Results(store, ROOTS)
    results.save(OLD[0])

    def overtaken() -> None:
        published(results, NEW)
        if dies_before is not None:
            plans[dies_before] = crash

    plans["txt"] = overtaken
    if dies_before is not None:
        with pytest.raises(Crash):
            published(results, OLD)
    assert published(results, OLD).job_id == "job-new"
    assert assert_whole(store).job_id == "job-new"


@pytest.mark.parametrize("seed", range(60))
def test_writers_in_any_order_end_whole(seed: int) -> None:
    """Three versions of one audio, written by threads that take turns at random, call by call."""
    chance = random.Random(seed)
    turn = threading.Condition()
    waiting: dict[int, bool] = {}

    def take_turns(_method: str, _location: Location) -> None:
        me = threading.get_ident()
        if me not in names:
            return
        with turn:
            waiting[me] = True
            turn.notify_all()
            turn.wait_for(lambda: not waiting[me], 30)

    names: set[int] = set()
    store = MemoryStore(on_call=take_turns)
    results = Results(store, ROOTS)
    ended: list[str] = []

    def write(number: int) -> None:
        names.add(threading.get_ident())
        ended.append(published(results, (result(str(number)), version(str(number), float(number)))).job_id)

    threads = [threading.Thread(target=write, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with turn:
            turn.wait_for(lambda: any(waiting.values()), 0.01)
            if ready := [ident for ident, waits in waiting.items() if waits]:
                waiting[chance.choice(sorted(ready))] = False
                turn.notify_all()
    assert len(ended) == 3
    assert assert_whole(store).job_id == "job-3"


def test_damage_to_newer_audio_that_cannot_be_made_good_never_goes_backwards() -> None:
    store = MemoryStore()
    results = Results(store, ROOTS)
    published(results, NEW)
    store.delete(ROOTS.records.join("results/job-new.json"))
    store.delete(results.location(KEY, "txt"))
    with pytest.raises(ContentChanged):
        published(results, OLD)
    there = results.manifest(KEY)
    assert there is not None
    assert there[0].job_id == "job-new"


@pytest.mark.parametrize("method", ["save", "claim"])
@pytest.mark.parametrize("times", [1, 3, 100])
def test_a_store_that_cannot_decide_who_was_first(method: str, times: int) -> None:
    """409: two writers came at once, or so it says, and neither has written."""
    left = times

    def conflict(called: str, _location: Location) -> None:
        nonlocal left
        if called == "put" and left:
            left -= 1
            raise PreconditionFailed("conflicting conditional operations")

    results = Results(MemoryStore(on_call=conflict), ROOTS)

    def call() -> object:
        return results.save(OLD[0]) if method == "save" else results.claim(ADDRESS)

    if times > 3:
        with pytest.raises(ContentChanged):
            call()
    else:
        assert call() == (OLD[0] if method == "save" else KEY)


def test_another_hubs_result_is_adopted() -> None:
    store = MemoryStore()
    first, second = Results(store, ROOTS), Results(store, ROOTS)
    first.save(OLD[0])
    assert second.save(replace(OLD[0], event_id="later")).event_id == "event old"
    with pytest.raises(ObjectMissing):
        store.stat(ROOTS.records.join("results/none.json"))
