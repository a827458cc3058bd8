"""One pass of sync over real folders: what goes up, what is asked for, what is left alone, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from lfk.core.errors import (
    AccessDenied,
    BrokerFull,
    BrokerUnreachable,
    BucketMissing,
    ContentChanged,
    MessageTooLarge,
    StoreUnreachable,
    TopicMissing,
    UsageError,
)
from lfk.core.location import Location, parse_location
from lfk.core.patterns import Selection
from lfk.core.request import Request
from lfk.roles.scan import Misfit, Scan
from lfk.roles.sync_events import BytesMoved, FileDone, FileFound
from lfk.stores.base import SHA256, SOURCE
from lfk.stores.memory import MemoryStore
from tests.integration.syncing import ROOTS, Rig, counted


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_every_file_goes_up_and_is_referred_to_once(rig: Rig) -> None:
    for name in ("simple/tiny/a.wav", "diarisation/base/week1/b.mp4", "c.mp3"):
        rig.write(name, name.encode())
    rig.write("notes.txt")
    rig.write(".hidden/d.wav")
    summary = rig.run()
    assert counted(summary) == {"new": 3}
    assert (summary.size, summary.ignored, summary.outage) == (17 + 28 + 5, 1, None)
    data, info = rig.object("diarisation/base/week1/b.mp4")
    assert data == b"diarisation/base/week1/b.mp4"
    assert (info.content_type, info.metadata[SOURCE]) == ("video/mp4", "alpha:1")
    assert info.metadata[SHA256] == hashlib.sha256(data).hexdigest()
    by_path = {reference["path_to_audio"]: reference for reference in rig.publisher.references}
    assert len(by_path) == len(rig.publisher.records) == 3
    reference = by_path["s3://bucket/audio/diarisation/base/week1/b.mp4"]
    assert reference.pop("timestamp") > 0
    assert reference == {
        "path_to_audio": "s3://bucket/audio/diarisation/base/week1/b.mp4",
        "final": True,
        "etag": info.etag,
        "sha256": info.metadata[SHA256],
        "size": 28,
        "content_type": "video/mp4",
    }
    assert {record.key for record in rig.publisher.records} == {path.encode() for path in by_path}


def test_flags_travel_in_the_message(rig: Rig) -> None:
    rig.write("simple/tiny/a.wav")
    rig.run(request=Request("diarisation", "base", "de", {"min_speakers": "2"}))
    reference = rig.publisher.references[0]
    assert reference["transcription_approach"] == "diarisation.base"
    assert (reference["language"], reference["options"]) == ("de", {"min_speakers": "2"})


class TestAgain:
    def test_unchanged_files_are_neither_read_nor_sent(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        rig.write("a.wav")
        rig.run()
        monkeypatch.setattr(Path, "open", _refuse)
        assert counted(rig.run()) == {"unchanged": 1}
        assert len(rig.publisher.records) == 1

    def test_without_the_memory_the_reference_goes_out_again_but_not_the_file(self, rig: Rig) -> None:
        rig.write("a.wav")
        rig.run()
        rig.state.unlink()
        before = rig.object("a.wav")[1]
        assert counted(rig.run()) == {"referred": 1}
        assert rig.object("a.wav")[1] == before
        assert len(rig.publisher.records) == 2
        assert counted(rig.run()) == {"unchanged": 1}

    def test_a_damaged_memory_is_begun_anew(self, rig: Rig) -> None:
        rig.write("a.wav")
        rig.state.write_bytes(b"not a database at all" * 100)
        assert counted(rig.run()) == {"new": 1}
        assert counted(rig.run()) == {"unchanged": 1}

    def test_a_changed_file_replaces_its_own_object(self, rig: Rig) -> None:
        path = rig.write("a.wav", b"one")
        rig.run()
        path.write_bytes(b"two")
        assert counted(rig.run()) == {"changed": 1}
        assert rig.object("a.wav")[0] == b"two"
        assert rig.publisher.references[1]["sha256"] == hashlib.sha256(b"two").hexdigest()

    def test_a_touched_file_is_read_and_left_alone(self, rig: Rig) -> None:
        path = rig.write("a.wav")
        rig.run()
        os.utime(path, (1, 1))
        assert counted(rig.run()) == {"unchanged": 1}

    def test_a_copy_over_it_that_keeps_size_and_time_is_noticed(self, rig: Rig) -> None:
        path = rig.write("a.wav", b"one")
        times = path.stat()
        rig.run()
        path.write_bytes(b"two")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert counted(rig.run()) == {"changed": 1}

    def test_an_object_that_was_deleted_goes_up_again(self, rig: Rig) -> None:
        rig.write("a.wav")
        rig.run()
        rig.store.delete(rig.location("a.wav"))
        assert counted(rig.run()) == {"new": 1}

    def test_asking_for_something_else_sends_a_new_reference_only(self, rig: Rig) -> None:
        rig.write("a.wav")
        rig.run()
        assert counted(rig.run(request=Request(model="base"))) == {"referred": 1}
        assert counted(rig.run(request=Request(model="base"))) == {"unchanged": 1}

    def test_an_unconfirmed_reference_goes_out_again(self, rig: Rig) -> None:
        rig.write("a.wav")
        rig.publisher.outcome = MessageTooLarge("too large")
        assert counted(rig.run()) == {"failed": 1}
        rig.publisher.outcome = None
        assert counted(rig.run()) == {"referred": 1}
        assert len(rig.publisher.records) == 1


class TestOtherSources:
    def test_other_content_from_another_machine_is_a_conflict(self, rig: Rig) -> None:
        rig.write("a.wav", b"one")
        rig.run(identity="beta:2")
        rig.write("a.wav", b"two")
        rig.write("b.wav", b"two")
        assert counted(rig.run()) == {"new": 1, "failed": 1}
        assert rig.failures == {"a.wav": "source_conflict"}
        assert rig.object("a.wav")[0] == b"one"
        assert counted(rig.run(prefix="alpha")) == {"new": 2}
        assert rig.object("alpha/a.wav")[0] == b"two"

    def test_the_same_content_from_another_machine_is_none(self, rig: Rig) -> None:
        rig.write("a.wav", b"one")
        rig.run(identity="beta:2")
        rig.state.unlink()
        assert counted(rig.run()) == {"referred": 1}
        assert rig.object("a.wav")[1].metadata[SOURCE] == "beta:2"

    def test_an_object_of_unknown_origin_is_left_alone(self, rig: Rig) -> None:
        rig.store.put(rig.location("a.wav"), b"theirs", content_type="audio/wav")
        rig.write("a.wav", b"ours")
        rig.run()
        assert rig.failures == {"a.wav": "source_conflict"}
        assert "lfk submit" in rig.done["a.wav"].error.hint
        assert rig.object("a.wav")[0] == b"theirs"

    @pytest.mark.parametrize(("theirs", "outcome"), [(b"same", "referred"), (b"else", "failed")])
    def test_a_race_that_is_lost_is_looked_at_again(self, tmp_path: Path, theirs: bytes, outcome: str) -> None:
        def race(method: str, location: Location) -> None:
            if method == "upload" and not raced:
                raced.append(location)
                metadata = {SOURCE: "beta:2", SHA256: hashlib.sha256(theirs).hexdigest()}
                store.put(location, theirs, content_type="audio/wav", metadata=metadata)

        raced: list[Location] = []
        store = MemoryStore(on_call=race)
        rig = Rig(tmp_path, store)
        rig.write("a.wav", b"same")
        assert counted(rig.run()) == {outcome: 1}
        assert rig.object("a.wav")[0] == theirs


class TestBadInput:
    def test_what_goes_while_its_folder_is_read_is_nobodys_failure(self, rig: Rig) -> None:
        """As where another sync takes it away; a link to nothing is another matter."""
        for name in ("a.wav", "b.wav", "d.wav"):
            rig.write(name)
        (rig.source / "c.wav").symlink_to("nowhere")
        walk = iter(Scan(rig.source, Selection(), frozenset()))
        found = [next(walk).relative]
        (rig.source / "b.wav").unlink()
        rest = list(walk)
        assert [*found, *(one.relative for one in rest)] == ["a.wav", "c.wav", "d.wav"]
        assert [isinstance(one, Misfit) for one in rest] == [True, False]

    def test_each_gets_one_line_and_the_rest_goes_on(self, rig: Rig) -> None:
        rig.write("good.wav")
        rig.write("empty.wav", b"")
        rig.write("simple/gigantic/x.wav")
        rig.write("folder.wav/inside.wav")
        (rig.source / "dangling.wav").symlink_to("nowhere")
        (rig.source / "self.wav").symlink_to("self.wav")
        (rig.source / "loop").symlink_to(rig.source)
        os.mkfifo(rig.source / "pipe.wav")
        with socket.socket(socket.AF_UNIX) as listener:
            before = Path.cwd()
            os.chdir(rig.source)
            try:
                listener.bind("socket.wav")
            finally:
                os.chdir(before)
        (Path(os.fsdecode(os.fsencode(rig.source) + b"/bad\xff.wav"))).write_bytes(b"x")
        summary = rig.run()
        assert rig.failures == {
            "empty.wav": "audio_empty",
            "simple/gigantic/x.wav": "unknown_model",
            "folder.wav": "file_unreadable",
            "dangling.wav": "file_unreadable",
            "self.wav": "file_unreadable",
            "loop": "file_unreadable",
            "pipe.wav": "file_unreadable",
            "socket.wav": "file_unreadable",
            "bad\\xff.wav": "invalid_location",
        }
        assert counted(summary) == {"new": 2, "failed": 9}
        names = [event.name for event in rig.events if isinstance(event, FileDone)]
        assert len(names) == len(set(names)) == 11
        assert {reference["path_to_audio"] for reference in rig.publisher.references} == {
            "s3://bucket/audio/good.wav",
            "s3://bucket/audio/folder.wav/inside.wav",
        }

    def test_keys_that_are_too_long(self, rig: Rig) -> None:
        deep = "/".join(["d" * 250] * 5)
        rig.write(f"{deep}/x.wav")
        rig.write("ok.wav")
        rig.run()
        assert rig.failures == {f"{deep}/x.wav": "invalid_location"}

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_files_and_folders_without_permission(self, rig: Rig) -> None:
        rig.write("locked.wav").chmod(0)
        rig.write("closed/x.wav").parent.chmod(0)
        rig.write("ok.wav")
        try:
            rig.run()
        finally:
            (rig.source / "closed").chmod(0o700)
        assert rig.failures == {"locked.wav": "file_unreadable", "closed": "file_unreadable"}

    def test_a_file_that_may_not_be_read(self, tmp_path: Path) -> None:
        def deny(method: str, location: Location) -> None:
            if method == "upload" and location.name == "a.wav":
                raise PermissionError(errno.EACCES, "Permission denied")

        rig = Rig(tmp_path, MemoryStore(on_call=deny))
        rig.write("a.wav")
        rig.write("b.wav")
        rig.run()
        assert rig.outcomes == {"a.wav": "failed", "b.wav": "new"}
        assert rig.done["a.wav"].error.message == "no permission to read it"

    def test_a_file_that_vanishes(self, tmp_path: Path) -> None:
        store = MemoryStore(
            on_call=lambda method, _location: path.unlink(missing_ok=True) if method == "stat" else None
        )
        rig = Rig(tmp_path, store)
        path = rig.write("a.wav")
        rig.run()
        assert rig.failures == {"a.wav": "file_unreadable"}

    def test_a_file_that_the_store_refuses(self, tmp_path: Path) -> None:
        def deny(method: str, location: Location) -> None:
            if method == "upload" and location.name == "a.wav":
                raise AccessDenied("not yours")

        rig = Rig(tmp_path, MemoryStore(on_call=deny))
        rig.write("a.wav")
        rig.write("b.wav")
        assert counted(rig.run()) == {"new": 1, "failed": 1}
        assert rig.failures == {"a.wav": "access_denied"}


class TestStillBeingWritten:
    def test_a_file_that_grows_for_ever_is_named(self, tmp_path: Path) -> None:
        def grow(method: str, location: Location) -> None:
            if method == "stat":
                with path.open("ab") as file:
                    file.write(b"more")

        rig = Rig(tmp_path, MemoryStore(on_call=grow))
        path = rig.write("a.wav")
        rig.run()
        assert rig.failures == {"a.wav": "content_changed"}
        assert "still being written" in rig.done["a.wav"].error.message
        assert rig.publisher.records == []

    def test_a_file_that_changes_once_goes_up_as_it_became(self, tmp_path: Path) -> None:
        def grow(method: str, location: Location) -> None:
            if method == "stat" and not grown:
                grown.append(True)
                path.write_bytes(b"complete")

        grown: list[bool] = []
        rig = Rig(tmp_path, MemoryStore(on_call=grow))
        path = rig.write("a.wav")
        assert counted(rig.run()) == {"new": 1}
        assert rig.object("a.wav")[0] == b"complete"

    def test_the_store_may_notice_it(self, tmp_path: Path) -> None:
        def change(method: str, location: Location) -> None:
            if method == "upload" and not changed:
                changed.append(True)
                raise ContentChanged("changed")

        changed: list[bool] = []
        rig = Rig(tmp_path, MemoryStore(on_call=change))
        rig.write("a.wav")
        assert counted(rig.run()) == {"new": 1}

    def test_a_fresh_file_is_waited_for_and_an_old_one_is_not(self, rig: Rig) -> None:
        os.utime(rig.write("old.wav"), (1, 1))
        rig.write("fresh.wav")
        os.utime(rig.write("future.wav"), (2e9, 2e9))
        rig.run(settle=0.3)
        assert rig.outcomes == {"old.wav": "new", "fresh.wav": "new", "future.wav": "new"}
        assert next(iter(rig.outcomes)) == "old.wav"
        assert rig.done["old.wav"].seconds < 0.3 <= rig.done["future.wav"].seconds


class TestOutages:
    @pytest.mark.parametrize("error", [StoreUnreachable("gone"), BucketMissing("gone")])
    def test_the_store(self, tmp_path: Path, error: Exception) -> None:
        def fail(method: str, location: Location) -> None:
            calls.append(method)
            if method in ("stat", "upload"):
                raise error

        calls: list[str] = []
        rig = Rig(tmp_path, MemoryStore(on_call=fail))
        for number in range(600):
            rig.write(f"{number}.wav")
        summary = rig.run(transfers=2)
        assert summary.outage is error
        assert (summary.failed, rig.publisher.records) == (0, [])
        assert calls.count("stat") + calls.count("upload") < 600
        assert summary.left > 0

    @pytest.mark.parametrize("error", [BrokerUnreachable("gone"), TopicMissing("none")])
    @pytest.mark.parametrize("when", ["sent", "confirmed"])
    def test_the_broker(self, rig: Rig, error: Any, when: str) -> None:
        for number in range(600):
            rig.write(f"{number}.wav")
        if when == "sent":
            rig.publisher.refusals = [error] * 600
        else:
            rig.publisher.outcome = error
        summary = rig.run(transfers=2)
        assert summary.outage is error
        rig.publisher.refusals.clear()
        rig.publisher.outcome = None
        after = counted(rig.run())
        assert sum(after.values()) == len(rig.publisher.records) == 600

    def test_a_file_that_waits_to_be_looked_at_again_holds_nothing_up(self, tmp_path: Path) -> None:
        def fail(method: str, location: Location) -> None:
            if method == "stat" and location.name == "b.wav":
                waits.wait(10)
                raise StoreUnreachable("gone")
            if method == "upload":
                waits.set()
                raise ContentChanged("changed")

        waits = threading.Event()
        rig = Rig(tmp_path, MemoryStore(on_call=fail))
        rig.write("a.wav")
        rig.write("b.wav")
        assert rig.run(settle=0.0).left == 2

    def test_a_store_that_is_out_of_reach_at_once(self, tmp_path: Path) -> None:
        def fail(method: str, location: Location) -> None:
            raise StoreUnreachable("gone")

        rig = Rig(tmp_path, MemoryStore(on_call=fail))
        with pytest.raises(StoreUnreachable):
            rig.run()

    def test_a_missing_bucket_is_not_made_by_sync(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path, MemoryStore(buckets=()))
        with pytest.raises(BucketMissing):
            rig.run()

    def test_a_full_broker_is_waited_for(self, rig: Rig) -> None:
        rig.write("a.wav")
        rig.publisher.refusals = [BrokerFull("full"), BrokerFull("full")]
        assert counted(rig.run()) == {"new": 1}


class TestStop:
    def test_what_is_under_way_ends_and_nothing_is_lost(self, rig: Rig) -> None:
        for number in range(600):
            rig.write(f"{number}.wav", b"x" * 100)
        rig.on_event = lambda event: rig.stop.set() if isinstance(event, FileDone) else None
        summary = rig.run()
        done = sum(summary.counts.values())
        assert 0 < done < 600
        assert summary.failed == 0
        rig.stop.clear()
        rig.on_event = lambda _event: None
        after = counted(rig.run())
        assert sum(after.values()) == 600
        assert len(rig.publisher.records) >= 600
        assert len({record.key for record in rig.publisher.records}) == 600

    def test_an_upload_is_broken_off(self, tmp_path: Path) -> None:
        begun = threading.Event()

        class Slow(MemoryStore):
            def upload(self, path: Path, location: Location, **how: Any) -> Any:
                begun.set()
                while True:
                    how["progress"](1)
                    threading.Event().wait(0.01)

        rig = Rig(tmp_path, Slow())
        rig.write("a.wav")
        threading.Thread(target=lambda: (begun.wait(10), rig.stop.set()), daemon=True).start()
        summary = rig.run()
        assert (summary.left, rig.done) == (1, {})


class TestDryRun:
    def test_nothing_is_changed(self, rig: Rig) -> None:
        rig.write("a.wav", b"one")
        rig.write("b.wav", b"one")
        rig.run()
        rig.write("a.wav", b"two")
        rig.write("c.wav", b"new")
        rig.write("simple/x.wav")
        assert counted(rig.run(dry_run=True)) == {"new": 1, "changed": 1, "unchanged": 1, "failed": 1}
        assert rig.object("a.wav")[0] == b"one"
        assert len(rig.publisher.records) == 2
        assert counted(rig.run()) == {"new": 1, "changed": 1, "unchanged": 1, "failed": 1}


class TestSelection:
    def test_patterns(self, rig: Rig) -> None:
        for name in ("a.wav", "b.mp3", "drafts/c.wav", "drafts/d/e.wav"):
            rig.write(name)
        rig.run(selection=Selection(include=("*.wav",), exclude=("drafts",)))
        assert rig.outcomes == {"a.wav": "new"}

    def test_the_store_inside_the_folder_is_no_source(self, tmp_path: Path) -> None:
        from dataclasses import replace

        roots = replace(
            ROOTS,
            audio=parse_location(f"file://{tmp_path}/rec/lfk-data/audio/"),
            transcripts=parse_location(f"file://{tmp_path}/rec/lfk-data/transcripts/"),
            records=parse_location(f"file://{tmp_path}/rec/lfk-data/.lfk/"),
        )
        rig = Rig(tmp_path, roots=roots)
        rig.write("lfk-data/audio/old.wav")
        rig.write("a.wav")
        (rig.source / "link").symlink_to(rig.source / "lfk-data" / "audio")
        rig.run()
        assert rig.outcomes == {"a.wav": "new"}

    @pytest.mark.parametrize("below", ["", "simple/tiny"])
    def test_the_store_is_not_synced_into_itself(self, tmp_path: Path, below: str) -> None:
        from dataclasses import replace

        rig = Rig(tmp_path, roots=replace(ROOTS, audio=parse_location(f"file://{tmp_path}/rec/")))
        rig.source = rig.source / below
        rig.source.mkdir(parents=True, exist_ok=True)
        with pytest.raises(UsageError):
            rig.run()

    def test_links_are_followed(self, rig: Rig, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "x.wav").write_bytes(b"x")
        (rig.source / "lent").symlink_to(elsewhere)
        (rig.source / "y.wav").symlink_to(elsewhere / "x.wav")
        rig.run()
        assert rig.outcomes == {"lent/x.wav": "new", "y.wav": "new"}


def test_progress_adds_up_to_the_bytes_of_every_file(rig: Rig) -> None:
    for number in range(20):
        rig.write(f"{number}.wav", b"x" * (number + 1))
    rig.write("empty.wav", b"")
    for _pass in range(2):
        rig.run()
        found = [event.size for event in rig.events if isinstance(event, FileFound)]
        assert sum(found) == sum(event.size for event in rig.events if isinstance(event, BytesMoved)) == 210
        assert len(found) == sum(isinstance(event, FileDone) for event in rig.events) == 21


def _refuse(*_arguments: Any) -> Any:
    raise AssertionError("the file was read")
