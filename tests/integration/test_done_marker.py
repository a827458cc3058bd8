"""``done.txt``: there when a whole tree is in the store, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfk.core.location import Location
from lfk.roles.sync_events import Marking
from lfk.stores.memory import MemoryStore
from tests.acceptance.command import Lfk
from tests.integration.syncing import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def marked(rig: Rig, **how: object) -> Marking:
    marking = rig.run(done_marker="done.txt", **how).marking
    assert marking is not None
    return marking


def keys(marking: Marking) -> list[str]:
    return sorted(at.key.removeprefix("audio/") for at in marking.written)


def test_a_complete_course_gets_one_marker_below_approach_model_and_prefix(rig: Rig) -> None:
    rig.write("week1/lesson1/video0.mp4", b"one")
    rig.write("week1/lesson2/video1.mp4", b"three")
    marking = marked(rig, layout="course", prefix="m1")
    assert keys(marking) == ["simple/tiny/m1/done.txt"]
    text, info = rig.object("simple/tiny/m1/done.txt")
    assert text.startswith(b"2 files, 8 bytes\n")
    assert info.content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize("bad", ["week1/video0.mp4", "week1/lesson1/empty.mp4"])
def test_an_incomplete_course_gets_none_and_each_misfit_is_named(rig: Rig, bad: str) -> None:
    rig.write("week1/lesson1/video0.mp4", b"one")
    rig.write(bad, b"")
    marking = marked(rig, layout="course")
    assert (marking.written, marking.lacking, marking.lacks) == ((), (bad,), 1)
    (rig.source / bad).unlink()
    assert keys(marked(rig, layout="course")) == ["simple/tiny/done.txt"]


def test_places_of_a_mixed_tree_have_markers_of_their_own(rig: Rig) -> None:
    for name in ("simple/tiny/a.wav", "Diarization/Base/b.wav", "c.wav"):
        rig.write(name)
    assert keys(marked(rig)) == ["Diarization/Base/done.txt", "done.txt", "simple/tiny/done.txt"]


def test_an_unchanged_tree_leaves_it_alone_and_a_changed_one_replaces_it(rig: Rig) -> None:
    rig.write("a.wav", b"one")
    rig.write("b.wav", b"two")
    marked(rig)
    before = rig.object("done.txt")[1]
    assert marked(rig).written == ()
    assert rig.object("done.txt")[1] == before
    rig.write("b.wav", b"2.0")
    assert keys(marked(rig)) == ["done.txt"]
    assert rig.object("done.txt")[1].etag != before.etag
    rig.store.delete(rig.location("done.txt"))
    assert keys(marked(rig)) == ["done.txt"]


def test_many_that_lack_are_counted_and_the_first_named(rig: Rig) -> None:
    for number in range(20):
        rig.write(f"{number:02}.wav", b"")
    marking = marked(rig)
    assert (marking.lacks, len(marking.lacking)) == (20, 5)


def test_a_file_that_appears_after_the_pass_keeps_the_marker_away(tmp_path: Path) -> None:
    def appear(method: str, location: Location) -> None:
        if method == "upload":
            rig.write("late.wav")

    rig = Rig(tmp_path, MemoryStore(on_call=appear))
    rig.write("a.wav")
    assert marked(rig).lacking == ("late.wav",)


def test_nothing_is_marked_in_a_dry_run_or_where_nobody_asks(rig: Rig) -> None:
    rig.write("a.wav")
    assert rig.run(done_marker="done.txt", dry_run=True).marking is None
    assert rig.run().marking is None


def test_through_the_command(tmp_path: Path) -> None:
    (tmp_path / "rec" / "week1" / "lesson1").mkdir(parents=True)
    (tmp_path / "rec" / "week1" / "lesson1" / "video0.mp4").write_bytes(b"x")
    (tmp_path / "rec" / "week1" / "extra.mp4").write_bytes(b"x")
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_SETTLE="0")
    flags = ("sync", "rec", "--layout", "course", "--done-marker")
    done = lfk(*flags)
    assert done.code == 1
    assert "warning: no done.txt, as the store lacks 1 of the files: week1/extra.mp4" in done.err
    (tmp_path / "rec" / "week1" / "extra.mp4").unlink()
    done = lfk(*flags)
    assert (done.code, done.err) == (0, "")
    marker = tmp_path / "store" / "audio" / "simple" / "tiny" / "done.txt"
    assert f"complete  file://{marker}" in done.out
    assert marker.read_text().startswith("1 files, 1 bytes\n")
    assert lfk(*flags, "--delete-source").code == 2
