"""Streams an S3 object into a file: hashed on the way, and taken up again where a body breaks off.

The first answer pins the object by its ETag; every later one must be of the same. What cannot be pinned or ends early
is never taken for whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from lfk.core.errors import ContentChanged, ObjectMissing, StoreUnreachable
from lfk.core.location import Location
from lfk.stores.base import ObjectInfo, Progress
from lfk.stores.local_file import BLOCK_BYTES, TargetFile
from lfk.stores.s3_connection import Connection
from lfk.stores.s3_errors import code_of, s3_border, status_of
from lfk.stores.s3_objects import object_info, quoted, unquoted

if TYPE_CHECKING:
    from botocore.response import StreamingBody

#: How often a body may break off with hardly any progress before it counts as an outage.
BODY_ATTEMPTS = 5
#: Progress that makes a break forgivable: a large object over a poor line breaks many times and still arrives.
PROGRESS_BYTES = 8 << 20


class Download:
    """One object on its way into a file."""

    def __init__(self, connection: Connection, location: Location, version_id: str | None) -> None:
        self._connection = connection
        self._location = location
        self._version = {} if version_id is None else {"VersionId": version_id}

    def run(self, path: Path, limit: int, etag: str | None, progress: Progress | None) -> tuple[ObjectInfo, str]:
        """See :meth:`lfk.stores.base.ObjectStore.download`."""
        body, headers = self._ask(etag, 0)
        try:
            if "content-length" not in headers:
                raise StoreUnreachable(f"{self._location}: the store does not say how long the object is")
            info = object_info(self._location, headers)
            target = TargetFile(path, self._location, limit=limit)
            target.expect(info.size)
        except BaseException:
            body.close()
            raise
        with target:
            self._fill(target, body, info, progress)
        return info, target.sha256()

    def _fill(self, target: TargetFile, body: StreamingBody, info: ObjectInfo, progress: Progress | None) -> None:
        attempts, progressed = 1, 0
        while True:
            for block in _blocks(body):
                target.write(block)
                if progress is not None:
                    progress(len(block))
            if target.size == info.size:
                return
            if target.size - progressed >= PROGRESS_BYTES:
                attempts, progressed = 0, target.size
            if attempts == BODY_ATTEMPTS:
                raise StoreUnreachable(
                    f"{self._location}: the body broke off {attempts} times, the last time after "
                    f"{target.size} of {info.size} bytes"
                )
            attempts += 1
            body = self._resume(target, info)

    def _resume(self, target: TargetFile, info: ObjectInfo) -> StreamingBody:
        body, headers = self._ask(info.etag, target.size)
        if unquoted(headers.get("etag", "")) != info.etag:
            body.close()
            raise ContentChanged(f"{self._location} was replaced while it was fetched")
        if not headers.get("content-range", "").startswith(f"bytes {target.size}-"):
            target.restart()  # this store sends the whole object again
        return body

    def _ask(self, etag: str | None, offset: int) -> tuple[StreamingBody, Mapping[str, str]]:
        asked: dict[str, Any] = {"Bucket": self._location.bucket, "Key": self._location.key, **self._version}
        if etag is not None:
            asked["IfMatch"] = quoted(etag)
        if offset:
            asked["Range"] = f"bytes={offset}-"
        with s3_border(self._location):
            try:
                answer = self._connection.client.get_object(**asked)
            except ClientError as error:
                if self._version and code_of(error) == "InvalidArgument":
                    raise ObjectMissing(f"{self._location} has no such version") from error
                # 416: what is there now ends before the place where the last body broke off.
                if status_of(error) in (412, 416):
                    raise ContentChanged(f"{self._location} is no longer the object with ETag {etag}") from error
                raise
        return answer["Body"], answer["ResponseMetadata"]["HTTPHeaders"]


def _blocks(body: StreamingBody) -> Iterator[bytes]:
    """The body's blocks, up to its end or to where it breaks off."""
    try:
        while block := body.read(BLOCK_BYTES):
            yield block
    except (BotoCoreError, HTTPError, OSError):
        return
    finally:
        body.close()
