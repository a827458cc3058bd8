"""Removes uploads of large files that were broken off for good: their parts cost money and are in no listing.

Only what lfk began is touched, told by the part that says what an upload is of (see :mod:`lfk.stores.s3_resume`), and
only where nothing of it has arrived for long: what is under way somewhere, and what a restart is to take up, stays.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lfk.core.location import Location
from lfk.stores.base import Found, ignore
from lfk.stores.s3_errors import code_of
from lfk.stores.s3_resume import IDENTITY_PART

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import MultipartUploadTypeDef

log = logging.getLogger(__name__)

#: The part that says what an upload is of is a few hundred bytes; data under that number has megabytes.
_MARK_BYTES = 16 << 10


def sweep(client: S3Client, prefix: Location, before: datetime, found: Found = ignore, *, dry_run: bool = False) -> int:
    """Abort our uploads below ``prefix`` of which nothing has arrived since ``before``; returns how many.

    ``found`` gets the object that each was to be, and the bytes of its parts; in a ``dry_run`` they stay.

    Raises botocore's exceptions.
    """
    swept = 0
    for upload in unfinished(client, prefix):
        size = _abandoned_bytes(client, prefix.bucket, upload, before) if upload["Initiated"] < before else None
        if size is None:
            continue
        try:
            if not dry_run:
                client.abort_multipart_upload(Bucket=prefix.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        except ClientError as error:
            # Somebody else was faster.
            if code_of(error) != "NoSuchUpload":
                raise
            continue
        swept += 1
        found(Location(prefix.scheme, prefix.bucket, upload["Key"]), size)
        if not dry_run:
            log.info("%s: an upload that was broken off is removed", upload["Key"])
    return swept


def unfinished(client: S3Client, prefix: Location) -> Iterator[MultipartUploadTypeDef]:
    """Uploads of large files that were begun and not completed, whose key starts with ``prefix.key``."""
    pages = client.get_paginator("list_multipart_uploads")
    told = False
    for page in pages.paginate(Bucket=prefix.bucket, Prefix=prefix.key):
        for upload in page.get("Uploads", ()):
            told = True
            yield upload
    # MinIO takes the prefix for a whole key; without one it tells of all.
    for page in pages.paginate(Bucket=prefix.bucket) if prefix.key and not told else ():
        yield from (upload for upload in page.get("Uploads", ()) if upload["Key"].startswith(prefix.key))


def _abandoned_bytes(client: S3Client, bucket: str, upload: MultipartUploadTypeDef, before: datetime) -> int | None:
    """The bytes of an upload of ours that nobody goes on with; None for any other."""
    ours, size = False, 0
    pages = client.get_paginator("list_parts")
    try:
        for page in pages.paginate(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]):
            for part in page.get("Parts", ()):
                if part["LastModified"] >= before:
                    return None
                size += part["Size"]
                ours = ours or (part["PartNumber"] == IDENTITY_PART and part["Size"] <= _MARK_BYTES)
    except ClientError as error:
        if code_of(error) != "NoSuchUpload":
            raise
        return None
    return size if ours else None
