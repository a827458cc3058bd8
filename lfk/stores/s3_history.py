"""What a bucket keeps of keys besides their objects: earlier versions, marks of deletion, uploads never completed.

A plain delete in a versioned bucket hides an object and keeps it. Whoever has to remove one for good looks here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lfk.core.location import Location
from lfk.stores.s3_errors import code_of, is_unsupported, status_of
from lfk.stores.s3_sweep import unfinished

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class _Version:
    key: str
    version_id: str
    #: It is what a plain read gets.
    is_current: bool


def kept_keys(client: S3Client, prefix: Location) -> Iterator[str]:
    """Every key that starts with ``prefix.key`` and of which anything is kept, once. Raises botocore's exceptions."""
    seen: set[str] = set()
    for found in _versions(client, prefix):
        if found.key not in seen and not found.key.endswith("/"):
            # Versions of one key follow each other, but for those that pages and their two lists part.
            seen.add(found.key)
            yield found.key
    for upload in unfinished(client, prefix):
        if upload["Key"] not in seen and upload["Key"].startswith(prefix.key):
            seen.add(upload["Key"])
            yield upload["Key"]


def purge(client: S3Client, location: Location, *, keep_current: bool) -> int:
    """See :meth:`lfk.stores.base.ObjectStore.purge`. Raises botocore's exceptions."""
    held = 0
    for found in list(_versions(client, location)):
        if found.key != location.key or (keep_current and found.is_current):
            continue
        try:
            client.delete_object(Bucket=location.bucket, Key=location.key, VersionId=found.version_id)
        except ClientError as error:
            # With the right to delete versions, what refuses one is its retention.
            if status_of(error) != 403 or code_of(error) not in ("AccessDenied", "ObjectLocked"):
                raise
            held += 1
    if not keep_current:
        _abort(client, location)
    return held


def _versions(client: S3Client, prefix: Location) -> Iterator[_Version]:
    try:
        for page in client.get_paginator("list_object_versions").paginate(Bucket=prefix.bucket, Prefix=prefix.key):
            for one in page.get("Versions", ()):
                yield _Version(one["Key"], one["VersionId"], one["IsLatest"])
            for mark in page.get("DeleteMarkers", ()):
                yield _Version(mark["Key"], mark["VersionId"], False)
    except ClientError as error:
        if not is_unsupported(error):
            raise
        # A store without versions: the object is all there is, and "null" is its version's name.
        for listed in client.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key):
            yield from (_Version(one["Key"], "null", True) for one in listed.get("Contents", ()))


def _abort(client: S3Client, location: Location) -> None:
    for upload in list(unfinished(client, location)):
        if upload["Key"] != location.key:
            continue
        try:
            client.abort_multipart_upload(Bucket=location.bucket, Key=location.key, UploadId=upload["UploadId"])
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise
