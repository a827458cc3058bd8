"""Watching real folders: what is dropped goes up soon, what was missed goes up later, outages are waited out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lfk.core.errors import BrokerUnreachable, BucketMissing, StoreUnreachable, TopicMissing
from lfk.core.location import Location
from lfk.core.patterns import Selection
from lfk.core.retry import RetryPolicy
from lfk.roles import changes as changes_module
from lfk.roles import watch as watch_module
from lfk.roles.changes import Changes, remote_filesystem
from lfk.roles.scan import Found, stamp_of
from lfk.roles.sync_events import Event, FileDone, Marking, Outcome, Paused, Resumed, Summary
from lfk.roles.sync_job import Afterwards
from lfk.roles.watch import Pace, Watcher
from lfk.stores.base import ObjectStore
from lfk.stores.memory import MemoryStore
from tests.integration.syncing import Rig, counted
from tests.integration.test_sync_leaving import transcribe
from tests.waiting import wait_until

#: Far more than anything here takes.
PATIENCE = 20.0


class WatchRig(Rig):
    """A rig whose passes never end by themselves."""

    summary: Summary

    def __init__(self, folder: Path, store: ObjectStore | None = None) -> None:
        super().__init__(folder, store)
        self.listener: Callable[[Event], None] = super()._note

    @contextmanager
    def watching(
        self, *, rescan: float = 600.0, settle: float = 0.3, by: str = "auto", **changes: Any
    ) -> Iterator[Watcher]:
        @contextmanager
        def open_sync(note: Callable[[Event], None]) -> Iterator[Any]:
            self.listener = note
            with self.synchroniser(settle=settle, **changes) as (sync, _files):
                yield sync

        self.failure: Exception | None = None
        self.stop.clear()
        pace = Pace(rescan, by=by)
        watcher = Watcher(self.job(settle=settle, **changes), open_sync, super()._note, self.stop, pace=pace)

        def run() -> None:
            try:
                self.summary = watcher.run()
            except Exception as error:  # noqa: BLE001 - the test looks at it
                self.failure = error

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield watcher
        finally:
            self.stop.set()
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _note(self, event: Event) -> None:
        self.listener(event)

    def found(self, relative: str, data: bytes) -> Found:
        """A file as it is found just after it was written."""
        return Found(relative, stamp_of(self.write(relative, data).stat()))

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        wait_until(condition, lambda: f"{what}: {self.outcomes}")

    def wait_for(self, **outcomes: str) -> None:
        wanted = {name.replace("__", "."): outcome for name, outcome in outcomes.items()}
        self.wait(lambda: wanted.items() <= self.outcomes.items(), str(wanted))

    def sent(self) -> list[str]:
        return [
            reference["path_to_audio"].removeprefix("s3://bucket/audio/") for reference in self.publisher.references
        ]


@pytest.fixture
def rig(tmp_path: Path) -> WatchRig:
    return WatchRig(tmp_path)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a service, made short."""
    monkeypatch.setattr("lfk.roles.outages._WAITS", RetryPolicy(1_000_000, 0.05, 1.0))
    monkeypatch.setattr(watch_module, "_AGAIN", RetryPolicy(1_000_000, 0.05, 1.0))


def test_what_is_there_and_what_is_dropped_goes_up(rig: WatchRig, tmp_path: Path) -> None:
    rig.write("simple/tiny/there.wav")
    with rig.watching():
        rig.wait_for(**{"simple/tiny/there__wav": "new"})
        rig.write("simple/tiny/closed.wav")
        outside = tmp_path / "outside.wav"
        outside.write_bytes(b"moved in")
        outside.rename(rig.source / "moved-in.wav")
        rig.write("simple/tiny/x.wav.part", b"renamed").rename(rig.source / "renamed.wav")
        rig.write("simple/new-folder/deep/y.wav".replace("new-folder", "tiny/new"))
        tree = tmp_path / "tree"
        (tree / "base").mkdir(parents=True)
        (tree / "base" / "z.wav").write_bytes(b"in a tree")
        tree.rename(rig.source / "diarisation")
        rig.wait_for(
            **{
                "simple/tiny/closed__wav": "new",
                "moved-in__wav": "new",
                "renamed__wav": "new",
                "simple/tiny/new/deep/y__wav": "new",
                "diarisation/base/z__wav": "new",
            }
        )
    assert counted(rig.summary) == {"new": 6}
    assert sorted(rig.sent()) == sorted(set(rig.sent()))
    assert rig.object("moved-in.wav")[0] == b"moved in"


def test_a_closed_file_does_not_wait_to_settle(rig: WatchRig) -> None:
    os.utime(rig.write("old.wav"), (1, 1))
    with rig.watching(settle=60.0):
        rig.wait_for(old__wav="new")
        began = time.monotonic()
        rig.write("a.wav")
        rig.wait_for(a__wav="new")
        assert time.monotonic() - began < 5.0


def test_a_file_that_is_written_slowly_goes_up_whole_and_once(rig: WatchRig) -> None:
    with rig.watching(settle=0.05):
        with (rig.source / "a.wav").open("wb", buffering=0) as file:
            for _block in range(10):
                file.write(b"x" * 100)
                time.sleep(0.02)
        rig.wait_for(a__wav="new")
    assert len(rig.object("a.wav")[0]) == 1000
    assert rig.sent() == ["a.wav"]


def test_a_file_that_was_only_just_made_is_not_called_empty(rig: WatchRig) -> None:
    rig.write("there.wav")
    with rig.watching(settle=0.0) as watcher:
        rig.wait_for(there__wav="new")
        rig.wait(lambda: watcher._scanned, "the first scan")
        with (rig.source / "a.wav").open("wb", buffering=0) as file:
            rig.write("b.wav", b"beside it")
            rig.wait_for(b__wav="new")
            file.write(b"at last")
        rig.wait_for(a__wav="new")
    assert counted(rig.summary)["new"] == 3
    assert rig.summary.failed == 0


def test_overwriting_sends_a_new_reference_and_deleting_nothing(rig: WatchRig) -> None:
    path = rig.write("a.wav", b"one")
    with rig.watching():
        rig.wait_for(a__wav="new")
        path.write_bytes(b"three")
        rig.wait_for(a__wav="changed")
        path.unlink()
        rig.write("b.wav")
        rig.wait_for(b__wav="new")
    assert rig.object("a.wav")[0] == b"three"
    assert rig.sent() == ["a.wav", "a.wav", "b.wav"]


def test_a_change_during_the_upload_is_not_missed(tmp_path: Path) -> None:
    def change(method: str, location: Location) -> None:
        if method == "upload" and not changed.is_set():
            changed.set()
            path.write_bytes(b"two")

    changed = threading.Event()
    rig = WatchRig(tmp_path, MemoryStore(on_call=change))
    path = rig.write("a.wav", b"one")
    with rig.watching():
        rig.wait(lambda: rig.sent() and rig.object("a.wav")[0] == b"two", "the second content")


def test_a_tree_that_grows_as_it_is_looked_into_ends_no_watching(tmp_path: Path) -> None:
    """watchdog warns of folders that it finds twice, which would be its thread's end where warnings are errors."""
    source = tmp_path / "rec"
    source.mkdir()
    with Changes(source, Selection(), (), "events") as changes:
        for number in range(300):
            (source / f"{number}/a/b/c").mkdir(parents=True)
        (source / "last.wav").write_bytes(b"speech")
        wait_until(lambda: "last.wav" in changes.take())


def test_what_is_hidden_not_media_not_selected_or_the_stores_own_is_left_alone(rig: WatchRig) -> None:
    with rig.watching(selection=Selection(exclude=("drafts",))):
        for name in ("n.txt", ".h.wav", ".d/x.wav", "drafts/x.wav", "x.wav.crdownload"):
            rig.write(name)
        rig.write("last.wav")
        rig.wait_for(last__wav="new")
    assert rig.outcomes == {"last.wav": "new"}


def test_scans_find_what_no_event_told_of(rig: WatchRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "_observe", lambda _source, _note, **_how: None)
    with rig.watching(rescan=0.1, settle=0.0):
        rig.write("a.wav")
        rig.wait_for(a__wav="new")


def test_scans_alone_can_be_asked_for(rig: WatchRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "_observe", lambda *_how, **_more: pytest.fail("it is watched"))
    with rig.watching(rescan=0.1, settle=0.0, by="scans"):
        rig.write("a.wav")
        rig.wait_for(a__wav="new")


@pytest.mark.parametrize(("by", "live"), [("auto", False), ("events", True), ("scans", False)])
def test_events_can_be_forced_where_a_network_filesystem_may_tell_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, live: bool
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 0:40 / {tmp_path} rw - nfs4 server:/data rw\n")
    monkeypatch.setattr(changes_module, "_MOUNTS", mounts)
    with Changes(tmp_path, Selection(), (), by) as changes:
        assert changes.live is live


class TestSourcesThatLeave:
    def test_each_goes_once_it_is_stored_and_its_name_may_come_again(self, rig: WatchRig, tmp_path: Path) -> None:
        with rig.watching(afterwards=Afterwards(tmp_path / "done")):
            rig.write("simple/tiny/a.wav", b"one")
            rig.wait_for(**{"simple/tiny/a__wav": "new"})
            rig.write("simple/tiny/a.wav", b"two")
            rig.wait_for(**{"simple/tiny/a__wav": "changed"})
            rig.wait(lambda: not (rig.source / "simple/tiny/a.wav").exists(), "the second leaves")
        assert sorted(path.read_bytes() for path in (tmp_path / "done").rglob("*.wav")) == [b"one", b"two"]
        assert counted(rig.summary) == {"new": 1, "changed": 1}

    def test_one_that_comes_while_another_of_its_name_is_found_gone_is_not_missed(self, rig: WatchRig) -> None:
        """As where a scan has listed the first before it left, and comes to it only afterwards."""
        first = rig.found("a.wav", b"one")
        (rig.source / "a.wav").unlink()
        with rig.synchroniser(afterwards=Afterwards()) as (_sync, files):
            files.offer(first, complete=True)
            rig.wait(lambda: not files._events.empty(), "it is found gone")
            files.offer(rig.found("a.wav", b"two"), complete=True)
            files.finish()
        assert rig.outcomes == {"a.wav": "new"}
        assert rig.object("a.wav")[0] == b"two"

    def test_one_that_changes_while_it_is_decided_to_stay_is_not_missed(self, rig: WatchRig) -> None:
        first = rig.found("a.wav", b"one")
        with rig.synchroniser(afterwards=Afterwards(needs_transcript=True)) as (_sync, files):
            files.offer(first, complete=True)
            files.finish()
            files.offer(first, trust=True)
            files.offer(rig.found("a.wav", b"three"), complete=True)
            files.finish()
        assert rig.outcomes == {"a.wav": "changed"}
        assert rig.object("a.wav")[0] == b"three"

    def test_one_that_is_just_being_made_as_another_leaves_is_not_called_empty(self, rig: WatchRig) -> None:
        def write_on(event: Event) -> None:
            if isinstance(event, FileDone) and event.outcome is Outcome.NEW:
                rig.write("a.wav", b"")

        rig.on_event = write_on
        first = rig.found("a.wav", b"one")
        with rig.synchroniser(afterwards=Afterwards()) as (_sync, files):
            files.offer(first, complete=True)
            files.offer(first, complete=True)
            files.finish()
            assert rig.outcomes == {"a.wav": "new"}
            files.offer(rig.found("a.wav", b"two"), complete=True)
            files.finish()
        assert rig.outcomes == {"a.wav": "changed"}

    def test_those_that_wait_for_a_transcript_are_looked_at_in_every_scan(self, rig: WatchRig) -> None:
        with rig.watching(rescan=0.05, afterwards=Afterwards(needs_transcript=True)):
            rig.write("simple/tiny/a.wav", b"one")
            rig.wait_for(**{"simple/tiny/a__wav": "new"})
            time.sleep(0.3)
            assert (rig.source / "simple/tiny/a.wav").exists()
            transcribe(rig, "simple/tiny/a.wav")
            rig.wait(lambda: not (rig.source / "simple/tiny/a.wav").exists(), "it leaves")
        assert counted(rig.summary) == {"new": 1, "unchanged": 1}
        assert rig.sent() == ["simple/tiny/a.wav"]


