"""Finds an upload of the very same file that a killed process left unfinished.

An unfinished upload does not tell the metadata that it was begun with. So each carries one more, tiny part, which is
never made part of the object: what it is an upload of. Whoever finds an upload with the same such part, whose other
parts have the size and content of its own, goes on with it; but only if nobody else holds the file (a lock that dies
with its process), as that one would be busy with the upload. Should two machines ever share one nevertheless, a store
refuses to complete parts that were exchanged: an upload fails and is tried again, and nothing is mixed.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from lfk.core.location import Location
from lfk.stores.local_file import SourceFile
from lfk.stores.s3_checksums import ALGORITHM, in_header
from lfk.stores.s3_objects import unquoted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PartTypeDef

log = logging.getLogger(__name__)

#: The number of the part that says what an upload is of: S3's last one, so that it never stands in for data.
IDENTITY_PART = 10_000
#: One key rarely has more than one unfinished upload; a bucket that nobody sweeps may have many.
_LOOKED_AT = 3


class Cut(Protocol):
    """How the file is cut into parts."""

    @property
    def checksums(self) -> tuple[int, ...]: ...

    def span(self, number: int) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An upload to take up."""

    upload_id: str
    #: It was begun with CRC-32s, so the remaining parts need them too.
    verified: bool
    #: Part number to ETag, of the data that is there.
    etags: Mapping[int, str]


def find_unfinished(
    client: S3Client, location: Location, identity: bytes, cut: Cut, source: SourceFile
) -> Unfinished | None:
    """The newest unfinished upload of this file; None if there is none, or uploads may not be listed."""
    try:
        answer = client.list_multipart_uploads(Bucket=location.bucket, Prefix=location.key)
        uploads = [upload for upload in answer.get("Uploads", ()) if upload["Key"] == location.key]
        uploads.sort(key=lambda upload: upload["Initiated"], reverse=True)
        for upload in uploads[:_LOOKED_AT]:
            found = _look_into(client, location, upload["UploadId"], identity, cut, source)
            if found is not None:
                return found
    except ClientError as error:
        log.debug("%s: unfinished uploads cannot be looked at: %s", location, error)
    return None


def _look_into(
    client: S3Client, location: Location, upload_id: str, identity: bytes, cut: Cut, source: SourceFile
) -> Unfinished | None:
    """The upload, if it is one of this file."""
    parts: dict[int, PartTypeDef] = {}
    verified = False
    pages = client.get_paginator("list_parts").paginate(Bucket=location.bucket, Key=location.key, UploadId=upload_id)
    for page in pages:
        verified = page.get("ChecksumAlgorithm") == ALGORITHM
        parts.update((part["PartNumber"], part) for part in page.get("Parts", ()))
    mark = parts.pop(IDENTITY_PART, None)
    if mark is None or not _is(mark, len(identity), zlib.crc32(identity), [identity]):
        return None
    for number, part in parts.items():
        if number > len(cut.checksums):
            return None
        offset, length = cut.span(number)
        if not _is(part, length, cut.checksums[number - 1], source.blocks(offset, length)):
            return None
    return Unfinished(upload_id, verified, {number: part["ETag"] for number, part in parts.items()})


def _is(part: PartTypeDef, size: int, checksum: int, blocks: Iterable[bytes]) -> bool:
    """Whether a part in the store has this size and content, of which the checksum is known already."""
    if part["Size"] != size:
        return False
    if part.get("ChecksumCRC32"):
        return part["ChecksumCRC32"] == in_header(checksum)
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks:
        digest.update(block)
    return unquoted(part["ETag"]) == digest.hexdigest()
