"""Finds out how an S3 server behaves where servers differ, by writing and deleting two small objects.

For ``lfk doctor``: the everyday code learns what it needs on its way, without objects of its own.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lfk.core.location import Location
from lfk.stores.base import Capabilities
from lfk.stores.s3_checksums import in_header
from lfk.stores.s3_errors import status_of
from lfk.stores.s3_objects import quoted, unquoted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DATA = b"lfk looks how this store behaves"
_OTHER_ETAG = hashlib.md5(b"other content", usedforsecurity=False).hexdigest()


def probe(client: S3Client, prefix: Location) -> Capabilities:
    """Try everything once below ``prefix``, and leave nothing there. Raises botocore's exceptions."""
    name = f"{prefix.as_prefix().key}probe-{uuid.uuid4().hex}"
    at: dict[str, Any] = {"Bucket": prefix.bucket, "Key": name}
    false_checksum: dict[str, Any] = {"ChecksumCRC32": in_header(0)}
    try:
        first = unquoted(client.put_object(**at, Body=_DATA)["ETag"])
        second = unquoted(client.put_object(**at, Body=_DATA)["ETag"])
        absent = _is_refused(lambda: client.put_object(**at, Body=_DATA, IfNoneMatch="*"))
        other = _is_refused(lambda: client.put_object(**at, Body=_DATA, IfMatch=quoted(_OTHER_ETAG)))
        checked = _is_refused(lambda: client.put_object(**at, Body=_DATA, **false_checksum))
        kept = _is_refused(lambda: client.delete_object(**at, IfMatch=quoted(_OTHER_ETAG)))
    finally:
        with suppress(ClientError):
            client.delete_object(**at)
    return Capabilities(
        conditional_writes=absent and other,
        conditional_deletes=kept,
        verifies_checksums=checked,
        etag_follows_content=first == second,
    )


def _is_refused(request: Callable[[], object]) -> bool:
    """Whether the store noticed; "not implemented" is not noticing."""
    try:
        request()
    except ClientError as error:
        if status_of(error) in (400, 412):
            return True
        if status_of(error) == 501:
            return False
        raise
    return False