def test_a_marker_follows_the_folder(rig: WatchRig) -> None:
    def marked() -> list[Marking]:
        return [event for event in rig.events if isinstance(event, Marking)]

    with rig.watching(done_marker="done.txt"):
        rig.write("week1/lesson1/a.wav")
        rig.wait(lambda: any(one.written for one in marked()), "a marker")
        first = rig.object("done.txt")[0]
        rig.write("empty.wav", b"")
        rig.wait(lambda: marked()[-1].lacking == ("empty.wav",), "what lacks")
        rig.write("empty.wav", b"no longer")
        rig.wait(lambda: marked()[-1].written, "another marker")
    assert rig.object("done.txt")[0] != first


def test_later_scans_do_not_ask_the_store_about_confirmed_files(tmp_path: Path) -> None:
    asked: list[str] = []
    rig = WatchRig(
        tmp_path, MemoryStore(on_call=lambda method, at: asked.append(at.name) if method == "stat" else None)
    )
    rig.write("a.wav")
    with rig.watching(rescan=0.05, settle=0.0):
        rig.wait_for(a__wav="new")
        for number in range(3):
            rig.write(f"{number}.wav")
            rig.wait(lambda number=number: f"{number}.wav" in rig.outcomes, "another")
            time.sleep(0.15)
    assert asked.count("a.wav") == 1
    with rig.watching(rescan=0.05, settle=0.0):
        rig.wait_for(a__wav="unchanged")
    assert asked.count("a.wav") == 2


def test_more_names_than_are_kept_are_found_by_a_scan(rig: WatchRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "_LIMIT", 3)
    with rig.watching():
        for number in range(50):
            rig.write(f"{number}.wav")
        rig.wait(lambda: len(rig.outcomes) == 50, "all files")


class TestFailures:
    def test_a_failure_is_told_once_and_does_not_hold_up_others(self, rig: WatchRig) -> None:
        rig.write("simple/gigantic/x.wav")
        (rig.source / "dangling.wav").symlink_to("nowhere")
        with rig.watching(rescan=0.05):
            rig.write("a.wav")
            rig.wait_for(a__wav="new")
            time.sleep(0.3)
        told = [event.name for event in rig.events if isinstance(event, FileDone) and event.error is not None]
        assert sorted(told) == ["dangling.wav", "simple/gigantic/x.wav"]

    def test_a_passing_failure_is_tried_again(self, tmp_path: Path) -> None:
        from lfk.core.errors import StoreFull

        def full(method: str, location: Location) -> None:
            if method == "upload" and (tries.append(location) or len(tries) < 4):
                raise StoreFull("no room")

        tries: list[Location] = []
        rig = WatchRig(tmp_path, MemoryStore(on_call=full))
        rig.write("a.wav")
        with rig.watching():
            rig.wait_for(a__wav="new")
        assert counted(rig.summary) == {"new": 1, "failed": 3}

    def test_a_file_that_changes_is_tried_again_at_once(self, rig: WatchRig) -> None:
        path = rig.write("a.wav", b"")
        with rig.watching(settle=0.0):
            rig.wait_for(a__wav="failed")
            path.write_bytes(b"now there is something")
            rig.wait_for(a__wav="new")


