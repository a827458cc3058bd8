"""One store over several: each location goes to the store that serves its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lfk.core.errors import ForbiddenLocation
from lfk.core.location import Location
from lfk.stores.base import Capabilities, Condition, Found, IfMatch, ObjectInfo, ObjectStore, Progress, ignore


class RoutingStore:
    """See :class:`lfk.stores.base.ObjectStore`; the longest prefix that contains a location decides."""

    def __init__(self, places: Sequence[tuple[Location, ObjectStore]]) -> None:
        self._places = sorted(places, key=lambda place: len(place[0].as_prefix().key), reverse=True)

    def check(self, prefix: Location) -> None:
        self._at(prefix).check(prefix)

    def ensure(self, prefix: Location) -> bool:
        return self._at(prefix).ensure(prefix)

    def capabilities(self, prefix: Location) -> Capabilities:
        return self._at(prefix).capabilities(prefix)

    def stat(self, location: Location) -> ObjectInfo:
        return self._at(location).stat(location)

    def list(self, prefix: Location, *, after: str | None = None) -> Iterator[ObjectInfo]:
        return self._at(prefix).list(prefix, after=after)

    def read(self, location: Location, *, limit: int) -> tuple[bytes, ObjectInfo]:
        return self._at(location).read(location, limit=limit)

    def read_part(self, location: Location, *, start: int, size: int, etag: str | None = None) -> bytes:
        return self._at(location).read_part(location, start=start, size=size, etag=etag)

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
        return self._at(location).download(
            location, path, limit=limit, etag=etag, version_id=version_id, progress=progress
        )

    def put(
        self,
        location: Location,
        data: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition = None,
    ) -> ObjectInfo:
        return self._at(location).put(location, data, content_type=content_type, metadata=metadata, condition=condition)

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
        return self._at(location).upload(
            path, location, content_type=content_type, metadata=metadata, condition=condition, progress=progress
        )

    def delete(self, location: Location, *, condition: IfMatch | None = None) -> None:
        self._at(location).delete(location, condition=condition)

    def delete_version(self, location: Location, version_id: str) -> None:
        self._at(location).delete_version(location, version_id)

    def history(self, prefix: Location) -> Iterator[Location]:
        return self._at(prefix).history(prefix)

    def purge(self, location: Location, *, keep_current: bool = False) -> int:
        return self._at(location).purge(location, keep_current=keep_current)

    def sweep(self, prefix: Location, *, older_than: float, found: Found = ignore, dry_run: bool = False) -> int:
        return self._at(prefix).sweep(prefix, older_than=older_than, found=found, dry_run=dry_run)

    def presign(self, location: Location, *, seconds: int, filename: str | None = None) -> str:
        return self._at(location).presign(location, seconds=seconds, filename=filename)

    def _at(self, location: Location) -> ObjectStore:
        for prefix, store in self._places:
            if prefix.contains(location) or prefix.as_prefix() == location.as_prefix():
                return store
        raise ForbiddenLocation(f"{location} lies in none of the configured places")
