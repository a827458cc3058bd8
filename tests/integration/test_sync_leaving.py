"""Sources that are to leave once their copy is verified: what goes, what stays, and what is never lost."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfk.core.errors import AccessDenied, BrokerUnreachable, StoreUnreachable
from lfk.core.location import Location, parse_location
from lfk.core.manifest import AudioVersion, Rendering, StoredResult
from lfk.core.request import Request
from lfk.core.sync_plan import Content
from lfk.core.transcript import Transcript
from lfk.roles import taking_away
from lfk.roles.results import Results
from lfk.roles.scan import stamp_of
from lfk.roles.sync_events import Summary
from lfk.roles.sync_job import Afterwards
from lfk.stores.base import Capabilities
from lfk.stores.folder import FolderStore
from lfk.stores.memory import MemoryStore
from tests.integration.syncing import ROOTS, Rig, counted

DELETE = Afterwards()
AFTER_TRANSCRIPT = Afterwards(needs_transcript=True)


class Unchecked(MemoryStore):
    """A store that compares nothing with a checksum, and counts what is read back."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.read_back = 0

    def capabilities(self, prefix: Location) -> Capabilities:
        return replace(super().capabilities(prefix), verifies_checksums=False)

    def download(self, location: Location, path: Path, **how: Any) -> Any:
        self.read_back += 1
        return super().download(location, path, **how)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def fates(summary: Summary) -> dict[str, int]:
    return {fate.value: count for fate, count in summary.fates.items() if count}


def left(rig: Rig) -> list[str]:
    return sorted(path.relative_to(rig.source).as_posix() for path in rig.source.rglob("*") if not path.is_dir())


def transcribe(rig: Rig, relative: str, **changes: Any) -> None:
    """Put what a hub would have put there for the object of ``relative``."""
    location = rig.location(relative)
    data, info = rig.store.read(location, limit=1 << 20)
    address = Request().resolve(str(location), rig.roots)
    sha256 = changes.get("sha256", hashlib.sha256(data).hexdigest())
    audio = AudioVersion(info.etag, info.size, sha256, info.modified)
    result = StoredResult("event", "job", Transcript(language="en", duration=1.0, segments=()), provenance={})
    results = Results(rig.store, rig.roots)
    results.publish(results.claim(address), address, audio, result, Rendering(("txt", "json"), True, 0.5))