class TestOutages:
    def test_the_store_comes_back(self, tmp_path: Path) -> None:
        def fail(method: str, location: Location) -> None:
            if down.is_set():
                raise StoreUnreachable("gone")

        down = threading.Event()
        rig = WatchRig(tmp_path, MemoryStore(on_call=fail))
        with rig.watching(settle=0.0):
            rig.write("a.wav")
            rig.wait_for(a__wav="new")
            down.set()
            rig.write("b.wav")
            rig.wait(lambda: any(isinstance(event, Paused) for event in rig.events), "a pause")
            rig.write("c.wav")
            down.clear()
            rig.wait_for(b__wav="new", c__wav="new")
        assert any(isinstance(event, Resumed) for event in rig.events)
        assert sorted(rig.sent()) == ["a.wav", "b.wav", "c.wav"]

    def test_the_broker_comes_back_and_what_was_uploaded_is_referred_to(self, rig: WatchRig) -> None:
        rig.publisher.outcome = BrokerUnreachable("gone")
        rig.write("a.wav")
        with rig.watching(settle=0.0):
            rig.wait(lambda: any(isinstance(event, Paused) for event in rig.events), "a pause")
            rig.publisher.outcome = None
            rig.wait_for(a__wav="referred")
        assert rig.sent() == ["a.wav"]

    def test_a_service_starts_while_the_store_is_away(self, tmp_path: Path) -> None:
        def fail(method: str, location: Location) -> None:
            if down.is_set():
                raise StoreUnreachable("gone")

        down = threading.Event()
        down.set()
        rig = WatchRig(tmp_path, MemoryStore(on_call=fail))
        rig.write("a.wav")
        with rig.watching(settle=0.0):
            rig.wait(lambda: any(isinstance(event, Paused) for event in rig.events), "a pause")
            down.clear()
            rig.wait_for(a__wav="new")

    def test_what_waiting_does_not_change_ends_it(self, tmp_path: Path, rig: WatchRig) -> None:
        rig.write("a.wav")
        rig.publisher.refusals = [TopicMissing("no topic")]
        with rig.watching(settle=0.0):
            rig.wait(lambda: rig.failure is not None, "the end")
        assert isinstance(rig.failure, TopicMissing)
        (tmp_path / "2").mkdir()
        other = WatchRig(tmp_path / "2", MemoryStore(buckets=()))
        with other.watching():
            other.wait(lambda: other.failure is not None, "the end")
        assert isinstance(other.failure, BucketMissing)


def test_a_hard_link_is_noticed(rig: WatchRig, tmp_path: Path) -> None:
    original = tmp_path / "o.wav"
    original.write_bytes(b"linked")
    os.utime(original, (1, 1))
    with rig.watching(settle=0.2):
        rig.write("first.wav")
        rig.wait_for(first__wav="new")
        os.link(original, rig.source / "linked.wav")
        rig.wait_for(linked__wav="new")


def test_a_folder_that_goes_and_comes_back_is_watched_again(rig: WatchRig, tmp_path: Path) -> None:
    os.utime(rig.write("old.wav"), (1, 1))
    with rig.watching(rescan=0.05, settle=60.0):
        rig.wait_for(old__wav="new")
        rig.source.rename(tmp_path / "away")
        rig.wait(lambda: "file_unreadable" in rig.failures.values(), "the loss")
        rig.source.mkdir()
        os.utime(rig.write("back.wav"), (1, 1))
        rig.wait_for(back__wav="new")
        rig.write("closed.wav")
        rig.wait_for(closed__wav="new")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/rec", "nfs4"),
        ("/data", "nfs4"),
        ("/data/local/rec", None),
        ("/database", None),
        ("/with space/rec", "fuse.sshfs"),
        ("/", None),
        ("/auto/home/rec", "nfs4"),
        ("/größe/rec", "cifs"),
    ],
)
def test_filesystems_that_tell_nothing_are_known(path: str, kind: str | None) -> None:
    mounts = "\n".join(
        [
            "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
            "30 22 0:40 / /data rw - nfs4 server:/data rw",
            "31 30 8:2 / /data/local rw - xfs /dev/sdb rw",
            r"32 22 0:50 / /with\040space rw - fuse.sshfs host: rw",
            "33 22 0:60 / /auto/home rw - autofs systemd-1 rw",
            "34 33 0:61 / /auto/home rw - nfs4 server:/home rw",
            "35 22 0:62 / /größe rw - cifs //server/share rw",
            "a broken line",
        ]
    )
    assert remote_filesystem(Path(path), mounts) == kind
    assert remote_filesystem(Path(path), "") is None


def test_changes_of_a_folder_that_cannot_be_watched_come_from_scans(tmp_path: Path) -> None:
    with Changes(tmp_path / "missing", Selection(), ()) as changes:
        assert not changes.live
        assert changes.take() == {}


def test_outcomes_of_a_service_are_counted(rig: WatchRig) -> None:
    rig.write("a.wav")
    with rig.watching(settle=0.0):
        rig.wait_for(a__wav="new")
    assert rig.summary.counts[Outcome.NEW] == 1
