"""What only the folder store has to withstand: files made by hand, links, odd names, full disks, dying processes."""

from __future__ import annotations

import errno
import fcntl
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfk.core.errors import (
    AccessDenied,
    BucketMissing,
    ContentChanged,
    ForbiddenLocation,
    InvalidKey,
    ObjectMissing,
    PreconditionFailed,
    StoreFull,
    StoreUnreachable,
)
from lfk.core.location import Location, parse_location
from lfk.stores import folder_tree
from lfk.stores.base import SHA256, IfAbsent, IfMatch
from lfk.stores.folder import FolderStore

TEXT = "text/plain"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def root(folder: Path) -> Location:
    return parse_location(f"file://{folder}/")


@pytest.fixture
def store(root: Location) -> FolderStore:
    return FolderStore(root)


@pytest.fixture
def on_disk(folder: Path) -> Iterator[Path]:
    """The root folder; no test may leave a temporary file in it, wherever."""
    yield folder
    assert [path for path in folder.rglob("*") if path.name.startswith(".lfk-")] == []


def keys(store: FolderStore, prefix: Location) -> list[str]:
    return [info.location.key for info in store.list(prefix)]


# --- files made by hand


def test_a_file_dropped_in_by_hand_is_an_object_without_metadata(
    store: FolderStore, root: Location, folder: Path
) -> None:
    (folder / "simple").mkdir()
    (folder / "simple/x.wav").write_bytes(b"12345")
    location = root.join("simple/x.wav")
    info = store.stat(location)
    assert (info.size, info.content_type, dict(info.metadata)) == (5, None, {})
    assert abs(info.modified - time.time()) < 5
    assert [listed.etag for listed in store.list(root)] == [info.etag]
    assert store.read(location, limit=5)[0] == b"12345"
    store.put(location, b"new", content_type=TEXT, condition=IfMatch(info.etag))
    store.delete(location)
    assert [path.name for path in folder.iterdir()] == [".lfk"]


def test_metadata_does_not_outlive_the_content_it_describes(store: FolderStore, root: Location, folder: Path) -> None:
    location = root.join("x")
    info = store.put(location, b"12345", content_type=TEXT, metadata={SHA256: "a" * 64})
    assert store.stat(location).metadata == {SHA256: "a" * 64}
    (folder / "x").write_bytes(b"54321")
    assert dict(store.stat(location).metadata) == {}
    assert store.stat(location).etag != info.etag
    with pytest.raises(PreconditionFailed):
        store.put(location, b"x", content_type=TEXT, condition=IfMatch(info.etag))


@pytest.mark.parametrize(
    "record", [b"", b"{", b"[1]", b'{"versions": 3}', b'{"versions": {"x": null}}', b"\xff", b"[" * 99999]
)
def test_a_record_that_cannot_be_read_counts_as_none(
    store: FolderStore, root: Location, folder: Path, record: bytes
) -> None:
    location = root.join("x")
    store.put(location, b"12345", content_type=TEXT, metadata={SHA256: "a" * 64})
    (path,) = (folder / ".lfk/meta").rglob("*.json")
    path.write_bytes(record)
    assert dict(store.stat(location).metadata) == {}
    store.put(location, b"new", content_type=TEXT, metadata={SHA256: "b" * 64})
    assert store.stat(location).metadata == {SHA256: "b" * 64}


def test_a_file_edited_while_it_is_fetched_is_refused(
    store: FolderStore, root: Location, folder: Path, tmp_path: Path
) -> None:
    (folder / "x").write_bytes(b"a" * (3 << 20))

    def edit(_count: int) -> None:
        with (folder / "x").open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(b"b")

    with pytest.raises(ContentChanged):
        store.download(root.join("x"), tmp_path / "down", limit=9 << 20, progress=edit)
    assert not (tmp_path / "down").exists()


# --- links and other things that are no files