class TestDelete:
    def test_what_is_stored_and_referred_to_goes(self, rig: Rig) -> None:
        rig.write("simple/tiny/a.wav", b"one")
        rig.write("empty.wav", b"")
        summary = rig.run(afterwards=DELETE)
        assert (counted(summary), fates(summary)) == ({"new": 1, "failed": 1}, {"deleted": 1})
        assert left(rig) == ["empty.wav"]
        assert rig.object("simple/tiny/a.wav")[0] == b"one"
        assert (rig.source / "simple" / "tiny").is_dir()
        assert len(rig.publisher.records) == 1

    def test_what_was_sent_before_goes_too(self, rig: Rig) -> None:
        for number in range(20):
            rig.write(f"{number}.wav")
        rig.run()
        summary = rig.run(afterwards=DELETE)
        assert (counted(summary), fates(summary), left(rig)) == ({"unchanged": 20}, {"deleted": 20}, [])

    def test_a_dry_run_deletes_nothing(self, rig: Rig) -> None:
        rig.write("a.wav")
        rig.run()
        rig.run(afterwards=DELETE, dry_run=True)
        assert left(rig) == ["a.wav"]

    def test_a_conflict_keeps_the_source(self, rig: Rig) -> None:
        rig.write("a.wav", b"one")
        rig.run(identity="beta:2")
        rig.write("a.wav", b"two")
        assert counted(rig.run(afterwards=DELETE)) == {"failed": 1}
        assert (rig.failures, left(rig)) == ({"a.wav": "source_conflict"}, ["a.wav"])

    def test_without_a_confirmed_reference_it_stays(self, rig: Rig) -> None:
        rig.write("a.wav")
        rig.publisher.outcome = BrokerUnreachable("gone")
        rig.run(afterwards=DELETE)
        assert left(rig) == ["a.wav"]
        rig.publisher.outcome = None
        assert counted(rig.run(afterwards=DELETE)) == {"referred": 1}
        assert left(rig) == []

    def test_an_object_that_is_exchanged_meanwhile_is_looked_at_again(self, tmp_path: Path) -> None:
        def exchange(method: str, location: Location) -> None:
            if method == "stat" and rig.publisher.records and not exchanged:
                exchanged.append(True)
                rig.store.put(location, b"theirs", content_type="audio/wav")

        exchanged: list[bool] = []
        rig = Rig(tmp_path, MemoryStore(on_call=exchange))
        rig.write("a.wav", b"ours")
        rig.run(afterwards=DELETE)
        assert (rig.failures, left(rig)) == ({"a.wav": "source_conflict"}, ["a.wav"])

    def test_an_object_that_is_deleted_meanwhile_goes_up_again_first(self, tmp_path: Path) -> None:
        def remove(method: str, location: Location) -> None:
            if method == "stat" and rig.publisher.records and not removed:
                removed.append(True)
                rig.store.delete(location)

        removed: list[bool] = []
        rig = Rig(tmp_path, MemoryStore(on_call=remove))
        rig.write("a.wav", b"ours")
        rig.run(afterwards=DELETE)
        assert (rig.object("a.wav")[0], left(rig)) == (b"ours", [])

    def test_a_file_that_is_written_again_meanwhile_goes_up_again_first(self, tmp_path: Path) -> None:
        def rewrite(method: str, location: Location) -> None:
            if method == "stat" and rig.publisher.records and not rewritten:
                rewritten.append(True)
                rig.write("a.wav", b"another")

        rewritten: list[bool] = []
        rig = Rig(tmp_path, MemoryStore(on_call=rewrite))
        rig.write("a.wav", b"one")
        rig.run(afterwards=DELETE)
        assert (rig.object("a.wav")[0], left(rig)) == (b"another", [])
        assert len(rig.publisher.records) == 2

    def test_links_and_what_lies_behind_them_stay(self, rig: Rig, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "x.wav").write_bytes(b"x")
        (rig.source / "lent").symlink_to(elsewhere)
        (rig.source / "y.wav").symlink_to(elsewhere / "x.wav")
        summary = rig.run(afterwards=DELETE)
        assert (counted(summary), fates(summary)) == ({"new": 2}, {"kept": 2})
        assert (elsewhere / "x.wav").exists()
        assert (rig.source / "y.wav").is_symlink()

    def test_an_outage_before_the_look_keeps_it(self, tmp_path: Path) -> None:
        def fail(method: str, location: Location) -> None:
            if method == "stat" and rig.publisher.records:
                raise StoreUnreachable("gone")

        rig = Rig(tmp_path, MemoryStore(on_call=fail))
        rig.write("a.wav")
        summary = rig.run(afterwards=DELETE)
        assert (summary.left, left(rig)) == (1, ["a.wav"])
        assert summary.outage is not None

    def test_a_file_that_cannot_be_deleted_is_named(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: Path, target: Path) -> Path:
            raise PermissionError(13, "Permission denied")

        rig.write("a.wav")
        monkeypatch.setattr(Path, "rename", refuse)
        rig.run(afterwards=DELETE)
        assert (rig.failures, left(rig)) == ({"a.wav": "file_unreadable"}, ["a.wav"])
        assert rig.done["a.wav"].error.message == "a.wav cannot be deleted: Permission denied"


