"""Reading announcements into a folder, with a store and a broker in memory and a real file system."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lfk.brokers.base import Delivered, Partition, Progress
from lfk.brokers.codec import JsonCodec
from lfk.brokers.memory import MemoryBroker
from lfk.core.errors import (
    BrokerUnreachable,
    FileUnreadable,
    LfkError,
    SettlementLost,
    StoreUnreachable,
    UsageError,
)
from lfk.core.location import Location
from lfk.core.messages import Announcement, Failure
from lfk.roles import collector as collecting
from lfk.roles.collector import Collector
from lfk.roles.mirror import Mirror
from lfk.roles.place_keeper import PlaceKeeper
from lfk.roles.transcripts import Reader, Wish, announcements_in_store, parse_start
from lfk.stores.memory import MemoryStore
from tests.integration.transcripts import ROOTS, TOPIC, Memory, announce, as_dict, tree, write_transcript
from tests.waiting import wait_until

KEY = "simple/tiny/week 1/talk #1.wav"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def mirror(out: Path) -> Iterator[Mirror]:
    with Mirror(out) as opened:
        yield opened


def nothing(method: str, location: Location) -> None:
    """What usually happens inside a store's calls."""


class Calls:
    """Sees a store's calls, and does in them what a test says."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.do: Callable[[str, Location], None] = nothing

    def __call__(self, method: str, location: Location) -> None:
        self.seen.append((method, location.key))
        self.do(method, location)


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def store(calls: Calls) -> MemoryStore:
    return MemoryStore(on_call=calls)


def reader(
    store: MemoryStore, audience: Memory, mirror: Mirror | None = None, *, patient: bool = False, **wish: object
) -> Reader:
    stop = threading.Event()
    collector = Collector(store, mirror, stop) if mirror is not None else None
    return Reader(
        store,
        JsonCodec(),
        ROOTS,
        Wish(collector=collector, **wish),  # type: ignore[arg-type]
        audience,
        stop,
        patient=patient,
    )


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_REWRITE_SECONDS", 0.0)
    monkeypatch.setattr("lfk.roles.transcripts._OUTAGE_SECONDS", 0.0)


# --- the folder


def test_files_lie_under_their_keys(store: MemoryStore, mirror: Mirror, out: Path) -> None:
    one = write_transcript(store, KEY, "e1", txt="hello", srt="1\n")
    memory = Memory()
    reader(store, memory, mirror).announcement(one)
    assert {name: text for name, text in tree(out).items() if not name.endswith("json")} == {
        f"{KEY}.txt": b"hello",
        f"{KEY}.srt": b"1\n",
    }
    assert memory.files == [(f"{KEY}.txt", True), (f"{KEY}.srt", True), (f"{KEY}.json", True)]
    assert memory.problems == []


def test_only_the_named_formats_are_kept(store: MemoryStore, mirror: Mirror, out: Path) -> None:
    one = write_transcript(store, KEY, "e1", txt="hello", srt="1\n")
    reader(store, Memory(), mirror, formats=("srt",)).announcement(one)
    assert tree(out) == {f"{KEY}.srt": b"1\n"}


def test_a_second_time_changes_nothing(store: MemoryStore, mirror: Mirror, out: Path) -> None:
    one = write_transcript(store, KEY, "e1", txt="hello")
    reader(store, Memory(), mirror).announcement(one)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    memory = Memory()
    again = reader(store, memory, mirror)
    again.announcement(one)
    assert memory.files == [(f"{KEY}.txt", False), (f"{KEY}.json", False)]
    assert (again.count.fetched, again.count.unchanged) == (0, 2)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert set(before) == {path for path in out.rglob("*") if path.is_file()}


def test_what_was_damaged_here_is_put_right(store: MemoryStore, mirror: Mirror, out: Path) -> None:
    one = write_transcript(store, KEY, "e1", txt="hello")
    reader(store, Memory(), mirror).announcement(one)
    (out / f"{KEY}.txt").write_text("tampered with")
    memory = Memory()
    reader(store, memory, mirror).announcement(one)
    assert memory.files == [(f"{KEY}.txt", True), (f"{KEY}.json", False)]
    assert tree(out)[f"{KEY}.txt"] == b"hello"
    assert f"{KEY}.json" in tree(out)


def test_files_that_do_not_match_the_manifest_are_not_kept(store: MemoryStore, mirror: Mirror, out: Path) -> None:
    one = write_transcript(store, KEY, "e1", txt="hello", srt="1\n")
    store.put(ROOTS.transcripts.join(f"{KEY}.txt"), b"something else", content_type="text/plain")
    memory = Memory()
    reader(store, memory, mirror).announcement(one)
    # Nor is the manifest: where it is, all that it lists is.
    assert [code for _subject, code in memory.problems] == ["content_changed", "content_changed"]
    assert set(tree(out)) == {f"{KEY}.srt"}


def test_a_transcript_that_is_rewritten_meanwhile_is_read_again(
    store: MemoryStore, mirror: Mirror, out: Path, calls: Calls
) -> None:
    one = write_transcript(store, KEY, "e1", txt="old", srt="old")

    def rewrite(method: str, location: Location) -> None:
        if method == "download" and location.key.endswith(".srt"):
            calls.do = nothing
            write_transcript(store, KEY, "e2", txt="new", srt="new")

    calls.do = rewrite
    memory = Memory()
    reader(store, memory, mirror).announcement(one)
    assert memory.problems == []
    assert {text for name, text in tree(out).items() if not name.endswith("json")} == {b"new"}
    assert b'"e2"' in tree(out)[f"{KEY}.json"]


def test_the_manifest_goes_before_a_file_changes(
    store: MemoryStore, mirror: Mirror, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader(store, Memory(), mirror).announcement(write_transcript(store, KEY, "e1", txt="old", srt="old"))
    seen: list[tuple[str, bool]] = []
    place = mirror.place

    def watched(path: Path, name: str) -> Path:
        seen.append((name, (out / f"{KEY}.json").exists()))
        return place(path, name)

    monkeypatch.setattr(mirror, "place", watched)
    reader(store, Memory(), mirror).announcement(write_transcript(store, KEY, "e2", txt="new", srt="old"))
    assert seen == [(f"{KEY}.txt", False), (f"{KEY}.json", False)]


def test_a_file_that_is_far_too_large_is_not_fetched(
    store: MemoryStore, mirror: Mirror, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "FILE_LIMIT", 1000)
    one = write_transcript(store, KEY, "e1", txt="hello" * 1000)
    memory = Memory()
    reader(store, memory, mirror, formats=("txt",)).announcement(one)
    assert [code for _subject, code in memory.problems] == ["rejected"]
    assert tree(out) == {}


def test_one_missing_file_keeps_only_itself_away(store: MemoryStore, mirror: Mirror, out: Path) -> None:
    one = write_transcript(store, KEY, "e1", txt="hello", srt="1\n")
    store.delete(ROOTS.transcripts.join(f"{KEY}.txt"))
    memory = Memory()
    reader(store, memory, mirror, formats=("txt", "srt")).announcement(one)
    assert memory.problems == [(str(ROOTS.transcripts.join(f"{KEY}.txt")), "object_missing")]
    assert set(tree(out)) == {f"{KEY}.srt"}


def test_without_its_manifest_a_file_is_taken_as_it_is(store: MemoryStore, mirror: Mirror, out: Path) -> None:
    one = write_transcript(store, KEY, "e1", txt="hello")
    store.put(ROOTS.transcripts.join(f"{KEY}.json"), b"[" * 100_000, content_type="application/json")
    reader(store, Memory(), mirror, formats=("txt",)).announcement(one)
    assert tree(out) == {f"{KEY}.txt": b"hello"}


@pytest.mark.parametrize("planted", ["simple", "simple/tiny", "simple/tiny/week 1"])
def test_a_link_in_the_folder_leads_nowhere(
    store: MemoryStore, mirror: Mirror, out: Path, tmp_path: Path, planted: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "tiny" / "week 1").mkdir(parents=True)
    link = out / planted
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(elsewhere, target_is_directory=True)
    memory = Memory()
    reader(store, memory, mirror).announcement(write_transcript(store, KEY, "e1", txt="hello"))
    assert [code for _subject, code in memory.problems] == ["file_unreadable", "file_unreadable"]
    assert memory.files == []
    assert tree(elsewhere) == {}


def test_a_link_in_the_place_of_a_file_is_replaced(
    store: MemoryStore, mirror: Mirror, out: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    target = out / f"{KEY}.txt"
    target.parent.mkdir(parents=True)
    target.symlink_to(precious)
    reader(store, Memory(), mirror, formats=("txt",)).announcement(write_transcript(store, KEY, "e1", txt="hello"))
    assert precious.read_text() == "mine"
    assert not target.is_symlink()
    assert target.read_text() == "hello"


def test_a_pipe_or_folder_in_the_way_harms_nobody(store: MemoryStore, mirror: Mirror, out: Path) -> None:
    folder = out / KEY.rpartition("/")[0]
    folder.mkdir(parents=True)
    os.mkfifo(out / f"{KEY}.txt")
    (out / f"{KEY}.srt").mkdir()
    memory = Memory()
    one = write_transcript(store, KEY, "e1", txt="hello", srt="1\n")
    reader(store, memory, mirror, formats=("txt", "srt")).announcement(one)
    assert stat.S_ISREG((out / f"{KEY}.txt").stat().st_mode)
    assert [code for _subject, code in memory.problems] == ["file_unreadable"]


def test_nothing_stays_on_its_way(store: MemoryStore, out: Path) -> None:
    with Mirror(out) as mirror:
        one = write_transcript(store, KEY, "e1", txt="hello")
        for _time in range(3):
            reader(store, Memory(), mirror).announcement(one)
        assert [path.name for path in out.glob(".lfk-*/**/*")] == ["lock", "new"]
    assert {path.name for path in out.iterdir()} == {"simple"}


KILLED = """
import os, signal, sys
from pathlib import Path
from lfk.roles.mirror import Mirror
with Mirror(Path(sys.argv[1])) as mirror:
    mirror.temporary().write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_reader_left_on_its_way_goes_with_the_next_one(out: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert [path.name for path in out.glob(".lfk-*/new/*")] == ["0"]
    with Mirror(out) as mirror:
        assert [path.parent.parent for path in (mirror.temporary(),)] == list(out.glob(".lfk-*"))
    assert list(out.iterdir()) == []


def test_what_was_placed_is_on_the_disk_before_the_place_is_committed(
    store: MemoryStore, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = MemoryBroker(partitions=1)
    announce(broker, *(write_transcript(store, f"simple/tiny/{n}.wav", f"e{n}", txt="text") for n in range(3)))
    events: list[str] = []
    sync, settle = os.fsync, broker.cluster.settle
    monkeypatch.setattr(os, "fsync", lambda file: (events.append("sync"), sync(file))[1])
    monkeypatch.setattr(broker.cluster, "settle", lambda *arguments: (events.append("settle"), settle(*arguments))[1])
    taking = reader(store, Memory(), mirror)
    PlaceKeeper(taking.record, lambda: taking.count.done == 3, secure=taking.flush).run(broker, "readers", TOPIC)
    # Six files and their one folder.
    assert events == [*["sync"] * 7, "settle"]


def test_a_file_that_went_again_is_no_business_of_a_flush(mirror: Mirror, tmp_path: Path, out: Path) -> None:
    for name in ("a/b", "a/c"):
        ready = tmp_path / "ready"
        ready.write_text("x")
        mirror.place(ready, name)
    (out / "a" / "c").unlink()
    mirror.flush()
    assert tree(out) == {"a/b": b"x"}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write into"), Mirror(tmp_path / "file" / "out"):
        pytest.fail("it was entered")


def test_a_mirror_says_what_is_in_the_way(mirror: Mirror, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.write_text("x")
    (mirror.folder / "a").write_text("a file, where a folder is wanted")
    with pytest.raises(FileUnreadable, match="out/a/b"):
        mirror.place(ready, "a/b")


# --- announcements


def test_each_is_shown_once_and_hostile_ones_cost_only_themselves(store: MemoryStore, calls: Calls) -> None:
    broker = MemoryBroker(partitions=1)
    good = write_transcript(store, KEY, "e1", txt="hello")
    failed = Announcement("e2", "failed", 1, error=Failure("audio_empty", "no bytes", "fetch", 1, False))
    stolen = as_dict(good, event_id="e3", files={"txt": "s3://bucket/.lfk/results/secret.json"})
    announce(broker, good, b"\xff not JSON", stolen, good, failed, failed)
    calls.seen.clear()
    memory = Memory()
    taking = reader(store, memory, texts=True, formats=("txt",))
    taking.records(broker.snapshot(TOPIC))
    assert memory.announcements == ["e1", "e2"]
    assert memory.problems == [(f"{TOPIC}/0@1", "malformed_message"), (good.path_to_audio, "forbidden_location")]
    assert memory.texts == [b"hello"]
    assert calls.seen == [("read", f"transcripts/{KEY}.txt")]
    assert (taking.count.done, taking.count.failed, taking.count.problems) == (1, 1, 2)


def test_links_are_made_on_demand(store: MemoryStore) -> None:
    one = write_transcript(store, KEY, "e1", txt="hello", srt="1\n")
    memory = Memory()
    reader(store, memory, link_seconds=60, formats=("srt",)).announcement(one)
    assert memory.links == [str(ROOTS.transcripts.join(f"{KEY}.srt"))]


def test_equal_recordings_share_a_result_and_are_shown_each(store: MemoryStore) -> None:
    write_transcript(store, "simple/tiny/a.wav", "e1", txt="same")
    write_transcript(store, "simple/tiny/b.wav", "e1", txt="same")
    memory = Memory()
    taking = reader(store, memory)
    for one in announcements_in_store(store, JsonCodec(), ROOTS):
        taking.announcement(one)
    assert memory.announcements == ["e1", "e1"]


def test_the_store_alone_tells_what_was_transcribed(store: MemoryStore) -> None:
    announced = [write_transcript(store, f"simple/tiny/{n}.wav", f"e{n}", txt="text") for n in range(3)]
    for name in ("broken.json", "other.json", "notes.txt"):
        store.put(ROOTS.transcripts.join(name), b'{"lfk": {}}', content_type="application/json")
    hostile = store.read(ROOTS.transcripts.join("simple/tiny/0.wav.json"), limit=10**6)[0]
    store.put(
        ROOTS.transcripts.join("simple/tiny/x.wav.json"),
        hostile.replace(b'"duration": 61.0', b'"duration": "long"'),
        content_type="application/json",
    )
    found = list(announcements_in_store(store, JsonCodec(), ROOTS))
    assert [(one.event_id, one.files, one.path_to_audio) for one in found] == [
        (one.event_id, one.files, one.path_to_audio) for one in announced
    ]
    late = found[2].timestamp
    assert [one.event_id for one in announcements_in_store(store, JsonCodec(), ROOTS, late)] == ["e2"]


def test_an_outage_ends_a_single_pass(store: MemoryStore, mirror: Mirror, calls: Calls) -> None:
    one = write_transcript(store, KEY, "e1", txt="hello")

    def away(method: str, location: Location) -> None:
        raise StoreUnreachable("away")

    calls.do = away
    with pytest.raises(StoreUnreachable):
        reader(store, Memory(), mirror).announcement(one)


def test_a_reader_that_follows_waits_an_outage_out(store: MemoryStore, mirror: Mirror, calls: Calls, out: Path) -> None:
    one = write_transcript(store, KEY, "e1", txt="hello")
    outages = iter(range(5))

    def away(method: str, location: Location) -> None:
        if next(outages, None) is not None:
            raise StoreUnreachable("away")

    calls.do = away
    memory = Memory()
    reader(store, memory, mirror, patient=True).announcement(one)
    assert memory.announcements == ["e1"]
    assert memory.problems == []
    assert tree(out)[f"{KEY}.txt"] == b"hello"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", None),
        ("beginning", None),
        ("end", 5000),
        ("1970-01-01T00:01:00+00:00", 60_000),
        ("1970-01-01T00:01:00Z", 60_000),
        ("1970-01-01T01:01:00.5+01:00", 60_500),
        ("1900-01-01T00:00:00Z", 0),
    ],
)
def test_where_to_begin(text: str, start: int | None) -> None:
    assert parse_start(text, 5000) == start


@pytest.mark.parametrize("text", ["yesterday", "12:00", "2026-13-01", "\x00", "9" * 400])
def test_no_time_to_begin_at(text: str) -> None:
    with pytest.raises(UsageError):
        parse_start(text, 5000)


# --- a place of its own


class Applied:
    """Applies announcements; ``run`` keeps going until a number of them has been, or the ``last`` one."""

    def __init__(self, broker: MemoryBroker, last: bytes = b"") -> None:
        self.broker = broker
        self.last = last
        self.values: list[bytes] = []
        self.fail: dict[bytes, Exception] = {}
        self.at: dict[int, Callable[[], None]] = {}
        self.stop = threading.Event()
        self.keeper: PlaceKeeper | None = None

    def apply(self, record: Delivered) -> None:
        value = record.value or b""
        if value in self.fail:
            raise self.fail[value]
        self.values.append(value)
        if value == self.last:
            self.stop.set()
        self.at.get(len(self.values), lambda: None)()

    def run(self, until: int = 0, starts: Mapping[Partition, int] | None = None) -> None:
        if until:
            self.at[until] = self.stop.set
        self.keeper = PlaceKeeper(self.apply, self.stop.is_set, starts)
        self.keeper.run(self.broker, "readers", TOPIC)


def filled(count: int, partitions: int = 2) -> MemoryBroker:
    broker = MemoryBroker(partitions=partitions)
    announce(broker, *(b"%d" % n for n in range(count)))
    return broker


def numbers(values: Sequence[bytes]) -> list[int]:
    return [int(value) for value in values]


def test_a_reader_finds_its_place_again() -> None:
    broker = filled(10)
    first, second = Applied(broker), Applied(broker)
    first.run(until=6)
    second.run(until=4)
    assert sorted(numbers(first.values + second.values)) == list(range(10))


def test_a_new_group_begins_where_it_is_told_and_an_old_one_where_it_was() -> None:
    broker = filled(10, partitions=1)
    start = {Partition(TOPIC, 0): 7}
    first = Applied(broker)
    first.run(until=2, starts=start)
    assert numbers(first.values) == [7, 8]
    second = Applied(broker)
    second.run(until=1, starts={Partition(TOPIC, 0): 0})
    assert numbers(second.values) == [9]


def test_what_was_not_applied_comes_again() -> None:
    broker = filled(4, partitions=1)
    first = Applied(broker)
    first.fail[b"2"] = StoreUnreachable("away")
    with pytest.raises(StoreUnreachable):
        first.run(until=9)
    second = Applied(broker)
    second.run(until=2)
    assert numbers(second.values) == [2, 3]


def test_stopped_while_waiting_for_a_store_it_ends_without_an_error() -> None:
    broker = filled(2, partitions=1)
    first = Applied(broker)

    def stopped(record: Delivered) -> None:
        first.stop.set()
        raise StoreUnreachable("stopped while it was away")

    PlaceKeeper(stopped, first.stop.is_set).run(broker, "readers", TOPIC)
    second = Applied(broker)
    second.run(until=2)
    assert numbers(second.values) == [0, 1]


def test_thrown_out_of_its_group_it_joins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfk.roles.place_keeper._COMMIT_SECONDS", 3600.0)
    broker = filled(6, partitions=1)
    first = Applied(broker, last=b"5")

    def throw_out() -> None:
        assert first.keeper is not None
        broker.evict(first.keeper._member)  # type: ignore[arg-type]

    first.at[3] = throw_out
    first.run()
    # What it had applied and not committed comes again.
    assert numbers(first.values)[:3] == [0, 1, 2]
    assert numbers(first.values)[-6:] == list(range(6))
    assert len(first.values) >= 9


def test_a_second_reader_takes_its_share_from_where_the_first_was() -> None:
    broker = filled(40, partitions=4)
    readers = [Applied(broker), Applied(broker)]
    threads = [threading.Thread(target=one.run) for one in readers]
    threads[0].start()
    wait_until(lambda: len(readers[0].values) == 40)
    threads[1].start()
    wait_until(lambda: all(one.keeper is not None and len(one.keeper._owned) == 2 for one in readers))
    announce(broker, *(b"%d" % n for n in range(100, 140)))
    wait_until(lambda: sum(len(one.values) for one in readers) == 80)
    for one, thread in zip(readers, threads, strict=True):
        one.stop.set()
        thread.join()
    assert sorted(numbers(readers[0].values + readers[1].values)) == [*range(40), *range(100, 140)]


@pytest.mark.parametrize("error", [BrokerUnreachable("away"), SettlementLost("being shared out anew")])
def test_a_commit_that_fails_is_tried_again(error: LfkError, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfk.roles.place_keeper._COMMIT_SECONDS", 0.0)
    broker = filled(4, partitions=1)
    first = Applied(broker)
    first.at[4] = lambda: broker.fail_next_settlement(error, after="nothing")
    keeper = PlaceKeeper(first.apply, lambda: broker.cluster.fault is None and len(first.values) == 4)
    keeper.run(broker, "readers", TOPIC)
    group = broker.member("readers", [TOPIC], _Nobody())
    assert group.committed([Partition(TOPIC, 0)]) == {Partition(TOPIC, 0): Progress(4)}


class _Nobody:
    def assigned(self, committed: Mapping[Partition, Progress | None]) -> Mapping[Partition, int | None]:
        return dict.fromkeys(committed)

    def revoked(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Nothing to let go of."""


def test_a_slow_reader_holds_no_more_than_a_window() -> None:
    broker = filled(1000, partitions=3)
    first = Applied(broker)
    most = 0

    def look() -> None:
        nonlocal most
        assert first.keeper is not None
        most = max(most, len(first.keeper._waiting))

    first.at = dict.fromkeys(range(1, 1000), look)
    first.run(until=1000)
    assert sorted(numbers(first.values)) == list(range(1000))
    assert most <= 201


def test_redelivery_gives_the_same_files(store: MemoryStore, mirror: Mirror, out: Path) -> None:
    broker = MemoryBroker(partitions=1)
    announce(broker, *(write_transcript(store, f"simple/tiny/{n}.wav", f"e{n}", txt=f"text {n}") for n in range(3)))
    for _restart in range(2):
        memory, stop = Memory(), threading.Event()
        taking = reader(store, memory, mirror)

        def apply(record: Delivered, taking: Reader = taking, stop: threading.Event = stop) -> None:
            taking.record(replace(record))
            if taking.count.done == 3:
                stop.set()

        # Another group each time: all of it is delivered again.
        PlaceKeeper(apply, stop.is_set).run(broker, f"readers {_restart}", TOPIC)
    assert {name for name, changed in memory.files if changed} == set()
    assert tree(out)["simple/tiny/2.wav.txt"] == b"text 2"
    assert len(tree(out)) == 6
