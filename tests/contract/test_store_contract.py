"""What every store promises (lfk/stores/base.py), asked of each: memory, folder, and S3 servers in both ways.

A new store joins by one more class at the end of this file.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfk.core.errors import (
    AudioTooLarge,
    BucketMissing,
    ContentChanged,
    InvalidKey,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
)
from lfk.core.location import Location, parse_location
from lfk.stores.base import SHA256, SOURCE, Capabilities, IfAbsent, IfMatch, ObjectStore
from lfk.stores.folder import FolderStore
from lfk.stores.local_file import SourceFile
from lfk.stores.memory import MemoryStore
from lfk.stores.s3 import S3Store
from tests.services.s3 import S3Server

TEXT = "text/plain"
#: Over the size up to which a store may send a file in one piece, and no multiple of a part.
LARGE = (20 << 20) + 12345
AWKWARD = [
    "plain.wav",
    "two words.wav",
    " leading and trailing ",
    "100% + 1 = #2?&x=y;z.wav",
    "%41%2F%00.wav",
    "a+b%20c.wav",
    "ünï çødé/日本語/😀🎧.wav",
    "e\u0301 is not \u00e9.wav",
    "line\nbreak\ttab.wav",
    "back\\slash.wav",
    "quotes'\"<>*|:.wav",
    "...",
    "deep/er/and/deep/er/x.wav",
    "~tilde/-dash/_under.wav",
    f"{'n' * 255}",
    "/".join(["p" * 200] * 4),
]


@dataclass(frozen=True)
class Place:
    """A store with an empty prefix to work in."""

    store: ObjectStore
    root: Location
    #: A prefix of which neither bucket nor root folder exists.
    missing: Location

    def at(self, relative: str) -> Location:
        """A location below the root, unchecked."""
        return Location(self.root.scheme, self.root.bucket, self.root.key + relative)

    def put(self, relative: str, data: bytes = b"data", **options: Any) -> Location:
        location = self.at(relative)
        self.store.put(location, data, content_type=TEXT, **options)
        return location

    def keys(self, prefix: str = "", after: str | None = None) -> list[str]:
        """Listed keys relative to the root."""
        after = None if after is None else self.root.key + after
        found = [info.location for info in self.store.list(self.at(prefix), after=after)]
        assert all(location.bucket == self.root.bucket for location in found)
        return [location.key.removeprefix(self.root.key) for location in found]


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run ``work`` in that many threads at once, begun together."""
    gate = threading.Barrier(count)

    def begin(number: int) -> None:
        gate.wait()
        work(number)

    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(begin, number) for number in range(count)]:
            future.result()