class TestVerification:
    def test_a_store_that_compares_checksums_need_not_be_read(self, tmp_path: Path) -> None:
        def refuse(method: str, location: Location) -> None:
            assert method != "download"

        rig = Rig(tmp_path, MemoryStore(on_call=refuse))
        rig.write("a.wav")
        rig.run(afterwards=DELETE)
        assert left(rig) == []

    def test_another_is_read_back(self, tmp_path: Path) -> None:
        store = Unchecked()
        rig = Rig(tmp_path, store)
        rig.write("a.wav")
        rig.run(afterwards=DELETE)
        assert (store.read_back, left(rig)) == (1, [])

    def test_a_copy_of_somebody_else_is_read_back(self, tmp_path: Path) -> None:
        class Counted(Unchecked):
            capabilities = MemoryStore.capabilities

        store = Counted()
        rig = Rig(tmp_path, store)
        rig.write("a.wav")
        rig.run(identity="beta:2")
        rig.run(afterwards=DELETE)
        assert (store.read_back, left(rig)) == (1, [])

    def test_who_may_not_try_the_store_out_reads_it_back(self, tmp_path: Path) -> None:
        class Closed(Unchecked):
            def capabilities(self, prefix: Location) -> Capabilities:
                raise AccessDenied("read and write recordings only")

        store = Closed()
        rig = Rig(tmp_path, store)
        rig.write("a.wav")
        rig.run(afterwards=DELETE)
        assert (store.read_back, left(rig)) == (1, [])

    def test_a_copy_that_rots_keeps_the_source(self, tmp_path: Path) -> None:
        class Rotten(Unchecked):
            def download(self, location: Location, path: Path, **how: Any) -> Any:
                info, _sha256 = super().download(location, path, **how)
                return info, hashlib.sha256(b"rotten").hexdigest()

        rig = Rig(tmp_path, Rotten())
        rig.write("a.wav")
        rig.run(afterwards=DELETE)
        assert (rig.failures, left(rig)) == ({"a.wav": "store_error"}, ["a.wav"])

    def test_a_copy_in_a_folder_that_was_written_over_keeps_the_source(self, tmp_path: Path) -> None:
        place = f"file://{tmp_path}/store"
        roots = replace(
            ROOTS,
            audio=parse_location(f"{place}/audio/"),
            transcripts=parse_location(f"{place}/transcripts/"),
            records=parse_location(f"{place}/.lfk/"),
        )
        rig = Rig(tmp_path, FolderStore(parse_location(f"{place}/")), roots)
        rig.write("a.wav", b"good")
        rig.run()
        stored = tmp_path / "store" / "audio" / "a.wav"
        times = stored.stat()
        stored.write_bytes(b"evil")
        os.utime(stored, ns=(times.st_atime_ns, times.st_mtime_ns))
        rig.run(afterwards=DELETE)
        assert (rig.failures, left(rig)) == ({"a.wav": "store_error"}, ["a.wav"])
        assert "does not hold what was uploaded" in rig.done["a.wav"].error.message