def test_links_below_the_root_are_refused_wherever_they_point(
    store: FolderStore, root: Location, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"secret")
    (folder / "inside").write_bytes(b"x")
    (folder / "file").symlink_to(tmp_path / "outside/secret")
    (folder / "near").symlink_to("inside")
    (folder / "folder").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(".")
    (folder / "dangling").symlink_to("nowhere")
    for name in ("file", "near", "folder/secret", "loop/inside", "dangling", "dangling/x"):
        location = root.join(name)
        for ask in (store.stat, lambda at: store.read(at, limit=99)):
            with pytest.raises(AccessDenied, match="symbolic link"):
                ask(location)
    for name in ("folder/new", "loop/new", "folder/deep/new", "dangling/new"):
        with pytest.raises(AccessDenied, match="symbolic link"):
            store.put(root.join(name), b"x", content_type=TEXT)
    with pytest.raises(AccessDenied, match="symbolic link"):
        store.check(root.join("folder").as_prefix())
    with caplog.at_level(logging.WARNING, "lfk"):
        assert keys(store, root) == [root.key + "inside"]
    assert "address them: 5," in caplog.text
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["secret"]


def test_a_write_replaces_a_link_and_not_what_it_points_to(
    store: FolderStore, root: Location, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_bytes(b"precious")
    (folder / "x").symlink_to(tmp_path / "outside")
    with pytest.raises(PreconditionFailed):
        store.put(root.join("x"), b"new", content_type=TEXT, condition=IfAbsent())
    store.put(root.join("x"), b"new", content_type=TEXT)
    assert (tmp_path / "outside").read_bytes() == b"precious"
    assert not (folder / "x").is_symlink()
    (folder / "y").symlink_to(tmp_path / "outside")
    store.delete(root.join("y"))
    assert (tmp_path / "outside").read_bytes() == b"precious"


def test_the_root_itself_may_be_a_link(store: FolderStore, root: Location, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder)
    alias = parse_location(f"file://{tmp_path}/alias/")
    FolderStore(alias).put(alias.join("a/x"), b"x", content_type=TEXT)
    assert store.read(root.join("a/x"), limit=9)[0] == b"x"


@pytest.mark.timeout(20)
def test_pipes_and_folders_are_no_objects(
    store: FolderStore, root: Location, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(folder / "pipe.wav")
    (folder / "folder.wav").mkdir()
    (folder / "folder.wav/x").write_bytes(b"x")
    for name in ("pipe.wav", "folder.wav"):
        with pytest.raises(ObjectMissing):
            store.stat(root.join(name))
        with pytest.raises(ObjectMissing):
            store.read(root.join(name), limit=9)
        with pytest.raises(ObjectMissing):
            store.download(root.join(name), tmp_path / "down", limit=9)
    for condition in (None, IfAbsent()):
        with pytest.raises(InvalidKey, match="folder"):
            store.put(root.join("folder.wav"), b"x", content_type=TEXT, condition=condition)
    store.delete(root.join("folder.wav"))
    with caplog.at_level(logging.WARNING, "lfk"):
        assert keys(store, root) == [root.key + "folder.wav/x"]
    assert "address them: 1," in caplog.text


def test_a_file_has_nothing_below_it(store: FolderStore, root: Location, on_disk: Path) -> None:
    store.put(root.join("x"), b"x", content_type=TEXT)
    with pytest.raises(ObjectMissing):
        store.stat(root.join("x/y"))
    with pytest.raises(InvalidKey, match="is a file"):
        store.put(root.join("x/y"), b"y", content_type=TEXT)
    store.delete(root.join("x/y"))
    assert keys(store, Location("file", "", root.key + "x/")) == []
    assert store.read(root.join("x"), limit=9)[0] == b"x"


# --- names


def test_names_that_are_no_utf8_are_left_out_and_counted(
    store: FolderStore, root: Location, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "good.wav").write_bytes(b"x")
    with open(os.fsencode(folder) + b"/caf\xe9.wav", "wb"):  # noqa: PTH123 - pathlib has no names in bytes
        pass
    os.mkdir(os.fsencode(folder) + b"/\xff")  # noqa: PTH102
    with caplog.at_level(logging.WARNING, "lfk"):
        assert keys(store, root) == [root.key + "good.wav"]
    assert "address them: 2," in caplog.text
    assert "\\udc" in caplog.text


@pytest.mark.parametrize("length", [250, 251, 255])
def test_the_longest_names_keep_their_metadata(store: FolderStore, root: Location, on_disk: Path, length: int) -> None:
    location = root.join("n" * length)
    info = store.put(location, b"x", content_type=TEXT, metadata={SHA256: "a" * 64})
    assert store.stat(location) == info
    with pytest.raises(InvalidKey):
        store.put(root.join("n" * 256), b"x", content_type=TEXT)
    with pytest.raises(InvalidKey):
        store.put(root.join("n" * 256 + "/x"), b"x", content_type=TEXT)


@pytest.mark.parametrize("name", ["a//b", "a///b", "b/.lfk-123", ".lfk/meta/x", ".lfk/tmp/x", ".lfk/lock"])
def test_names_that_would_clash_are_refused(store: FolderStore, root: Location, on_disk: Path, name: str) -> None:
    with pytest.raises(InvalidKey):
        store.put(root.join(name), b"x", content_type=TEXT)
    with pytest.raises(InvalidKey):
        store.read(root.join(name), limit=9)


def test_nothing_outside_of_the_root_is_served(store: FolderStore, root: Location, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "rootless").mkdir()
    for text in (f"file://{tmp_path}/secret", f"file://{tmp_path}/rootless/x", "file:///etc/passwd", "s3://bucket/x"):
        with pytest.raises(ForbiddenLocation):
            store.read(parse_location(text), limit=9)
        with pytest.raises(ForbiddenLocation):
            list(store.list(parse_location(text)))
    with pytest.raises(InvalidKey):
        store.read(Location("file", "", root.key + "../secret"), limit=9)


def test_records_are_listed_only_where_they_are_asked_for(store: FolderStore, root: Location, folder: Path) -> None:
    for name in ("audio/x", ".lfk/results/1.json", ".lfk/outbox/2.json", "audio/.lfk/deep"):
        store.put(root.join(name), b"x", content_type=TEXT)
    (folder / ".lfk/tmp/.lfk-left").write_bytes(b"x")
    assert keys(store, root) == [root.key + name for name in ("audio/.lfk/deep", "audio/x")]
    assert keys(store, root.join(".lfk").as_prefix()) == [
        root.key + name for name in (".lfk/outbox/2.json", ".lfk/results/1.json")
    ]
    assert keys(store, root.join(".lfk/results").as_prefix()) == [root.key + ".lfk/results/1.json"]
    assert keys(store, Location("file", "", root.key + ".lfk/out")) == [root.key + ".lfk/outbox/2.json"]
    assert keys(store, root.join(".lfk/meta").as_prefix()) == []


NAMES = st.lists(
    st.lists(
        st.sampled_from(["a", "a.b", "a-", "a0", "b", "B", "é", "😀", " ", "~", "\n"]), min_size=1, max_size=4
    ).map("/".join),
    max_size=12,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(names=NAMES, after=st.one_of(st.none(), st.text("aB.-é/ 0~", max_size=6)), prefix=st.text("aB.-é/", max_size=4))
def test_any_tree_is_listed_in_the_order_of_its_keys(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], after: str | None, prefix: str
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    root = parse_location(f"file://{folder}/")
    store = FolderStore(root)
    files = [name for name in names if not any(other.startswith(f"{name}/") for other in names)]
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    prefixed = Location("file", "", root.key + prefix)
    behind = None if after is None else root.key + after
    wanted = sorted((name for name in files if name.startswith(prefix)), key=lambda name: name.encode())
    wanted = [name for name in wanted if after is None or name.encode() > after.encode()]
    assert [info.location.key for info in store.list(prefixed, after=behind)] == [root.key + name for name in wanted]


def test_a_listing_holds_no_descriptors(store: FolderStore, root: Location, folder: Path) -> None:
    for number in range(20):
        (folder / "/".join(["d"] * number)).mkdir(exist_ok=True)
        (folder / "/".join(["d"] * number) / "f").write_bytes(b"")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    listing = store.list(root)
    for _entry in zip(range(10), listing, strict=False):
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# --- writing


def test_a_missing_root_is_not_made_by_writing(root: Location, tmp_path: Path) -> None:
    missing = parse_location(f"file://{tmp_path}/unmounted/")
    store = FolderStore(missing)
    for call in (
        lambda: store.put(missing.join("x"), b"x", content_type=TEXT),
        lambda: store.delete(missing.join("x")),
        lambda: store.check(missing),
        lambda: list(store.list(missing)),
    ):
        with pytest.raises(BucketMissing):
            call()
    assert not (tmp_path / "unmounted").exists()
    assert store.ensure(missing.join("a/b").as_prefix()) is True
    assert (tmp_path / "unmounted/a/b").is_dir()


def test_a_root_that_is_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    root = parse_location(f"file://{tmp_path}/file/")
    with pytest.raises(BucketMissing):
        FolderStore(root).check(root)


def test_delete_leaves_no_empty_folders_and_no_record(store: FolderStore, root: Location, on_disk: Path) -> None:
    for name in ("a/b/c/x", "a/b/y"):
        store.put(root.join(name), b"x", content_type=TEXT)
    store.delete(root.join("a/b/c/x"))
    assert [path.name for path in (on_disk / "a/b").iterdir()] == ["y"]
    store.delete(root.join("a/b/y"))
    assert [path.name for path in on_disk.iterdir()] == [".lfk"]
    assert list((on_disk / ".lfk/meta").rglob("*.json")) == []
    assert on_disk.is_dir()


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EROFS, AccessDenied),
        (errno.EACCES, AccessDenied),
        (errno.EIO, StoreUnreachable),
        (errno.ESTALE, StoreUnreachable),
        (errno.EINVAL, InvalidKey),
    ],
)
@pytest.mark.parametrize("call", ["write", "fsync", "rename", "mkdir"])
def test_a_write_that_fails_is_typed_and_leaves_the_old_object(
    store: FolderStore,
    root: Location,
    on_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    error: type[Exception],
) -> None:
    location = root.join("a/x")
    store.put(location, b"old", content_type=TEXT, metadata={SHA256: "a" * 64})

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(error) as caught:
            store.put(location, b"new", content_type=TEXT, metadata={SHA256: "b" * 64})
        assert isinstance(caught.value.__cause__, OSError)
    assert store.read(location, limit=9)[0] == b"old"
    assert store.stat(location).metadata == {SHA256: "a" * 64}


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_put_if_absent_on_file_systems_without_links(
    store: FolderStore, root: Location, on_disk: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    won: list[int] = []

    def write(writer: int) -> None:
        try:
            store.put(root.join("x"), b"%d" % writer, content_type=TEXT, condition=IfAbsent())
        except PreconditionFailed:
            return
        won.append(writer)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert len(won) == 1
    assert store.read(root.join("x"), limit=9)[0] == b"%d" % won[0]


def _compete(root: Location, number: int, gate: Barrier, results: Any) -> None:
    store = FolderStore(root)
    won = 0
    gate.wait()
    for turn in range(10):
        try:
            store.put(root.join(f"race/{turn}"), b"%d" % number, content_type=TEXT, condition=IfAbsent())
        except PreconditionFailed:
            continue
        won += 1
    for _turn in range(5):
        while True:
            data, info = store.read(root.join("counter"), limit=9)
            try:
                store.put(
                    root.join("counter"), b"%d" % (int(data) + 1), content_type=TEXT, condition=IfMatch(info.etag)
                )
            except PreconditionFailed:
                continue
            break
    results.put(won)


def test_processes_compete_fairly(store: FolderStore, root: Location, on_disk: Path) -> None:
    store.put(root.join("counter"), b"0", content_type=TEXT)
    spawn = multiprocessing.get_context("spawn")
    gate, results = spawn.Barrier(4), spawn.SimpleQueue()
    processes = [spawn.Process(target=_compete, args=(root, number, gate, results)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sum(results.get() for _process in processes) == 10
    assert store.read(root.join("counter"), limit=9)[0] == b"20"


def test_a_reader_never_misses_the_metadata_of_an_object_that_is_replaced(
    store: FolderStore, root: Location, on_disk: Path
) -> None:
    location = root.join("x")
    store.put(location, b"0", content_type=TEXT, metadata={"lfk-turn": "0"})
    stop = threading.Event()

    def look() -> int:
        looks = 0
        while not stop.is_set():
            data, info = store.read(location, limit=9)
            assert info.metadata["lfk-turn"] == data.decode()
            assert store.stat(location).metadata.keys() == {"lfk-turn"}
            looks += 1
        return looks

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(look) for _reader in range(2)]
        for turn in range(1, 80):
            store.put(location, b"%d" % turn, content_type=TEXT, metadata={"lfk-turn": str(turn)})
        stop.set()
        assert all(reader.result() for reader in readers)


def test_a_lock_that_is_never_released_is_an_outage(
    store: FolderStore, root: Location, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(root.join("x"), b"x", content_type=TEXT)
    monkeypatch.setattr(folder_tree, "LOCK_SECONDS", 0.05)
    with (folder / ".lfk/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreUnreachable, match="locked"):
            store.put(root.join("x"), b"y", content_type=TEXT)
        assert store.read(root.join("x"), limit=9)[0] == b"x"
    store.put(root.join("x"), b"y", content_type=TEXT)


def test_what_a_dead_process_left_is_swept_after_a_day(root: Location, folder: Path) -> None:
    scratch = folder / ".lfk/tmp"
    scratch.mkdir(parents=True)
    for name, age in (("old", 25), ("young", 23)):
        (scratch / f".lfk-{name}").write_bytes(b"x")
        moment = time.time() - age * 3600
        os.utime(scratch / f".lfk-{name}", (moment, moment))
    store = FolderStore(root)
    store.read(store.put(root.join("x"), b"x", content_type=TEXT).location, limit=9)
    assert [path.name for path in scratch.iterdir()] == [".lfk-young"]


def test_new_files_obey_the_umask(store: FolderStore, root: Location, folder: Path) -> None:
    before = os.umask(0o027)
    try:
        store.put(root.join("a/x"), b"x", content_type=TEXT)
    finally:
        os.umask(before)
    assert (folder / "a/x").stat().st_mode & 0o777 == 0o640
    assert (folder / "a").stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser may become somebody else")
def test_a_folder_without_rights_is_denied(store: FolderStore, root: Location, folder: Path, tmp_path: Path) -> None:
    store.put(root.join("a/x"), b"x", content_type=TEXT)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o600)
    up = [path for path in (folder, *folder.parents) if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001]
    modes = {path: path.stat().st_mode for path in up}
    for path in up:
        path.chmod(0o711)
    os.seteuid(65534)
    try:
        assert store.stat(root.join("a/x")).size == 1
        for call in (
            lambda: store.read(root.join("a/x"), limit=9),
            lambda: store.put(root.join("a/y"), b"y", content_type=TEXT),
            lambda: store.put(root.join("b/y"), b"y", content_type=TEXT),
            lambda: store.delete(root.join("a/x")),
            lambda: store.ensure(root.join("new").as_prefix()),
        ):
            with pytest.raises(AccessDenied):
                call()
    finally:
        os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)
