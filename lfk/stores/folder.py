"""A store in a folder: objects are plain files that people may also drop in, read and remove by hand.

Writes are atomic (a temporary file on the same file system, synced, then linked or renamed) and conditions are decided
under a lock that all lfk processes on this machine take; whoever writes by hand is outside of it. Not offered: object
versions, links over a network, and symbolic links below the root, which are never followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lfk.core.errors import (
    BucketMissing,
    ContentChanged,
    ForbiddenLocation,
    InvalidKey,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
)
from lfk.core.location import Location
from lfk.stores.base import SHA256, Capabilities, Condition, Found, IfAbsent, IfMatch, ObjectInfo, Progress, ignore
from lfk.stores.folder_listing import TEMPORARY, etag_of, walk
from lfk.stores.folder_records import PRIVATE, Description, Records, is_private
from lfk.stores.folder_tree import Tree, folder_border, regular
from lfk.stores.local_file import BLOCK_BYTES, SourceFile, TargetFile
from lfk.stores.names import object_key

_SCRATCH = (PRIVATE, "tmp")
_LOCK = (PRIVATE, "lock")
#: A temporary file that nobody has written to for a day belongs to a process that died.
_ABANDONED_SECONDS = 24 * 3600.0
#: File systems without hard links say one of these.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})

Parts = tuple[str, ...]


class FolderStore:
    """See :class:`lfk.stores.base.ObjectStore`; serves the locations below one ``file://`` folder."""

    def __init__(self, root: Location) -> None:
        self._root = root.as_prefix()
        self._tree = Tree(Path("/") / self._root.key)
        self._records = Records(self._tree)
        self._swept = False

    def check(self, prefix: Location) -> None:
        parts = self._folder_parts(prefix)
        with folder_border(prefix):
            with self._tree.folder((), listable=True):
                pass
            with suppress(FileNotFoundError), self._tree.folder(parts, listable=True):
                pass

    def ensure(self, prefix: Location) -> bool:
        parts = self._folder_parts(prefix)
        with folder_border(prefix):
            created = not self._tree.root.exists()
            try:
                self._tree.root.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
                raise BucketMissing(
                    f"the folder {self._tree.root} cannot be made: {os.strerror(error.errno or 0)}",
                    hint="name a folder in LFK_STORE that is there or can be made",
                ) from error
            try:
                with self._tree.folder(parts):
                    return created
            except FileNotFoundError:
                with self._tree.folder(parts, create=True):
                    return True

    def capabilities(self, prefix: Location) -> Capabilities:
        self.check(prefix)
        return Capabilities(
            conditional_writes=True, conditional_deletes=True, verifies_checksums=False, etag_follows_content=False
        )

    def stat(self, location: Location) -> ObjectInfo:
        parts = self._parts(location)

        def look() -> os.stat_result:
            with self._tree.folder(parts[:-1]) as parent:
                return regular(parent, parts[-1])

        with folder_border(location):
            return self._describe(location, look)

    def list(self, prefix: Location, *, after: str | None = None) -> Iterator[ObjectInfo]:
        relative = "" if f"{prefix.key}/" == self._root.key else self._relative(prefix)
        with folder_border(prefix), self._tree.folder(()):
            pass
        yield from walk(self._tree, self._root, relative, after)

    def read(self, location: Location, *, limit: int) -> tuple[bytes, ObjectInfo]:
        with self._opened(location) as (descriptor, info):
            if info.size > limit:
                raise StoreError(f"{location} has {info.size} bytes; at most {limit} were expected")
            data = b"".join(self._blocks(descriptor, info))
            self._confirm(descriptor, info, len(data))
        return data, info

    def read_part(self, location: Location, *, start: int, size: int, etag: str | None = None) -> bytes:
        with self._opened(location) as (descriptor, info):
            if etag is not None and etag != info.etag:
                raise ContentChanged(f"{location} is no longer the object with ETag {etag}")
            blocks: list[bytes] = []
            end = min(info.size, start + size)
            while start < end:
                with folder_border(location):
                    block = os.pread(descriptor, min(BLOCK_BYTES, end - start), start)
                if not block:
                    break
                start += len(block)
                blocks.append(block)
            if etag_of(os.fstat(descriptor)) != info.etag:
                raise ContentChanged(f"{location} changed while it was read")
        return b"".join(blocks)

    def download(
        self,
        location: Location,
        path: Path,
        *,
        limit: int,
        etag: str | None = None,
        version_id: str | None = None,
        progress: Progress | None = None,
    ) -> tuple[ObjectInfo, str]:
        if version_id is not None:
            raise ObjectMissing(f"{location}: a folder keeps no versions of an object")
        target = TargetFile(path, location, limit=limit)
        with self._opened(location) as (descriptor, info):
            if etag is not None and etag != info.etag:
                raise ContentChanged(f"{location} is no longer the object with ETag {etag}")
            target.expect(info.size)
            with target:
                for block in self._blocks(descriptor, info):
                    target.write(block)
                    if progress is not None:
                        progress(len(block))
                self._confirm(descriptor, info, target.size)
        return info, target.sha256()

    def put(
        self,
        location: Location,
        data: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition = None,
    ) -> ObjectInfo:
        known = Description(content_type, _lower(metadata))
        return self._write(location, (data,), lambda: known, condition)

    def upload(
        self,
        path: Path,
        location: Location,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition = None,
        progress: Progress | None = None,
    ) -> tuple[ObjectInfo, str]:
        digest = hashlib.sha256()
        with SourceFile(path) as source:

            def blocks() -> Iterator[bytes]:
                for block in source.blocks():
                    digest.update(block)
                    yield block
                    if progress is not None:
                        progress(len(block))
                source.confirm()

            def describe() -> Description:
                return Description(content_type, {**_lower(metadata), SHA256: digest.hexdigest()})

            info = self._write(location, blocks(), describe, condition)
        return info, digest.hexdigest()

    def delete(self, location: Location, *, condition: IfMatch | None = None) -> None:
        parts = self._parts(location)
        with folder_border(location), self._commit():
            try:
                with self._tree.folder(parts[:-1]) as parent:
                    state = os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
                    if stat.S_ISDIR(state.st_mode):
                        return
                    _require(condition, state, location)
                    os.unlink(parts[-1], dir_fd=parent)
            except (FileNotFoundError, NotADirectoryError):
                return
            self._records.remove(location.key)
            self._tree.prune(parts[:-1])

    def delete_version(self, location: Location, version_id: str) -> None:  # noqa: ARG002 - none are kept
        self._parts(location)

    def history(self, prefix: Location) -> Iterator[Location]:
        yield from (info.location for info in self.list(prefix))

    def purge(self, location: Location, *, keep_current: bool = False) -> int:
        if not keep_current:
            self.delete(location)
        return 0

    def sweep(self, prefix: Location, *, older_than: float, found: Found = ignore, dry_run: bool = False) -> int:
        self._folder_parts(prefix)
        with folder_border(prefix):

            def left(name: str, size: int) -> None:
                found(self._root.join("/".join((*_SCRATCH, name))), size)

            return self._tree.remove_older(_SCRATCH, older_than, left, dry_run=dry_run)

    def presign(self, location: Location, *, seconds: int, filename: str | None = None) -> str:  # noqa: ARG002
        self._parts(location)
        return str(location)

    # --- reading

    @contextmanager
    def _opened(self, location: Location) -> Iterator[tuple[int, ObjectInfo]]:
        parts = self._parts(location)
        descriptor = -1
        with ExitStack() as opened:

            def look() -> os.stat_result:
                nonlocal descriptor
                opened.close()
                descriptor, state = self._tree.open_file(parts)
                opened.callback(os.close, descriptor)
                return state

            with folder_border(location):
                info = self._describe(location, look)
            yield descriptor, info

    def _describe(self, location: Location, look: Callable[[], os.stat_result]) -> ObjectInfo:
        """What ``look`` sees, with its metadata; looks again if the object is replaced in between."""
        seen = ""
        while True:
            state = look()
            versions = self._records.load(location.key)
            etag = etag_of(state)
            # The same file twice, and still not in its record: somebody wrote it by hand.
            if etag in versions or not versions or etag == seen:
                return _info(location, state, versions.get(etag))
            seen = etag

    def _blocks(self, descriptor: int, info: ObjectInfo) -> Iterator[bytes]:
        """The bytes up to the end that was announced: a file that is being written may grow for ever."""
        offset = 0
        while offset < info.size:
            with folder_border(info.location):
                block = os.pread(descriptor, min(BLOCK_BYTES, info.size - offset), offset)
            if not block:
                return
            offset += len(block)
            yield block

    def _confirm(self, descriptor: int, info: ObjectInfo, size: int) -> None:
        if size != info.size or etag_of(os.fstat(descriptor)) != info.etag:
            raise ContentChanged(f"{info.location} changed while it was read")

    # --- writing

    def _write(
        self,
        location: Location,
        blocks: Iterable[bytes],
        describe: Callable[[], Description],
        condition: Condition,
    ) -> ObjectInfo:
        parts = self._parts(location)
        with self._temporary(location, parts) as (scratch, name, descriptor):
            for block in blocks:
                with folder_border(location):
                    _write_all(descriptor, block)
            with folder_border(location):
                # The kernel's own stamps are milliseconds apart; the ETag needs one that no other write shares.
                now = time.time_ns()
                os.utime(descriptor, ns=(now, now))
                os.fsync(descriptor)
                state = os.fstat(descriptor)
                known = describe()
                with self._commit(), self._tree.folder(parts[:-1], create=True) as parent:
                    self._place(location, condition, (scratch, name), (parent, parts[-1]), {etag_of(state): known})
                self._tree.sync(parts[:-1])
        return _info(location, state, known)

    def _place(
        self,
        location: Location,
        condition: Condition,
        source: tuple[int, str],
        target: tuple[int, str],
        known: dict[str, Description],
    ) -> None:
        """Give the temporary file its name, if the condition holds. Under the lock."""
        (scratch, fresh), (parent, name) = source, target
        there: os.stat_result | None = None
        with suppress(FileNotFoundError):
            there = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise InvalidKey(f"{location} is a folder")
        _require(condition, there, location)
        if there is not None:
            kept = self._records.load(location.key).get(etag_of(there))
            known = known if kept is None else {etag_of(there): kept, **known}
        self._records.save(location.key, known)
        if isinstance(condition, IfAbsent):
            # Unlike a rename, a link also loses against a file that somebody drops in by hand just now.
            try:
                os.link(fresh, name, src_dir_fd=scratch, dst_dir_fd=parent, follow_symlinks=False)
            except FileExistsError as error:
                raise PreconditionFailed(f"{location} is there already") from error
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
            else:
                return
        os.rename(fresh, name, src_dir_fd=scratch, dst_dir_fd=parent)

    @contextmanager
    def _temporary(self, location: Location, parts: Parts) -> Iterator[tuple[int, str, int]]:
        """A new file on the file system of its future place: folder, name and descriptor. Gone afterwards."""
        name = f"{TEMPORARY}{uuid.uuid4().hex}"
        with ExitStack() as opened:
            with folder_border(location):
                self._sweep()
                with self._tree.folder(parts[:-1], create=True) as parent:
                    device = os.fstat(parent).st_dev
                scratch = self._open(opened, _SCRATCH)
                if os.fstat(scratch).st_dev != device:
                    scratch = self._open(opened, parts[:-1])
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(name, flags, 0o666, dir_fd=scratch)
            opened.callback(_discard, scratch, name)
            opened.callback(os.close, descriptor)
            yield scratch, name, descriptor

    def _open(self, opened: ExitStack, parts: Parts) -> int:
        descriptor = self._tree.open_folder(parts, create=True)
        opened.callback(os.close, descriptor)
        return descriptor

    @contextmanager
    def _commit(self) -> Iterator[None]:
        with self._tree.folder(()):  # a root that is missing must not be made by the lock file
            pass
        with self._tree.locked(_LOCK):
            yield

    def _sweep(self) -> None:
        """Remove what processes that died left behind; once, before the first write."""
        if not self._swept:
            self._tree.remove_older(_SCRATCH, _ABANDONED_SECONDS)
            self._swept = True

    # --- names

    def _parts(self, location: Location) -> Parts:
        object_key(location)
        parts = tuple(self._relative(location).split("/"))
        if "" in parts:
            raise InvalidKey(f"{location}: a folder cannot hold a name with an empty part")
        if is_private(parts) or parts[-1].startswith(TEMPORARY):
            raise InvalidKey(f"{location} is where this store keeps its own records")
        return parts

    def _folder_parts(self, prefix: Location) -> Parts:
        if prefix.as_prefix() == self._root:
            return ()
        return self._parts(Location(prefix.scheme, prefix.bucket, prefix.key.rstrip("/")))

    def _relative(self, location: Location) -> str:
        if not self._root.contains(location):
            raise ForbiddenLocation(f"{location} is not below {self._root}")
        return self._root.relative(location)


def _info(location: Location, state: os.stat_result, known: Description | None) -> ObjectInfo:
    known = known or Description()
    return ObjectInfo(
        location=location,
        size=state.st_size,
        etag=etag_of(state),
        modified=state.st_mtime,
        content_type=known.content_type,
        metadata=known.metadata,
    )


def _require(condition: Condition, there: os.stat_result | None, location: Location) -> None:
    if isinstance(condition, IfAbsent) and there is not None:
        raise PreconditionFailed(f"{location} is there already")
    if isinstance(condition, IfMatch) and (there is None or etag_of(there) != condition.etag):
        raise PreconditionFailed(f"{location} is no longer the object with ETag {condition.etag}")


def _write_all(descriptor: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


def _discard(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):  # it has been given its own name
        os.unlink(name, dir_fd=folder)


def _lower(metadata: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (metadata or {}).items()}
