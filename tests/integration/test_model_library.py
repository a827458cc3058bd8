"""Weights are found in the right order, verified before they are used, and appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lfk.core.errors import LfkError, ModelInvalid, ModelMissing, ScratchFull, SourceConflict, UnknownModel, Unreachable
from lfk.core.location import Location
from lfk.core.model_manifest import content_revision, render_lock
from lfk.engine.models.base import HubSupplier
from lfk.engine.models.folder import ModelsFolder
from lfk.engine.models.hashes import HashMemory
from lfk.engine.models.library import ModelLibrary
from lfk.roles.models import State, StoredModels, lock_of, survey
from lfk.stores.memory import MemoryStore
from tests.integration.model_samples import COMMIT, SOURCE, WHISPER, Hub, hub_source, lay, locked, manifest, pins

ROOT = Location("s3", "bucket", "models/")
NAME = "whisper/base"
KNOWN = manifest(whisper__base=[hub_source(WHISPER)], whisper__small=[hub_source()])


def packaged(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, object]:
    """A package that brings the weights; importing it would fail."""
    lay(folder / "bringer", {"__init__.py": b"raise RuntimeError('imported')", **WHISPER})
    monkeypatch.syspath_prepend(str(folder))
    return {"kind": "package", "at": "bringer", "form": "ctranslate2", "requirement": "bringer", "files": pins(WHISPER)}


def library(folder: Path, hub: HubSupplier | None = None, store: MemoryStore | None = None) -> ModelLibrary:
    stored = StoredModels(store, ROOT) if store is not None else None
    return ModelLibrary(KNOWN, ModelsFolder(folder / "models"), HashMemory(), store=stored, hub=hub)


def left_behind(folder: Path) -> list[str]:
    incoming = folder / "models" / ".incoming"
    return [path.name for path in incoming.iterdir()] if incoming.exists() else []


def test_weights_in_the_models_folder_are_used_as_they_are(tmp_path: Path) -> None:
    path = lay(tmp_path / "models" / NAME, WHISPER)
    found = library(tmp_path, Hub()).resolve(NAME)
    assert (found.path, found.place, found.source) == (path, "models folder", SOURCE)
    assert found.revision == content_revision(found.files)
    assert found.licence == "MIT"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "model.bin").write_bytes(WHISPER["model.bin"][:-1]), "model.bin has 1,499 of 1,500"),
        (lambda path: (path / "model.bin").write_bytes(b"x" * 1500), "not the file that was expected"),
        (lambda path: (path / "vocabulary.txt").unlink(), "not complete: vocabulary.txt is missing"),
        (lambda path: (path / "preprocessor_config.json").write_bytes(b"{}"), "not part of it: preprocessor"),
    ],
)
def test_a_damaged_folder_is_refused_and_not_passed_over(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(lay(tmp_path / "models" / NAME, WHISPER))
    hub = Hub()
    with pytest.raises(ModelInvalid, match=said) as caught:
        library(tmp_path, hub).resolve(NAME)
    assert "lfk models" in caught.value.hint
    assert hub.asked == []


def test_a_folder_of_which_nothing_is_known_is_refused(tmp_path: Path) -> None:
    lay(tmp_path / "models" / "whisper/small", WHISPER)
    with pytest.raises(ModelInvalid, match="nothing is known"):
        library(tmp_path).resolve("whisper/small")


def test_notes_beside_weights_do_no_harm(tmp_path: Path) -> None:
    lay(tmp_path / "models" / NAME, {**WHISPER, "README.md": b"hello", ".cache/x": b""})
    assert library(tmp_path).find(NAME) is not None


def test_what_is_missing_names_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing) as caught:
        library(tmp_path).resolve(NAME)
    assert f"`lfk models pull {NAME}`" in caught.value.hint
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", ["whisper/gigantic", "../../etc/passwd", "somebody/faster-whisper-base", ""])
def test_no_other_name_reaches_a_folder_or_a_hub(tmp_path: Path, name: str) -> None:
    hub = Hub()
    with pytest.raises(UnknownModel):
        library(tmp_path, hub).resolve(name)
    assert hub.asked == []


def test_a_hub_is_asked_for_the_pinned_source_and_what_came_is_recorded(tmp_path: Path) -> None:
    hub = Hub(licence="mit")
    found = library(tmp_path, hub).resolve(NAME)
    assert hub.asked == [(NAME, SOURCE, None)]
    assert found.path == tmp_path / "models" / NAME
    assert (found.source_revision, found.licence) == (COMMIT, "mit")
    lock = json.loads((tmp_path / "models/lock.json").read_text())
    assert lock["models"][NAME]["files"] == pins(WHISPER)
    assert left_behind(tmp_path) == []


def test_once_fetched_no_hub_is_asked_again(tmp_path: Path) -> None:
    hub = Hub()
    library(tmp_path, hub).resolve(NAME)
    library(tmp_path, hub).resolve(NAME)
    assert len(hub.asked) == 1


def test_other_bytes_than_the_manifest_pins_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="not the file that lfk expects"):
        library(tmp_path, Hub({**WHISPER, "model.bin": b"other"})).resolve(NAME)
    assert not (tmp_path / "models" / NAME).exists()
    assert left_behind(tmp_path) == []


def test_the_first_pull_of_an_unpinned_model_binds_every_later_one(tmp_path: Path) -> None:
    first = library(tmp_path, Hub()).resolve("whisper/small")
    for path in sorted(first.path.rglob("*")):
        path.unlink()
    first.path.rmdir()
    changed = Hub({**WHISPER, "model.bin": b"poisoned"})
    with pytest.raises(ModelInvalid, match=r"not what lock\.json recorded"):
        library(tmp_path, changed).resolve("whisper/small")
    assert changed.asked == [("whisper/small", SOURCE, COMMIT)]
    again = library(tmp_path, Hub()).resolve("whisper/small")
    assert again.revision == first.revision


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    with pytest.raises(ScratchFull, match="no room for model weights") as caught:
        library(tmp_path, Hub(error=OSError(number, os.strerror(number)))).resolve(NAME)
    assert "LFK_MODELS_FOLDER" in caught.value.hint
    assert not (tmp_path / "models" / NAME).exists()
    assert left_behind(tmp_path) == []


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="cannot be written"):
        library(tmp_path, Hub(error=OSError(errno.EROFS, "Read-only file system"))).resolve(NAME)


def test_a_hub_out_of_reach_is_an_outage(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        library(tmp_path, Hub(error=Unreachable("no route"))).resolve(NAME)
    assert left_behind(tmp_path) == []


def test_a_damaged_lock_stops_everything_and_is_left_alone(tmp_path: Path) -> None:
    lay(tmp_path / "models", {"lock.json": b"{"})
    with pytest.raises(ModelInvalid, match=r"lock\.json"):
        library(tmp_path, Hub()).resolve(NAME)
    assert (tmp_path / "models/lock.json").read_bytes() == b"{"


def test_a_package_serves_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = manifest(whisper__base=[packaged(monkeypatch, tmp_path), hub_source(WHISPER)])
    hub = Hub()
    found = ModelLibrary(known, ModelsFolder(tmp_path / "models"), HashMemory(), hub=hub).resolve(NAME)
    assert (found.place, hub.asked) == ("package bringer", [])
    assert not (tmp_path / "models").exists()
    assert found.revision == library(tmp_path / "b", Hub()).resolve(NAME).revision


def test_a_source_listed_before_a_package_is_preferred_where_a_hub_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = manifest(whisper__base=[hub_source(WHISPER), packaged(monkeypatch, tmp_path)])
    folder = ModelsFolder(tmp_path / "models")
    assert ModelLibrary(known, folder, HashMemory()).resolve(NAME).place == "package bringer"
    offline = Hub(error=Unreachable("no route"))
    assert ModelLibrary(known, folder, HashMemory(), hub=offline).resolve(NAME).place == "package bringer"
    assert ModelLibrary(known, folder, HashMemory(), hub=Hub()).resolve(NAME).place == "models folder"


def test_a_package_with_other_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = packaged(monkeypatch, tmp_path)
    (tmp_path / "bringer/model.bin").write_bytes(b"another version")
    known = manifest(whisper__base=[source])
    with pytest.raises(ModelInvalid, match=r"model\.bin has 15 of") as caught:
        ModelLibrary(known, ModelsFolder(tmp_path / "models"), HashMemory()).resolve(NAME)
    assert "bringer" in caught.value.hint


def push(store: MemoryStore, folder: Path) -> bool:
    source = library(folder, Hub())
    weights = source.resolve(NAME)
    return StoredModels(store, ROOT).push(weights, lock_of(source, weights))


def test_what_one_machine_pushes_another_fetches_before_it_asks_a_hub(tmp_path: Path) -> None:
    store, hub = MemoryStore(), Hub()
    assert push(store, tmp_path / "a")
    assert not push(store, tmp_path / "a"), "it is there already"
    found = library(tmp_path / "b", hub, store).resolve(NAME)
    assert (found.path, found.source, hub.asked) == (tmp_path / "b/models" / NAME, SOURCE, [])
    assert found.revision == library(tmp_path / "a").resolve(NAME).revision


def test_a_model_that_is_half_pushed_is_not_there(tmp_path: Path) -> None:
    def fail(method: str, location: Location) -> None:
        if method == "put":
            raise Unreachable("the network went")

    with pytest.raises(Unreachable):
        push(MemoryStore(on_call=fail), tmp_path / "a")
    store = MemoryStore()
    lay_in_store(store, NAME, WHISPER)
    with pytest.raises(ModelMissing):
        library(tmp_path / "b", None, store).resolve(NAME)


def lay_in_store(store: MemoryStore, name: str, files: Mapping[str, bytes]) -> None:
    for file, data in files.items():
        store.put(ROOT.join(f"{name}/{file}"), data, content_type="application/octet-stream")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({**WHISPER, "model.bin": b"x" * 1500}, "its sha256 is"),
        ({**WHISPER, "model.bin": b"x" * 99}, "its sha256 is"),
        ({**WHISPER, "model.bin": b"x" * 9999}, "not what the store's"),
        ({name: data for name, data in WHISPER.items() if name != "vocabulary.txt"}, "not what the store's"),
    ],
)
def test_objects_that_are_not_what_the_lock_says_are_refused(
    tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    store = MemoryStore()
    push(store, tmp_path / "a")
    for file in WHISPER:
        store.delete(ROOT.join(f"{NAME}/{file}"))
    lay_in_store(store, NAME, files)
    with pytest.raises(ModelInvalid, match=said):
        library(tmp_path / "b", None, store).resolve(NAME)
    assert not (tmp_path / "b/models" / NAME).exists()
    assert left_behind(tmp_path / "b") == []


def test_weights_in_the_store_that_no_source_knows_count_only_where_they_were_adopted(tmp_path: Path) -> None:
    own = {**WHISPER, "model.bin": b"trained here"}
    for adopted in (True, False):
        store = MemoryStore()
        lay_in_store(store, NAME, own)
        text = render_lock({NAME: locked(own, "adopted" if adopted else "nobody/nothing", adopted=adopted)})
        store.put(ROOT.join("lock.json"), text.encode(), content_type="application/json")
        fresh = library(tmp_path / str(adopted), None, store)
        if adopted:
            assert fresh.resolve(NAME).source == "adopted"
        else:
            with pytest.raises(ModelInvalid, match="which lfk does not know"):
                fresh.resolve(NAME)


def test_a_store_lock_that_claims_a_pinned_source_cannot_change_its_bytes(tmp_path: Path) -> None:
    store = MemoryStore()
    other = {**WHISPER, "model.bin": b"poisoned"}
    lay_in_store(store, NAME, other)
    text = render_lock({NAME: locked(other, converted=True)})
    store.put(ROOT.join("lock.json"), text.encode(), content_type="application/json")
    with pytest.raises(ModelInvalid, match="not the file that lfk expects"):
        library(tmp_path, None, store).resolve(NAME)


def test_other_weights_in_the_store_are_not_overwritten(tmp_path: Path) -> None:
    store = MemoryStore()
    push(store, tmp_path / "a")
    lay(tmp_path / "c/models" / NAME, {**WHISPER, "model.bin": b"another"})
    other = library(tmp_path / "c")
    other.folder.record(NAME, locked({**WHISPER, "model.bin": b"another"}, "adopted", adopted=True))
    weights = other.resolve(NAME)
    with pytest.raises(SourceConflict):
        StoredModels(store, ROOT).push(weights, lock_of(other, weights))


def test_two_machines_that_push_at_once_lose_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    push(store, tmp_path / "a")
    weights = library(tmp_path / "a").resolve(NAME)
    known = manifest(**{f"whisper__m{number}": [hub_source(WHISPER)] for number in range(6)})
    errors: list[LfkError] = []

    def send(number: int) -> None:
        try:
            one = replace(weights, name=f"whisper/m{number}")
            StoredModels(store, ROOT).push(one, locked(WHISPER))
        except LfkError as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(StoredModels(store, ROOT).lock()) == {NAME, *known.entries}


def test_threads_that_need_a_model_at_once_fetch_it_once(tmp_path: Path) -> None:
    hub = Hub()
    shared = library(tmp_path, hub)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(shared.resolve(NAME).revision)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(hub.asked) == 1


def test_a_hash_is_read_once_and_again_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lfk.engine.models import hashes

    read: list[str] = []
    real = hashes.hash_file

    def counted(file: Path) -> str:
        read.append(file.name)
        return real(file)

    monkeypatch.setattr(hashes, "hash_file", counted)
    file = tmp_path / "model.bin"
    file.write_bytes(b"one")
    first = HashMemory(tmp_path / "state/hashes.json").sha256(file)
    assert HashMemory(tmp_path / "state/hashes.json").sha256(file) == first
    assert read == ["model.bin"]
    about = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    memory = HashMemory(tmp_path / "state/hashes.json")
    assert memory.sha256(file) != first, "same size and modification time, other content"
    assert memory.sha256(file, fresh=True) == memory.sha256(file)
    assert read == ["model.bin"] * 3


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"/x": 1}', b"\xff\xfe"])
def test_a_memory_that_cannot_be_read_is_forgotten(tmp_path: Path, content: bytes) -> None:
    lay(tmp_path, {"hashes.json": content, "model.bin": b"one"})
    assert len(HashMemory(tmp_path / "hashes.json").sha256(tmp_path / "model.bin")) == 64


def test_a_hub_stocks_what_other_stages_need_before_jobs_come(tmp_path: Path) -> None:
    known = manifest(alignment__de=[hub_source(WHISPER)], whisper__base=[hub_source(WHISPER)])
    store, now = MemoryStore(), [0.0]

    def hold(name: str, files: Mapping[str, bytes]) -> None:
        lay_in_store(store, name, files)
        held = StoredModels(store, ROOT).lock() | {name: locked(WHISPER)}
        store.put(ROOT.join("lock.json"), render_lock(held).encode(), content_type="application/json")

    folder = ModelsFolder(tmp_path / "models")
    library = ModelLibrary(known, folder, HashMemory(), store=StoredModels(store, ROOT), clock=lambda: now[0])
    library.stock()
    hold("alignment/de", WHISPER)
    hold("whisper/base", WHISPER)
    library.stock()
    assert not folder.holds("alignment/de"), "the store was asked a moment ago"
    now[0] += 61
    library.stock()
    assert folder.holds("alignment/de")
    assert not folder.holds("whisper/base"), "the job that needs it fetches it"


def test_what_cannot_be_stocked_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(method: str, location: Location) -> None:
        raise Unreachable("no route")

    library(tmp_path, None, MemoryStore(on_call=fail)).stock()
    assert "no route" in caplog.text


def test_survey_says_where_everything_is(tmp_path: Path) -> None:
    store = MemoryStore()
    push(store, tmp_path / "a")
    stored = StoredModels(store, ROOT).lock()
    states = {one.entry.name: one.state for one in survey(library(tmp_path), KNOWN.entries.values(), stored)}
    assert states == {NAME: State.STORED, "whisper/small": State.OUT}
    lay(tmp_path / "models" / NAME, {"model.bin": b"half"})
    (broken, _) = survey(library(tmp_path), KNOWN.entries.values(), stored)
    assert broken.state is State.INVALID
    assert broken.error is not None


def test_ctranslate2_without_a_vocabulary_is_refused_on_arrival(tmp_path: Path) -> None:
    files = {name: data for name, data in WHISPER.items() if name != "vocabulary.txt"}
    with pytest.raises(ModelInvalid, match="vocabulary"):
        library(tmp_path, Hub(files)).resolve("whisper/small")
