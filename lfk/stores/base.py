"""The store protocol: what lfk needs of an object store, no more. Its docstrings are the contract that tests run.

A store serves every location of its scheme (and, for a folder, below its root). Vendor exceptions never leave a
store: they become :mod:`lfk.core.errors`. Every method may raise ``StoreUnreachable`` (transient outage),
``AccessDenied``, ``BucketMissing`` and ``InvalidKey``; further ones are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lfk.core.location import Location

#: Called with the number of bytes that have just moved; may be called from several threads.
Progress = Callable[[int], None]

#: The name of our metadata entry: sha256 of the content in hex. Stores keep metadata names in lower case.
SHA256 = "lfk-sha256"
#: The name of our metadata entry: which machine and path the object was uploaded from.
SOURCE = "lfk-source"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says of an object. Listings carry no metadata and no content type."""

    location: Location
    #: Bytes.
    size: int
    #: Version tag of the content without quotes; equal tags mean equal content, nothing else is promised.
    etag: str
    #: Seconds since the epoch.
    modified: float
    version_id: str | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IfAbsent:
    """Write only if no object has that key."""


@dataclass(frozen=True, slots=True)
class IfMatch:
    """Write only if the object there still has this ETag."""

    etag: str


Condition = IfAbsent | IfMatch | None


class ObjectStore(Protocol):
    """An object store. Implementations are safe for use by several threads."""

    def check(self, prefix: Location) -> None:
        """Confirm that the bucket or folder of ``prefix`` is there and may be listed."""

    def ensure(self, prefix: Location) -> bool:
        """Create the bucket or folder of ``prefix`` if it is missing; True if it was created."""

    def stat(self, location: Location) -> ObjectInfo:
        """Everything known of one object, with metadata.

        Raises:
            ObjectMissing: there is none.
        """

    def list(self, prefix: Location, *, after: str | None = None) -> Iterator[ObjectInfo]:
        """Objects whose key starts with ``prefix.key``, streamed in the order of their UTF-8 keys.

        ``after`` is a full key; only keys behind it are listed. An empty prefix lists nothing, and is no error.
        """

    def read(self, location: Location, *, limit: int) -> tuple[bytes, ObjectInfo]:
        """A small object whole.

        Raises:
            ObjectMissing: there is none.
            StoreError: it has more than ``limit`` bytes.
        """

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
        """Stream an object into the new file ``path``; returns what was fetched and its sha256 in hex.

        Raises:
            ObjectMissing: there is none.
            ContentChanged: its ETag is not ``etag``, or it was replaced while it was read.
            AudioTooLarge: it has more than ``limit`` bytes; nothing is written then.
            StoreUnreachable: the body ended early.
            ScratchFull: the local disk is full.
        """

    def put(
        self,
        location: Location,
        data: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition = None,
    ) -> ObjectInfo:
        """Write a small object in one step; readers see the old content or the new, never a part.

        Raises:
            PreconditionFailed: the condition does not hold.
            StoreFull: there is no room.
        """

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
        """Stream a file into the store in flat memory; returns the object and the sha256 of its bytes.

        The sha256 is put into the metadata as ``SHA256``.

        Raises:
            ContentChanged: the file changed while it was read; nothing of it stays in the store.
            PreconditionFailed: the condition does not hold.
            StoreFull: there is no room.
            FileNotFoundError, PermissionError: the local file.
        """

    def delete(self, location: Location, *, condition: IfMatch | None = None) -> None:
        """Remove an object; it is no error if there is none.

        Raises:
            PreconditionFailed: the condition does not hold.
        """

    def presign(self, location: Location, *, seconds: int, filename: str | None = None) -> str:
        """A link that anybody may fetch for that long; a ``file://`` location where a store has no links."""
