"""The store protocol: what lfk needs of an object store, no more. Its docstrings are the contract that tests run.

A store serves every location of its scheme (and, for a folder, below its root). Vendor exceptions never leave a
store: they become :mod:`lfk.core.errors`. Every method may raise ``StoreUnreachable`` (transient outage),
``AccessDenied``, ``BucketMissing`` and ``InvalidKey``; further ones are named. Refused as ``InvalidKey``: what
:func:`lfk.core.location.check_key` refuses, and for an object also a key that ends in ``/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lfk.core.location import Location

#: Called with the number of bytes that have just moved; may be called from several threads.
Progress = Callable[[int], None]

#: Called with the location and the bytes of something that was found.
Found = Callable[[Location, int], None]


def ignore(_location: Location, _size: int) -> None:
    """For who does not want to know what was found."""


#: The name of our metadata entry: sha256 of the content in hex. Stores keep metadata names in lower case.
SHA256 = "lfk-sha256"
#: The name of our metadata entry: which machine and path the object was uploaded from.
SOURCE = "lfk-source"
#: The name of our metadata entry: whoever uploaded the object also sends its reference. The value is
#: :func:`lfk.core.identity.upload_mark` of its location, as copies of an object carry its metadata along.
REFERRED = "lfk-referred"

#: The name of our metadata entry: :func:`lfk.core.forgotten.made_of` of the audio that a cached result was made of.
MADE_OF = "lfk-made-of"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says of an object. Listings carry no metadata and no content type."""

    location: Location
    #: Bytes.
    size: int
    #: Version tag of the content without quotes; equal tags mean equal content, nothing else is promised.
    etag: str
    #: Seconds since the epoch. Of a write it is the time of the store's answer, within seconds of what ``stat`` says.
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


@dataclass(frozen=True, slots=True)
class Capabilities:
    """How a store behaves where stores differ."""

    #: ``IfAbsent`` and ``IfMatch`` are decided by the store in one step; otherwise by a look before the write.
    conditional_writes: bool
    #: So is ``IfMatch`` of a delete.
    conditional_deletes: bool
    #: The store compares what it received with a checksum sent along.
    verifies_checksums: bool
    #: Equal bytes written in one step have equal ETags.
    etag_follows_content: bool


class ObjectStore(Protocol):
    """An object store. Implementations are safe for use by several threads."""

    def check(self, prefix: Location) -> None:
        """Confirm that the bucket or folder of ``prefix`` is there and may be listed."""

    def ensure(self, prefix: Location) -> bool:
        """Create the bucket or folder of ``prefix`` if it is missing; True if it was created."""

    def capabilities(self, prefix: Location) -> Capabilities:
        """What this store can do, found out once per process by writing and deleting objects below ``prefix``."""

    def stat(self, location: Location) -> ObjectInfo:
        """Everything known of one object, with metadata.

        Raises:
            ObjectMissing: there is none.
        """

    def list(self, prefix: Location, *, after: str | None = None) -> Iterator[ObjectInfo]:
        """Objects whose key starts with ``prefix.key``, streamed in the order of their UTF-8 keys.

        ``after`` is a full key; only keys behind it are listed. A prefix with nothing below it lists nothing, and is
        no error. Left out, with a warning that counts them: names that no location can hold. Left out silently:
        keys that end in ``/``, which only mark a folder.
        """

    def read(self, location: Location, *, limit: int) -> tuple[bytes, ObjectInfo]:
        """A small object whole.

        Raises:
            ObjectMissing: there is none.
            StoreError: it has more than ``limit`` bytes.
        """

    def read_part(self, location: Location, *, start: int, size: int, etag: str | None = None) -> bytes:
        """At most ``size`` bytes from the byte ``start`` on; fewer where the object ends, none behind its end.

        Raises:
            ObjectMissing: there is none.
            ContentChanged: its ETag is not ``etag``.
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
        """Stream an object into the file ``path``; returns what was fetched and its sha256 in hex.

        An object that is refused is not begun; if a transfer fails, what it wrote is removed.

        Raises:
            ObjectMissing: there is none, or not in that version.
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

        Of several writers with one condition at most one succeeds. A writer whose answer got lost on the way may see
        ``PreconditionFailed`` although its own write is what is there: whoever loses reads the object again.

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

        The sha256 is put into the metadata as ``SHA256``. Conditions are those of ``put``.

        Raises:
            ContentChanged: the file changed while it was read; nothing of it stays in the store.
            PreconditionFailed: the condition does not hold.
            StoreFull: there is no room.
            FileNotFoundError, PermissionError: the local file.
        """

    def delete(self, location: Location, *, condition: IfMatch | None = None) -> None:
        """Remove an object; it is no error if there is none, whatever the condition.

        Raises:
            PreconditionFailed: an object is there and is another one.
        """

    def delete_version(self, location: Location, version_id: str) -> None:
        """Remove one version of an object for good; nothing happens where a store keeps none, or not that one.

        :meth:`delete` only hides an object that is kept in versions. Whoever removes the newest version without that
        brings the one before it back to light.

        Raises:
            AccessDenied: among other reasons, a lock of the bucket holds it.
        """

    def history(self, prefix: Location) -> Iterator[Location]:
        """Where anything is kept whose key starts with ``prefix.key``: objects, earlier versions of objects (also of
        deleted ones), and uploads that were begun and never completed. Each place once, in no promised order."""

    def purge(self, location: Location, *, keep_current: bool = False) -> int:
        """Remove an object for good: every version, what marks it as deleted, and the parts of unfinished uploads.

        ``keep_current`` leaves the object itself and removes what is older. Returns how many versions stay because
        the store holds them back (a retention lock).
        """

    def sweep(self, prefix: Location, *, older_than: float, found: Found = ignore, dry_run: bool = False) -> int:
        """Remove what uploads of lfk below ``prefix`` left behind when they were broken off; returns how many.

        Only what nobody has touched for ``older_than`` seconds, and only what no listing shows. ``found`` is called
        for each with where it is (or was to be) and its bytes; in a ``dry_run`` nothing is removed.
        """

    def presign(self, location: Location, *, seconds: int, filename: str | None = None) -> str:
        """A link that anybody may fetch for that long; the location itself where a store has no links.

        ``seconds`` is held between 1 and 604,800, the most that a signature of AWS may last. ``filename`` is what a
        browser offers to save it as.
        """
