"""Listing settles what is unchanged and what is not there, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfk.core.errors import AccessDenied
from lfk.core.location import Location
from lfk.roles import sieve
from lfk.stores.memory import MemoryStore
from tests.integration.syncing import Rig, counted

FILES = 30


class Counted(Rig):
    """Counts what the store is asked."""

    def __init__(self, folder: Path) -> None:
        self.calls: list[tuple[str, str]] = []
        self.denied = False
        super().__init__(folder, MemoryStore(on_call=self._called))

    def _called(self, method: str, location: Location) -> None:
        self.calls.append((method, location.name))
        if method == "list" and self.denied:
            raise AccessDenied("you may not list")

    def asked(self, method: str) -> list[str]:
        return [name for called, name in self.calls if called == method]


@pytest.fixture
def rig(tmp_path: Path) -> Counted:
    rig = Counted(tmp_path)
    for number in range(FILES):
        rig.write(f"simple/tiny/{number:02}.wav", b"%d" % number)
    rig.run()
    rig.calls.clear()
    return rig


def test_a_folder_of_unchanged_files_costs_one_listing(rig: Counted) -> None:
    assert counted(rig.run()) == {"unchanged": FILES}
    assert rig.asked("stat") == []
    assert len(rig.asked("list")) == 1


def test_few_files_are_not_worth_one(rig: Counted) -> None:
    for number in range(sieve._FEW - 1, FILES):
        (rig.source / f"simple/tiny/{number:02}.wav").unlink()
    assert counted(rig.run()) == {"unchanged": sieve._FEW - 1}
    assert rig.asked("list") == []


def test_what_is_missing_or_different_in_the_store_is_looked_at(rig: Counted) -> None:
    rig.store.delete(rig.location("simple/tiny/07.wav"))
    rig.store.put(rig.location("simple/tiny/29.wav"), b"theirs", content_type="audio/wav")
    rig.write("simple/tiny/11.wav", b"changed")
    rig.write("simple/tiny/new.wav", b"new")
    rig.calls.clear()
    assert counted(rig.run()) == {"unchanged": FILES - 3, "new": 2, "changed": 1, "failed": 1}
    assert sorted(rig.asked("stat")) == ["11.wav", "29.wav"]
    assert sorted(rig.asked("upload")) == ["07.wav", "11.wav", "new.wav"]


def test_what_the_store_has_nothing_of_is_not_looked_for_again(tmp_path: Path) -> None:
    rig = Counted(tmp_path)
    for number in range(FILES):
        rig.write(f"{number:02}.wav", b"%d" % number)
    assert counted(rig.run(dry_run=True)) == {"new": FILES}
    assert rig.asked("stat") == []
    assert counted(rig.run()) == {"new": FILES}
    assert rig.asked("stat") == []


def test_what_comes_there_after_the_listing_is_looked_at_after_all(tmp_path: Path) -> None:
    rig = Counted(tmp_path)
    for number in range(FILES):
        rig.write(f"{number:02}.wav", b"%d" % number)

    def come(method: str, location: Location) -> None:
        rig._called(method, location)
        if method == "upload" and location.name == "05.wav" and not come_in:
            come_in.append(True)
            rig.store.put(location, b"theirs", content_type="audio/wav")

    come_in: list[bool] = []
    rig.store._on_call = come  # type: ignore[attr-defined]
    assert counted(rig.run()) == {"new": FILES - 1, "failed": 1}
    assert rig.failures == {"05.wav": "source_conflict"}
    assert rig.asked("stat") == ["05.wav"]


def test_what_lies_behind_too_many_strangers_is_not_taken_for_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sieve, "_STRANGERS", 5)
    rig = Counted(tmp_path)
    for number in range(FILES):
        rig.write(f"{number:02}.wav", b"%d" % number)
        rig.store.put(rig.location(f"15.wav.d/{number}.wav"), b"x", content_type="audio/wav")
    assert counted(rig.run()) == {"new": FILES}
    assert sorted(rig.asked("stat")) == [f"{number}.wav" for number in range(16, FILES)]


@pytest.mark.parametrize("many", [8, 10, 29])
def test_large_folders_are_listed_in_parts(rig: Counted, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr(sieve, "_MANY", many)
    assert counted(rig.run()) == {"unchanged": FILES}
    listed = FILES - (FILES % many if FILES % many < sieve._FEW else 0)
    assert len(rig.asked("stat")) == FILES - listed


def test_objects_of_others_in_between_are_run_over_up_to_a_limit(rig: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        rig.store.put(rig.location(f"simple/tiny/15.wav.d/{number}.wav"), b"x", content_type="audio/wav")
    assert counted(rig.run()) == {"unchanged": FILES}
    assert rig.asked("stat") == []
    monkeypatch.setattr(sieve, "_STRANGERS", 50)
    assert counted(rig.run()) == {"unchanged": FILES}
    assert sorted(rig.asked("stat")) == [f"{number}.wav" for number in range(16, FILES)]


def test_who_may_not_list_asks_file_by_file(rig: Counted) -> None:
    rig.denied = True
    assert counted(rig.run()) == {"unchanged": FILES}
    assert len(rig.asked("stat")) == FILES


def test_prefixes_and_pairs_are_part_of_what_was_asked(rig: Counted) -> None:
    assert counted(rig.run(prefix="m1")) == {"new": FILES}
    assert counted(rig.run(prefix="m1")) == {"unchanged": FILES}
    assert counted(rig.run(layout="free")) == {"new": FILES}