class TestAfterTranscript:
    def test_it_goes_only_with_a_whole_transcript_of_these_bytes(self, rig: Rig) -> None:
        rig.write("simple/tiny/a.wav", b"one")
        rig.write("simple/tiny/b.wav", b"two")
        assert fates(rig.run(afterwards=AFTER_TRANSCRIPT)) == {"kept": 2}
        transcribe(rig, "simple/tiny/a.wav")
        transcribe(rig, "simple/tiny/b.wav", sha256="0" * 64)
        assert fates(rig.run(afterwards=AFTER_TRANSCRIPT)) == {"deleted": 1, "kept": 1}
        assert left(rig) == ["simple/tiny/b.wav"]

    def test_a_half_written_transcript_is_none(self, rig: Rig) -> None:
        rig.write("simple/tiny/a.wav", b"one")
        rig.run()
        transcribe(rig, "simple/tiny/a.wav")
        rig.store.delete(rig.roots.transcripts.join("simple/tiny/a.wav.txt"))
        assert fates(rig.run(afterwards=AFTER_TRANSCRIPT)) == {"kept": 1}
        rig.store.put(rig.roots.transcripts.join("simple/tiny/a.wav.txt"), b"else", content_type="text/plain")
        assert fates(rig.run(afterwards=AFTER_TRANSCRIPT)) == {"kept": 1}

    def test_a_transcript_under_a_marked_name_counts(self, rig: Rig) -> None:
        owner = rig.roots.records.join("owners/simple/tiny/a.wav")
        rig.store.put(owner, b"s3://bucket/audio/another", content_type="text/plain")
        rig.write("simple/tiny/a.wav", b"one")
        rig.run()
        transcribe(rig, "simple/tiny/a.wav")
        assert fates(rig.run(afterwards=AFTER_TRANSCRIPT)) == {"deleted": 1}

    def test_a_transcript_of_another_model_does_not_count(self, rig: Rig) -> None:
        rig.write("simple/tiny/a.wav", b"one")
        rig.run()
        transcribe(rig, "simple/tiny/a.wav")
        request = Request("simple", "base")
        assert fates(rig.run(request=request, afterwards=AFTER_TRANSCRIPT)) == {"kept": 1}

    @pytest.mark.parametrize("listed", ["s3://elsewhere/x.txt", "nonsense"])
    def test_files_that_lie_elsewhere_are_not_taken_for_a_transcript(
        self, rig: Rig, listed: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rig.write("simple/tiny/a.wav", b"one")
        rig.run()
        transcribe(rig, "simple/tiny/a.wav")
        at = rig.roots.transcripts.join("simple/tiny/a.wav.json")
        data, _info = rig.store.read(at, limit=1 << 20)
        place = str(rig.roots.transcripts.join("simple/tiny/a.wav.txt"))
        rig.store.put(at, data.replace(place.encode(), listed.encode()), content_type="application/json")
        assert fates(rig.run(afterwards=AFTER_TRANSCRIPT)) == {"kept": 1}


class TestMove:
    @pytest.fixture
    def done(self, tmp_path: Path) -> Path:
        return tmp_path / "done"

    def test_the_tree_is_kept(self, rig: Rig, done: Path) -> None:
        rig.write("simple/tiny/ä/a.wav", b"one")
        rig.write("b.wav", b"two")
        assert fates(rig.run(afterwards=Afterwards(done))) == {"moved": 2}
        assert left(rig) == []
        assert (done / "simple/tiny/ä/a.wav").read_bytes() == b"one"
        assert (done / "b.wav").read_bytes() == b"two"

    def test_nothing_there_is_overwritten(self, rig: Rig, done: Path) -> None:
        done.mkdir()
        (done / "a.wav").write_bytes(b"another")
        rig.write("a.wav", b"one")
        rig.run(afterwards=Afterwards(done))
        mark = hashlib.sha256(b"one").hexdigest()[:8]
        assert {path.name: path.read_bytes() for path in done.iterdir()} == {
            "a.wav": b"another",
            f"a~{mark}.wav": b"one",
        }

    def test_what_is_there_already_is_not_kept_twice(self, rig: Rig, done: Path) -> None:
        done.mkdir()
        (done / "a.wav").write_bytes(b"one")
        rig.write("a.wav", b"one")
        assert fates(rig.run(afterwards=Afterwards(done))) == {"moved": 1}
        assert [path.name for path in done.iterdir()] == ["a.wav"]
        assert left(rig) == []

    def test_a_folder_inside_the_source_is_no_source(self, rig: Rig) -> None:
        done = rig.source / "done"
        done.mkdir()
        rig.write("a.wav", b"one")
        afterwards = Afterwards(done)
        rig.run(afterwards=afterwards)
        assert left(rig) == ["done/a.wav"]
        assert counted(rig.run(afterwards=afterwards)) == {}

    def test_names_of_255_bytes(self, rig: Rig, done: Path) -> None:
        name = "ä" * 125 + "x.wav"
        assert len(name.encode()) == 255
        rig.write(name, b"one")
        done.mkdir()
        (done / name).write_bytes(b"another")
        rig.run(afterwards=Afterwards(done))
        assert left(rig) == []
        assert sorted(path.read_bytes() for path in done.iterdir()) == [b"another", b"one"]

    def test_a_folder_in_the_way_keeps_the_source(self, rig: Rig, done: Path) -> None:
        done.mkdir()
        (done / "sub").write_bytes(b"a file where a folder is needed")
        rig.write("sub/a.wav", b"one")
        rig.run(afterwards=Afterwards(done))
        assert (rig.failures, left(rig)) == ({"sub/a.wav": "file_unreadable"}, ["sub/a.wav"])


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A small filesystem of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a filesystem")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no filesystem can be mounted here: {done.stderr.decode()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


class TestAcrossFilesystems:
    def test_a_copy_is_made_first(self, rig: Rig, other_disk: Path) -> None:
        path = rig.write("simple/tiny/a.wav", b"one")
        os.utime(path, ns=(1_000_000_000, 2_000_000_000))
        rig.run(afterwards=Afterwards(other_disk / "done"))
        moved = other_disk / "done" / "simple/tiny/a.wav"
        assert (left(rig), moved.read_bytes(), moved.stat().st_mtime_ns) == ([], b"one", 2_000_000_000)

    def test_a_full_disk_keeps_the_source_and_leaves_nothing(self, rig: Rig, other_disk: Path) -> None:
        rig.write("large.wav", os.urandom(2 << 20))
        rig.write("small.wav", b"one")
        # One after the other: beside the large one there is no room for the small one either.
        rig.run(afterwards=Afterwards(other_disk), transfers=1)
        assert (rig.failures, left(rig)) == ({"large.wav": "scratch_full"}, ["large.wav"])
        assert "make room there" in rig.done["large.wav"].error.hint
        assert [path.name for path in other_disk.iterdir()] == ["small.wav"]


class TestTheLastMoment:
    """Another file takes the place between the last look and the removal."""

    def test_what_was_put_there_is_put_back(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.wav"
        path.write_bytes(b"old")
        stamp = stamp_of(path.stat())
        another = tmp_path / "b.wav"
        another.write_bytes(b"new")
        monkeypatch.setattr(taking_away, "_confirm", lambda _path, _stamp: another.rename(path))
        with pytest.raises(taking_away.ContentChanged):
            taking_away.delete(path, stamp)
        assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.wav", b"new")]

    def test_and_where_that_place_is_taken_too_it_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.wav"
        path.write_bytes(b"old")
        stamp = stamp_of(path.stat())
        another = tmp_path / "b.wav"
        another.write_bytes(b"new")
        keep = taking_away._keep_only_if

        def again(taken: Path, *how: Any) -> None:
            path.write_bytes(b"newest")
            keep(taken, *how)

        monkeypatch.setattr(taking_away, "_confirm", lambda _path, _stamp: another.rename(path))
        monkeypatch.setattr(taking_away, "_keep_only_if", again)
        with pytest.raises(taking_away.FileUnreadable, match="what replaced it is now"):
            taking_away.delete(path, stamp)
        assert sorted(file.read_bytes() for file in tmp_path.iterdir()) == [b"new", b"newest"]

    def test_a_move_puts_it_back_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.wav"
        path.write_bytes(b"old")
        stamp = stamp_of(path.stat())
        another = tmp_path / "b.wav"
        another.write_bytes(b"new")
        monkeypatch.setattr(taking_away, "_confirm", lambda _path, _stamp: another.rename(path))
        content = Content(3, hashlib.sha256(b"old").hexdigest())
        with pytest.raises(taking_away.ContentChanged):
            taking_away.move(path, stamp, content, tmp_path / "done" / "a.wav")
        assert path.read_bytes() == b"new"
        assert list((tmp_path / "done").iterdir()) == []