def write_file(path: Path, size: int) -> bytes:
    """Fill a file with bytes that do not repeat."""
    data = b"".join(hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(size // 32 + 1))[:size]
    path.write_bytes(data)
    return data


class StoreContract:
    """The suite. Subclasses bring a ``place``."""

    #: Characters that the store's protocol cannot carry in a key.
    unlisted: ClassVar[str] = "\0"

    @pytest.fixture
    def place(self) -> Iterator[Place]:
        raise NotImplementedError

    # --- one object

    def test_what_was_put_comes_back(self, place: Place) -> None:
        location = place.at("a/b.txt")
        metadata = {
            SOURCE: "höst:/Aufnahmen/é 😀  x.wav ",
            "LFK-Other": "base64:no",
            "lfk-third": "",
            "lfk-plain": "a b",
        }
        before = time.time()
        written = place.store.put(location, b"hello", content_type="text/x-lfk; charset=utf-8", metadata=metadata)
        info = place.store.stat(location)
        data, read = place.store.read(location, limit=5)
        assert data == b"hello"
        assert info == read
        assert (written.location, written.size, written.etag, written.content_type, written.metadata) == (
            location,
            5,
            info.etag,
            "text/x-lfk; charset=utf-8",
            info.metadata,
        )
        assert info.size == 5
        assert info.content_type == "text/x-lfk; charset=utf-8"
        assert info.metadata == {name.lower(): value for name, value in metadata.items()}
        assert '"' not in info.etag
        assert abs(info.modified - self.now(before)) < 5
        assert abs(written.modified - info.modified) < 5

    def now(self, moment: float) -> float:
        """What the store's clock says at that moment."""
        return moment

    def test_a_later_write_wins(self, place: Place) -> None:
        first = place.store.stat(place.put("x", b"first"))
        second = place.store.stat(place.put("x", b"second, longer"))
        assert place.store.read(place.at("x"), limit=99)[0] == b"second, longer"
        assert first.etag != second.etag

    def test_an_empty_object(self, place: Place) -> None:
        location = place.put("empty", b"")
        assert place.store.stat(location).size == 0
        assert place.store.read(location, limit=0)[0] == b""

    def test_what_is_not_there_is_missing(self, place: Place) -> None:
        place.put("there/x")
        for name in ("nothing", "there/nothing", "there", "no/such/folder/x"):
            for ask in (place.store.stat, lambda at: place.store.read(at, limit=9)):
                with pytest.raises(ObjectMissing):
                    ask(place.at(name))

    def test_a_read_is_limited(self, place: Place) -> None:
        location = place.put("x", b"12345")
        assert place.store.read(location, limit=5)[0] == b"12345"
        with pytest.raises(StoreError, match="5 bytes"):
            place.store.read(location, limit=4)

    def test_a_part_is_read(self, place: Place) -> None:
        data = bytes(range(256)) * 40
        location = place.put("x", data)
        etag = place.store.stat(location).etag
        for start, size in ((0, 1), (0, 256), (100, 5000), (len(data) - 1, 1), (10_000, 10_000), (0, len(data))):
            assert place.store.read_part(location, start=start, size=size, etag=etag) == data[start : start + size]
        assert place.store.read_part(location, start=len(data), size=10) == b""
        assert place.store.read_part(location, start=len(data) + 5, size=10, etag=etag) == b""
        empty = place.put("empty", b"")
        assert place.store.read_part(empty, start=0, size=10) == b""
        with pytest.raises(ObjectMissing):
            place.store.read_part(place.at("missing"), start=0, size=10)
        place.put("x", b"other content")
        with pytest.raises(ContentChanged):
            place.store.read_part(location, start=0, size=10, etag=etag)

    def test_delete(self, place: Place) -> None:
        location = place.put("a/x")
        place.store.delete(location)
        with pytest.raises(ObjectMissing):
            place.store.stat(location)
        place.store.delete(location)
        assert place.keys() == []

    # --- keys

    @pytest.mark.parametrize("name", AWKWARD)
    def test_awkward_keys_round_trip(self, place: Place, name: str) -> None:
        location = place.put(name, b"found")
        assert place.store.stat(location).location == location
        assert place.store.read(location, limit=9)[0] == b"found"
        assert place.keys() == [name]
        assert place.store.presign(location, seconds=60)
        place.store.delete(location)
        assert place.keys() == []

    def test_any_key_round_trips(self, place: Place) -> None:
        characters = st.characters(codec="utf-8", exclude_characters=self.unlisted + "/", exclude_categories=["Cn"])
        part = st.text(characters, min_size=1, max_size=20).filter(
            lambda text: text not in (".", "..") and not text.startswith((".lfk", ".sgw")) and len(text.encode()) < 200
        )

        @settings(max_examples=40, deadline=None)
        @given(st.lists(part, min_size=1, max_size=4))
        def round_trips(parts: list[str]) -> None:
            name = "/".join(parts)
            location = place.put(name, name.encode())
            assert place.store.read(location, limit=1024)[0] == name.encode()
            assert place.keys() == [name]
            place.store.delete(location)

        round_trips()

    @pytest.mark.parametrize(
        "name", ["", "a/", "../x", "a/../x", "a/..", "./x", "a/./x", "nul\0", "x" * 1100, "\udce9.wav"]
    )
    def test_bad_keys_are_refused(self, place: Place, name: str, tmp_path: Path) -> None:
        location = place.at(name)
        file = tmp_path / "x"
        file.write_bytes(b"x")
        calls: list[Callable[[], object]] = [
            lambda: place.store.stat(location),
            lambda: place.store.read(location, limit=9),
            lambda: place.store.put(location, b"x", content_type=TEXT),
            lambda: place.store.upload(file, location, content_type=TEXT),
            lambda: place.store.download(location, tmp_path / "y", limit=9),
            lambda: place.store.delete(location),
            lambda: place.store.presign(location, seconds=9),
        ]
        for call in calls:
            with pytest.raises(InvalidKey):
                call()
        assert not (tmp_path / "y").exists()

    # --- conditions

    def test_put_if_absent(self, place: Place) -> None:
        location = place.put("x", b"first", condition=IfAbsent())
        with pytest.raises(PreconditionFailed):
            place.put("x", b"second", condition=IfAbsent())
        assert place.store.read(location, limit=9)[0] == b"first"

    def test_of_many_writers_if_absent_one_wins(self, place: Place) -> None:
        for race in range(3):
            won: list[int] = []

            def write(number: int, race: int = race, won: list[int] = won) -> None:
                try:
                    place.put(f"race{race}", b"%d" % number, condition=IfAbsent())
                except PreconditionFailed:
                    return
                won.append(number)

            in_threads(16, write)
            assert len(won) == 1
            assert place.store.read(place.at(f"race{race}"), limit=9)[0] == b"%d" % won[0]

    def test_put_if_match(self, place: Place) -> None:
        location = place.put("x", b"first")
        etag = place.store.stat(location).etag
        place.put("x", b"second", condition=IfMatch(etag))
        with pytest.raises(PreconditionFailed):
            place.put("x", b"third", condition=IfMatch(etag))
        assert place.store.read(location, limit=9)[0] == b"second"
        with pytest.raises(PreconditionFailed):
            place.put("nothing", b"x", condition=IfMatch(etag))
        assert place.keys() == ["x"]

    def test_no_update_is_lost_between_writers(self, place: Place) -> None:
        location = place.put("counter", b"0")

        def count(_number: int) -> None:
            done = 0
            while done < 5:
                data, info = place.store.read(location, limit=9)
                try:
                    place.put("counter", b"%d" % (int(data) + 1), condition=IfMatch(info.etag))
                except PreconditionFailed:
                    continue
                done += 1

        in_threads(6, count)
        assert place.store.read(location, limit=9)[0] == b"30"

    def test_delete_if_match(self, place: Place) -> None:
        location = place.put("x", b"first")
        old = place.store.stat(location).etag
        place.put("x", b"second")
        with pytest.raises(PreconditionFailed):
            place.store.delete(location, condition=IfMatch(old))
        assert place.store.read(location, limit=9)[0] == b"second"
        place.store.delete(location, condition=IfMatch(place.store.stat(location).etag))
        with pytest.raises(ObjectMissing):
            place.store.stat(location)
        place.store.delete(location, condition=IfMatch(old))

    def test_readers_see_whole_objects_while_they_are_replaced(self, place: Place, tmp_path: Path) -> None:
        def content(number: int) -> tuple[bytes, dict[str, str]]:
            data = b"%d" % (number % 10) * (5_000 * (1 + number % 7))
            return data, {SHA256: hashlib.sha256(data).hexdigest()}

        first, metadata = content(0)
        location = place.put("x", first, metadata=metadata)
        stop = threading.Event()
        seen: list[int] = []

        def read(number: int) -> None:
            while not stop.is_set():
                data, info = place.store.read(location, limit=1 << 20)
                assert info.size == len(data)
                assert info.metadata[SHA256] == hashlib.sha256(data).hexdigest()
                fetched, sha256 = place.store.download(location, tmp_path / f"{number}", limit=1 << 20)
                assert fetched.metadata[SHA256] == sha256
                assert place.store.stat(location).metadata.keys() == {SHA256}
                seen.append(len(data))

        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read, number) for number in range(2)]
            try:
                for number in range(60):
                    data, metadata = content(number)
                    place.put("x", data, metadata=metadata)
            finally:
                stop.set()
            for reader in readers:
                reader.result()
        assert seen

    # --- listings

    #: In the order of their UTF-8. The one that ends in a slash is never an object.
    KEYS: ClassVar = sorted(
        [
            *"AZ_é日\ufb01😀",
            "a!/x",
            "a-/x",
            "a.b",
            "a/1",
            "a/b.c",
            "a/b/c",
            "a/b0",
            "a0",
            "B/b",
            "a.b.c/x",
            "éa/b",
            "a/b/",
        ],
        key=lambda name: name.encode(),
    )

    def fill(self, place: Place) -> list[str]:
        """Put objects at ``KEYS``, but for the mark of a folder; returns their keys in order."""
        names = [name for name in self.KEYS if not name.endswith("/")]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(place.put, names))
        return names

    def test_listings_are_in_the_order_of_utf8_keys(self, place: Place) -> None:
        names = self.fill(place)
        assert place.keys() == names

    def test_a_listing_goes_on_behind_any_key(self, place: Place) -> None:
        names = self.fill(place)
        for after in [*self.KEYS, "", "a/", "a/b/b", "a/b/d", "a/zzz", "zzzz", "\U0010ffff"]:
            assert place.keys(after=after) == [name for name in names if name.encode() > after.encode()], after

    def test_a_prefix_is_the_beginning_of_a_key(self, place: Place) -> None:
        names = self.fill(place)
        for prefix in ["a", "a/", "a/b", "a/b/", "a.", "A", "é", "nothing", "nothing/", "a/nothing/", "Z/", "a/1/"]:
            wanted = [name for name in names if name.startswith(prefix)]
            assert place.keys(prefix) == wanted, prefix
            assert place.keys(prefix, after="a/b") == [name for name in wanted if name > "a/b"], prefix

    def test_a_listing_tells_size_and_etag_and_nothing_that_costs_a_look(self, place: Place) -> None:
        location = place.put("x", b"12345", metadata={SHA256: "0" * 64})
        (listed,) = place.store.list(place.root)
        info = place.store.stat(location)
        assert (listed.location, listed.size, listed.etag) == (location, 5, info.etag)
        assert abs(listed.modified - info.modified) < 1
        assert (dict(listed.metadata), listed.content_type) == ({}, None)

    def test_objects_may_go_while_they_are_listed(self, place: Place) -> None:
        names = [place.put(f"{number:02d}").key for number in range(20)]
        listed = []
        for info in place.store.list(place.root):
            listed.append(info.location.key)
            place.store.delete(info.location)
        assert listed == names
        assert place.keys() == []

    # --- files

    @pytest.mark.parametrize("size", [0, 1, 300_000, LARGE])
    def test_files_go_up_and_come_down(self, place: Place, tmp_path: Path, size: int) -> None:
        data = write_file(tmp_path / "up", size)
        sha256 = hashlib.sha256(data).hexdigest()
        location = place.at("folder/é.wav")
        sent: list[int] = []
        fetched: list[int] = []
        info, told = place.store.upload(
            tmp_path / "up",
            location,
            content_type="audio/wav",
            metadata={SOURCE: "ü"},
            progress=sent.append,
        )
        stored = place.store.stat(location)
        assert (told, sum(sent)) == (sha256, size)
        assert (info.etag, info.size, info.metadata) == (stored.etag, size, stored.metadata)
        assert stored.metadata == {SHA256: sha256, SOURCE: "ü"}
        assert stored.content_type == "audio/wav"
        down, again = place.store.download(
            location, tmp_path / "down", limit=size, etag=info.etag, progress=fetched.append
        )
        assert (down, again, sum(fetched)) == (stored, sha256, size)
        assert (tmp_path / "down").read_bytes() == data

    @pytest.mark.parametrize("size", [1000, LARGE])
    def test_uploads_obey_conditions(self, place: Place, tmp_path: Path, size: int) -> None:
        location = place.put("x", b"there")
        write_file(tmp_path / "up", size)
        for condition in (IfAbsent(), IfMatch("0123")):
            with pytest.raises(PreconditionFailed):
                place.store.upload(tmp_path / "up", location, content_type=TEXT, condition=condition)
        assert place.store.read(location, limit=9)[0] == b"there"
        etag = place.store.stat(location).etag
        place.store.upload(tmp_path / "up", location, content_type=TEXT, condition=IfMatch(etag))
        assert place.store.stat(location).size == size
        place.store.upload(tmp_path / "up", place.at("new"), content_type=TEXT, condition=IfAbsent())
        assert place.keys() == ["new", "x"]

    @pytest.mark.parametrize("size", [1000, LARGE])
    def test_of_many_uploads_if_absent_one_wins(self, place: Place, tmp_path: Path, size: int) -> None:
        won: list[int] = []
        for number in range(4):
            write_file(tmp_path / f"{number}", size + number)

        def upload(number: int) -> None:
            try:
                place.store.upload(tmp_path / f"{number}", place.at("x"), content_type=TEXT, condition=IfAbsent())
            except PreconditionFailed:
                return
            won.append(number)

        in_threads(4, upload)
        assert len(won) == 1
        assert place.store.stat(place.at("x")).size == size + won[0]

    @pytest.mark.parametrize("size", [1000, LARGE])
    def test_a_file_that_changes_is_not_uploaded(
        self, place: Place, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "growing"
        write_file(path, size)
        read = SourceFile.read
        reads: list[int] = []

        def read_then_grow(self: SourceFile, offset: int, length: int) -> bytes:
            data = read(self, offset, length)
            reads.append(length)
            if len(reads) == 1:
                with path.open("ab") as file:
                    file.write(b"more")
            return data

        monkeypatch.setattr(SourceFile, "read", read_then_grow)
        with pytest.raises(ContentChanged):
            place.store.upload(path, place.at("x"), content_type=TEXT)
        assert place.keys() == []

    @pytest.mark.parametrize("size", [1000, LARGE])
    def test_a_file_that_shrinks_is_not_uploaded(
        self, place: Place, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "shrinking"
        write_file(path, size)
        opened = SourceFile.__init__

        def open_then_cut(self: SourceFile, path: Path) -> None:
            opened(self, path)
            os.truncate(path, size // 2)

        monkeypatch.setattr(SourceFile, "__init__", open_then_cut)
        with pytest.raises(ContentChanged):
            place.store.upload(path, place.at("x"), content_type=TEXT)
        assert place.keys() == []

    def test_a_file_that_cannot_be_read_says_so_itself(self, place: Place, tmp_path: Path) -> None:
        (tmp_path / "folder.wav").mkdir()
        os.mkfifo(tmp_path / "pipe.wav")
        secret = tmp_path / "secret.wav"
        secret.write_bytes(b"x")
        secret.chmod(0)
        with pytest.raises(FileNotFoundError):
            place.store.upload(tmp_path / "nothing", place.at("x"), content_type=TEXT)
        with pytest.raises(IsADirectoryError):
            place.store.upload(tmp_path / "folder.wav", place.at("x"), content_type=TEXT)
        with pytest.raises(OSError, match="not a regular file"):
            place.store.upload(tmp_path / "pipe.wav", place.at("x"), content_type=TEXT)
        user = os.geteuid()
        if user == 0:  # the superuser may read everything
            os.seteuid(65534)
        try:
            with pytest.raises(PermissionError):
                place.store.upload(secret, place.at("x"), content_type=TEXT)
        finally:
            os.seteuid(user)
        assert place.keys() == []

    def test_downloads_that_are_refused_leave_no_file(self, place: Place, tmp_path: Path) -> None:
        location = place.put("x", b"12345")
        info = place.store.stat(location)
        path = tmp_path / "down"
        with pytest.raises(ContentChanged):
            place.store.download(location, path, limit=9, etag="0123")
        with pytest.raises(AudioTooLarge, match="5 bytes"):
            place.store.download(location, path, limit=4)
        with pytest.raises(ObjectMissing):
            place.store.download(place.at("nothing"), path, limit=9)
        with pytest.raises(ObjectMissing):
            place.store.download(location, path, limit=9, version_id="3" * 32)
        assert list(tmp_path.iterdir()) == []
        assert place.store.download(location, path, limit=5, etag=info.etag)[0] == info

    def test_an_object_replaced_while_it_is_fetched_is_never_mixed(self, place: Place, tmp_path: Path) -> None:
        old = write_file(tmp_path / "up", LARGE)
        location = place.at("x")
        info, sha256 = place.store.upload(tmp_path / "up", location, content_type=TEXT)
        with ThreadPoolExecutor(1) as pool:
            writes = []

            def replace(_count: int) -> None:
                # In a thread of its own: a server may let a writer wait for a reader, but not the other way round.
                if not writes:
                    writes.append(pool.submit(place.put, "x", b"new"))

            try:
                fetched, told = place.store.download(location, tmp_path / "down", limit=LARGE, progress=replace)
            except ContentChanged:
                assert not (tmp_path / "down").exists()
            else:
                assert (fetched.etag, told) == (info.etag, sha256)
                assert (tmp_path / "down").read_bytes() == old
            writes[0].result()
        assert place.store.read(location, limit=9)[0] == b"new"

    # --- places

    def test_a_missing_bucket_is_named_as_such(self, place: Place, tmp_path: Path) -> None:
        location = Location(place.missing.scheme, place.missing.bucket, place.missing.key + "x")
        store = self.store_for_missing(place)
        (tmp_path / "x").write_bytes(b"x")
        calls: list[Callable[[], object]] = [
            lambda: store.check(place.missing),
            lambda: store.stat(location),
            lambda: store.read(location, limit=9),
            lambda: list(store.list(place.missing)),
            lambda: store.put(location, b"x", content_type=TEXT),
            lambda: store.put(location, b"x", content_type=TEXT, condition=IfAbsent()),
            lambda: store.upload(tmp_path / "x", location, content_type=TEXT),
            lambda: store.download(location, tmp_path / "y", limit=9),
            lambda: store.delete(location),
        ]
        for call in calls:
            with pytest.raises(BucketMissing):
                call()

    def store_for_missing(self, place: Place) -> ObjectStore:
        """The store that serves ``place.missing``."""
        return place.store

    def test_a_bucket_is_made_once(self, place: Place) -> None:
        store = self.store_for_missing(place)
        assert store.ensure(place.missing) is True
        store.check(place.missing)
        assert store.ensure(place.missing) is False
        assert list(store.list(place.missing)) == []
        location = Location(place.missing.scheme, place.missing.bucket, place.missing.key + "x")
        store.put(location, b"x", content_type=TEXT)
        store.delete(location)

    def test_check_passes_where_nothing_is_yet(self, place: Place) -> None:
        place.store.check(place.root)
        place.store.check(place.at("not/yet/"))

    def test_capabilities_are_known_and_leave_nothing_behind(self, place: Place) -> None:
        found = place.store.capabilities(place.at(".lfk/"))
        assert isinstance(found, Capabilities)
        assert found.conditional_writes
        assert place.store.capabilities(place.at(".lfk/")) == found
        assert place.keys(".lfk/") == []

    def test_what_is_purged_leaves_nothing(self, place: Place) -> None:
        first, second = place.put("a/x.wav", b"first"), place.put("a/y.wav")
        place.put("a/x.wav", b"second")
        assert set(place.store.history(place.at("a/"))) == {first, second}
        assert place.store.purge(first, keep_current=True) == 0
        assert place.store.read(first, limit=9)[0] == b"second"
        assert place.store.purge(first) == 0
        assert list(place.store.history(place.at("a/"))) == [second]
        assert place.store.purge(first) == 0, "once more is no error"

    def test_links_name_the_object(self, place: Place) -> None:
        location = place.put("x y.wav")
        link = place.store.presign(location, seconds=60, filename="x y.wav")
        if location.scheme == "file":
            assert link == str(location)
        else:
            assert link.startswith(("http://", "https://", "s3://"))

    def test_many_threads_share_a_store(self, place: Place) -> None:
        def work(number: int) -> None:
            for turn in range(5):
                location = place.put(f"{number}/{turn}", b"%d/%d" % (number, turn))
                assert place.store.read(location, limit=9)[0] == b"%d/%d" % (number, turn)
                assert place.store.stat(location).size == 3

        in_threads(8, work)
        assert len(place.keys()) == 40


class TestMemory(StoreContract):
    @pytest.fixture
    def place(self) -> Iterator[Place]:
        store = MemoryStore(clock=lambda: 1_000_000.0, buckets=["bucket"])
        yield Place(store, parse_location("s3://bucket/p/"), parse_location("s3://missing/p/"))

    def now(self, moment: float) -> float:
        return 1_000_000.0


class TestFolder(StoreContract):
    @pytest.fixture
    def place(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
        folder = tmp_path_factory.mktemp("store é")
        root = parse_location(f"file://{folder}/")
        yield Place(FolderStore(root), root, root.join("not here").as_prefix())

    def store_for_missing(self, place: Place) -> ObjectStore:
        return FolderStore(place.missing)


@cache
def s3_store(server: S3Server, short_way: bool) -> S3Store:
    """One store for all tests on a server: its connections stay open."""
    return S3Store(
        endpoint_url=server.endpoint_url,
        region=server.region,
        access_key=server.access_key,
        secret_key=server.secret_key,
        short_way=short_way,
    )


@pytest.mark.s3
class TestS3(StoreContract):
    # Listings are XML, which has no place for these, and not every server encodes them as it is asked to.
    unlisted = "".join(chr(code) for code in [*range(32), *range(127, 160), 0xFFFE, 0xFFFF])
    short_way = True

    @pytest.fixture
    def place(self, s3_server: S3Server, bucket: str) -> Iterator[Place]:
        store = s3_store(s3_server, self.short_way)
        missing = f"{bucket}-missing"
        yield Place(store, parse_location(f"s3://{bucket}/p/"), parse_location(f"s3://{missing}/p/"))
        client = s3_server.client()
        if any(found["Name"] == missing for found in client.list_buckets()["Buckets"]):
            client.delete_bucket(Bucket=missing)


@pytest.mark.s3
class TestS3ThroughBotocore(TestS3):
    """The same, with every request on the general way."""

    short_way = False
