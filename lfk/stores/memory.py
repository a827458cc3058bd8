"""A store in memory, for tests of roles and of programs built on lfk: no disk, no network, a clock that obeys.

It behaves as S3 does where stores differ: any key that is a key at all, no folders, ETags that follow the content.
"""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lfk.core.errors import BucketMissing, ContentChanged, ObjectMissing, PreconditionFailed, StoreError
from lfk.core.location import Location
from lfk.stores.base import SHA256, Capabilities, Condition, Found, IfAbsent, IfMatch, ObjectInfo, Progress, ignore
from lfk.stores.local_file import BLOCK_BYTES, SourceFile, TargetFile
from lfk.stores.names import LeftOut, object_key

#: Where the built-in clock starts; it goes on by one second with every write.
_EPOCH = 1_600_000_000.0


@dataclass(frozen=True, slots=True)
class _Object:
    info: ObjectInfo
    data: bytes


class MemoryStore:
    """See :class:`lfk.stores.base.ObjectStore`."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        buckets: Iterable[str] | None = None,
        on_call: Callable[[str, Location], None] | None = None,
    ) -> None:
        """Start empty.

        Args:
            clock: gives ``ObjectInfo.modified``; without one, time goes on by a second with every write.
            buckets: the buckets that exist; without it, all do. The bucket of ``file://`` is ``""``.
            on_call: is told the method and location of each call before anything happens. What it raises the caller
                gets, so a test can make any call fail, or do something else in between.
        """
        self._clock = clock or self._tick
        self._buckets = None if buckets is None else set(buckets)
        self._on_call = on_call
        self._objects: dict[Location, _Object] = {}
        self._lock = threading.RLock()
        self._ticks = 0

    def check(self, prefix: Location) -> None:
        self._begin("check", prefix)

    def ensure(self, prefix: Location) -> bool:
        if self._on_call is not None:
            self._on_call("ensure", prefix)
        if self._buckets is None or prefix.bucket in self._buckets:
            return False
        self._buckets.add(prefix.bucket)
        return True

    def capabilities(self, prefix: Location) -> Capabilities:
        self._begin("capabilities", prefix)
        return Capabilities(
            conditional_writes=True, conditional_deletes=True, verifies_checksums=True, etag_follows_content=True
        )

    def stat(self, location: Location) -> ObjectInfo:
        return self._get("stat", location).info

    def list(self, prefix: Location, *, after: str | None = None) -> Iterator[ObjectInfo]:
        self._begin("list", prefix)
        left_out = LeftOut(prefix)
        with self._lock:
            names = sorted(at.key for at in self._objects if (at.scheme, at.bucket) == (prefix.scheme, prefix.bucket))
        for key in names[0 if after is None else bisect_right(names, after) :]:
            if not key.startswith(prefix.key) or not left_out.takes(key):
                continue
            found = self._objects.get(Location(prefix.scheme, prefix.bucket, key))
            if found is not None:
                yield replace(found.info, metadata={}, content_type=None)
        left_out.report()

    def read(self, location: Location, *, limit: int) -> tuple[bytes, ObjectInfo]:
        found = self._get("read", location)
        if found.info.size > limit:
            raise StoreError(f"{location} has {found.info.size} bytes; at most {limit} were expected")
        return found.data, found.info

    def read_part(self, location: Location, *, start: int, size: int, etag: str | None = None) -> bytes:
        found = self._get("read_part", location)
        if etag is not None and etag != found.info.etag:
            raise ContentChanged(f"{location} is no longer the object with ETag {etag}")
        return found.data[start : start + size]

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
        found = self._get("download", location)
        if version_id is not None:
            raise ObjectMissing(f"{location} has no versions here")
        if etag is not None and etag != found.info.etag:
            raise ContentChanged(f"{location} is no longer the object with ETag {etag}")
        target = TargetFile(path, location, limit=limit)
        target.expect(found.info.size)
        with target:
            for start in range(0, len(found.data), BLOCK_BYTES):
                block = found.data[start : start + BLOCK_BYTES]
                target.write(block)
                if progress is not None:
                    progress(len(block))
        return found.info, target.sha256()

    def put(
        self,
        location: Location,
        data: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition = None,
    ) -> ObjectInfo:
        self._begin("put", location)
        return self._write(location, data, content_type, metadata or {}, condition)

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
        self._begin("upload", location)
        object_key(location)
        with SourceFile(path) as source:
            data = source.read(0, source.size)
            source.confirm()
        sha256 = hashlib.sha256(data).hexdigest()
        info = self._write(location, data, content_type, {**(metadata or {}), SHA256: sha256}, condition)
        if progress is not None:
            progress(len(data))
        return info, sha256

    def delete(self, location: Location, *, condition: IfMatch | None = None) -> None:
        self._begin("delete", location)
        object_key(location)
        with self._lock:
            if location in self._objects:
                self._require(condition, location)
                del self._objects[location]

    def delete_version(self, location: Location, version_id: str) -> None:  # noqa: ARG002 - none are kept
        self._begin("delete_version", location)
        object_key(location)

    def history(self, prefix: Location) -> Iterator[Location]:
        yield from (info.location for info in self.list(prefix))

    def purge(self, location: Location, *, keep_current: bool = False) -> int:
        if not keep_current:
            self.delete(location)
        return 0

    def sweep(
        self,
        prefix: Location,
        *,
        older_than: float,  # noqa: ARG002 - nothing is ever left behind
        found: Found = ignore,  # noqa: ARG002
        dry_run: bool = False,  # noqa: ARG002
    ) -> int:
        self._begin("sweep", prefix)
        return 0

    def presign(self, location: Location, *, seconds: int, filename: str | None = None) -> str:  # noqa: ARG002
        self._begin("presign", location)
        object_key(location)
        return str(location)

    def _begin(self, method: str, location: Location) -> None:
        if self._on_call is not None:
            self._on_call(method, location)
        if self._buckets is not None and location.bucket not in self._buckets:
            raise BucketMissing(f"there is no bucket {location.bucket!r}")

    def _get(self, method: str, location: Location) -> _Object:
        self._begin(method, location)
        object_key(location)
        found = self._objects.get(location)
        if found is None:
            raise ObjectMissing(f"there is no {location}")
        return found

    def _write(
        self, location: Location, data: bytes, content_type: str, metadata: Mapping[str, str], condition: Condition
    ) -> ObjectInfo:
        object_key(location)
        with self._lock:
            self._require(condition, location)
            info = ObjectInfo(
                location=location,
                size=len(data),
                etag=hashlib.sha256(data).hexdigest()[:32],
                modified=self._clock(),
                content_type=content_type,
                metadata={name.lower(): value for name, value in metadata.items()},
            )
            self._objects[location] = _Object(info, bytes(data))
        return info

    def _require(self, condition: Condition, location: Location) -> None:
        found = self._objects.get(location)
        if isinstance(condition, IfAbsent) and found is not None:
            raise PreconditionFailed(f"{location} is there already")
        if isinstance(condition, IfMatch) and (found is None or found.info.etag != condition.etag):
            raise PreconditionFailed(f"{location} is no longer the object with ETag {condition.etag}")

    def _tick(self) -> float:
        self._ticks += 1
        return _EPOCH + self._ticks
