"""Finds an upload that a killed process left unfinished, if its parts are those of the file at hand.

An unfinished upload does not tell the metadata that it was begun with. So it is taken up only if the file is older than
it and every part in it has the size and content of ours; whoever completes it looks at the metadata afterwards.

Another machine may be busy with the upload that is found. If its file is the same, both bring the same parts and one
completes them. If it only begins the same, the store refuses to complete parts that were exchanged: an upload fails and
is tried again, but nothing is ever mixed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Mapping
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
    #: Part number to ETag, of the parts that are there.
    etags: Mapping[int, str]


def find_unfinished(
    client: S3Client, location: Location, cut: Cut, source: SourceFile, live: Collection[str]
) -> Unfinished | None:
    """The newest unfinished upload of this file; None if there is none, or uploads may not be listed.

    ``live``: uploads that this process itself is busy with.
    """
    try:
        answer = client.list_multipart_uploads(Bucket=location.bucket, Prefix=location.key)
        uploads = [
            upload
            for upload in answer.get("Uploads", ())
            if upload["Key"] == location.key and upload["UploadId"] not in live
        ]
        uploads.sort(key=lambda upload: upload["Initiated"], reverse=True)
        for upload in uploads[:_LOOKED_AT]:
            if source.modified < upload["Initiated"].timestamp():
                found = _look_into(client, location, upload["UploadId"], cut, source)
                if found is not None:
                    return found
    except ClientError as error:
        log.debug("%s: unfinished uploads cannot be looked at: %s", location, error)
    return None


def _look_into(client: S3Client, location: Location, upload_id: str, cut: Cut, source: SourceFile) -> Unfinished | None:
    """An upload that has parts, all of them ours."""
    etags = {}
    verified = False
    pages = client.get_paginator("list_parts").paginate(Bucket=location.bucket, Key=location.key, UploadId=upload_id)
    for page in pages:
        verified = page.get("ChecksumAlgorithm") == ALGORITHM
        for part in page.get("Parts", ()):
            if not _is_ours(part, cut, source):
                return None
            etags[part["PartNumber"]] = part["ETag"]
    return Unfinished(upload_id, verified, etags) if etags else None


def _is_ours(part: PartTypeDef, cut: Cut, source: SourceFile) -> bool:
    number = part["PartNumber"]
    if not 1 <= number <= len(cut.checksums):
        return False
    offset, length = cut.span(number)
    if part["Size"] != length:
        return False
    if part.get("ChecksumCRC32"):
        return part["ChecksumCRC32"] == in_header(cut.checksums[number - 1])
    digest = hashlib.md5(usedforsecurity=False)
    for block in source.blocks(offset, length):
        digest.update(block)
    return unquoted(part["ETag"]) == digest.hexdigest()
