"""A store in S3: AWS, MinIO and whatever speaks the same protocol.

Frequent small requests take a short way (:mod:`lfk.stores.s3_lane`), everything else goes through botocore; large files
travel in parts. Where stores differ (conditions, checksums), the first use finds out and the settings can decide.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from lfk.core.errors import BucketMissing, ContentChanged, ObjectMissing, PreconditionFailed, StoreError, UsageError
from lfk.core.location import Location
from lfk.stores.base import SHA256, Capabilities, Condition, Found, IfMatch, ObjectInfo, Progress, ignore
from lfk.stores.local_file import SourceFile
from lfk.stores.names import object_key
from lfk.stores.s3_checksums import Checksums
from lfk.stores.s3_conditions import Conditions, headers_of, parameters_of
from lfk.stores.s3_connection import Connection, Endpoint
from lfk.stores.s3_download import Download
from lfk.stores.s3_errors import code_of, is_unsupported, s3_border, status_of
from lfk.stores.s3_history import kept_keys, purge
from lfk.stores.s3_lane import Answer, Lane
from lfk.stores.s3_listing import list_objects
from lfk.stores.s3_objects import METADATA_HEADER, encode_metadata, object_info, quoted
from lfk.stores.s3_probe import probe
from lfk.stores.s3_sweep import sweep
from lfk.stores.s3_upload import PART_BYTES, Multipart, Plan, Target, Wire, plan

#: Up to here a file is read once, hashed where it lies in memory and sent in one request: one trip instead of four.
SMALL_BYTES = 8 << 20
#: Requests of one process at a time for parts of large files; together they hold this many parts in memory.
CONCURRENCY = 8
#: The most that a signature of AWS may last: seven days.
MAX_LINK_SECONDS = 7 * 24 * 3600
#: What stores call the version of an object that was written while they kept none.
_NO_VERSION = "null"
_ADDRESSING = ("auto", "path", "virtual")


class S3Store:
    """See :class:`lfk.stores.base.ObjectStore`; serves every bucket of one endpoint."""

    def __init__(
        self,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        addressing: str = "auto",
        checksums: str = "auto",
        conditional: str = "auto",
        max_concurrency: int = CONCURRENCY,
        short_way: bool = True,
    ) -> None:
        """Nothing is asked of the network, and no client is made, before the first use.

        Args:
            endpoint_url: of a server that is not AWS's.
            access_key: with ``secret_key`` (and ``session_token``); without them AWS's own chain decides.
            addressing: auto, path or virtual.
            checksums: auto, when_required or when_supported; see :mod:`lfk.stores.s3_checksums`.
            conditional: auto, on or off; see :mod:`lfk.stores.s3_conditions`.
            max_concurrency: parts of large files under way at a time.
            short_way: without it every request goes through botocore; see :mod:`lfk.stores.s3_lane`.

        Raises:
            UsageError: a mode that is not one of these, or half a pair of keys.
        """
        if addressing not in _ADDRESSING:
            raise UsageError(f"LFK_S3_ADDRESSING: {addressing!r} is not one of {', '.join(_ADDRESSING)}")
        if bool(access_key) != bool(secret_key):
            raise UsageError(
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together; only one of them is set",
                hint="set both, or neither to use a profile or an instance role",
            )
        endpoint = Endpoint(
            endpoint_url=endpoint_url,
            region=region,
            access_key=access_key,
            secret_key=secret_key,
            session_token=session_token,
            addressing=addressing,
            connections=max(16, 2 * max_concurrency),
        )
        self._width = max_concurrency
        self._connection = Connection(endpoint)
        self._lane = Lane(self._connection, is_open=short_way)
        self._conditions = Conditions(conditional, self.stat)
        self._checksums = Checksums(checksums)
        self._capabilities: Capabilities | None = None
        self._wire: Wire | None = None
        self._lock = threading.Lock()
        #: Buckets that have answered; a look that finds nothing need not ask whether its bucket is there.
        self._seen: set[str] = set()

    def check(self, prefix: Location) -> None:
        with s3_border(prefix):
            # Unlike a HEAD of the bucket, a listing's refusal says why.
            self._connection.client.list_objects_v2(Bucket=prefix.bucket, Prefix=prefix.key, MaxKeys=1)
        self._seen.add(prefix.bucket)

    def ensure(self, prefix: Location) -> bool:
        try:
            self.check(prefix)
        except BucketMissing:
            return self._create(prefix)
        return False

    def capabilities(self, prefix: Location) -> Capabilities:
        with self._lock:
            if self._capabilities is None:
                with s3_border(prefix):
                    self._capabilities = probe(self._connection.client, prefix)
                self._conditions.learn(self._capabilities.conditional_writes)
        return self._capabilities

    def stat(self, location: Location) -> ObjectInfo:
        key = object_key(location)
        try:
            with s3_border(location):
                answer = self._lane.send("HEAD", location.bucket, key)
                headers = answer.headers if answer is not None else self._head(location)
        except ObjectMissing:
            # The answer to a HEAD has no body, so it does not tell a missing object from a missing bucket.
            if location.bucket not in self._seen:
                self.check(Location(location.scheme, location.bucket, key))
            raise
        self._seen.add(location.bucket)
        return object_info(location, headers)

    def list(self, prefix: Location, *, after: str | None = None) -> Iterator[ObjectInfo]:
        return list_objects(self._connection, self._lane, prefix, after)

    def read(self, location: Location, *, limit: int) -> tuple[bytes, ObjectInfo]:
        key = object_key(location)
        with s3_border(location):
            answer = self._lane.send("GET", location.bucket, key, limit=limit) or self._get(location, limit)
        info = object_info(location, answer.headers)
        if answer.body is None:
            raise StoreError(f"{location} has {info.size} bytes; at most {limit} were expected")
        return answer.body, info

    def read_part(self, location: Location, *, start: int, size: int, etag: str | None = None) -> bytes:
        key = object_key(location)
        asked = {"Range": f"bytes={start}-{start + size - 1}"}
        if etag is not None:
            asked["If-Match"] = quoted(etag)
        with s3_border(location):
            try:
                answer = self._lane.send("GET", location.bucket, key, headers=asked, limit=size)
                if answer is None or answer.body is None:
                    answer = self._get_part(location, asked, size)
            except ClientError as error:
                if status_of(error) == 416:
                    return b""
                if status_of(error) == 412:
                    raise ContentChanged(f"{location} is no longer the object with ETag {etag}") from error
                raise
        if answer.body is None or not answer.headers.get("content-range", "").startswith(f"bytes {start}-"):
            raise StoreError(
                f"{location}: the store does not give parts of objects",
                hint="use a store that answers range requests, as S3 itself does",
            )
        return answer.body

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
        object_key(location)
        return Download(self._connection, location, version_id).run(path, limit, etag, progress)

    def put(
        self,
        location: Location,
        data: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition = None,
    ) -> ObjectInfo:
        object_key(location)
        target = Target(location, content_type, encode_metadata(metadata))
        return self._put(target, data, hashlib.sha256(data).hexdigest(), condition)

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
        object_key(location)
        with SourceFile(path) as source:
            if source.size > SMALL_BYTES:
                planned = plan(source)
                sha256 = planned.sha256
                target = Target(location, content_type, encode_metadata({**(metadata or {}), SHA256: sha256}))
                return self._upload(source, planned, target, condition, progress), sha256
            data = source.read(0, source.size)
            source.confirm()
        sha256 = hashlib.sha256(data).hexdigest()
        target = Target(location, content_type, encode_metadata({**(metadata or {}), SHA256: sha256}))
        info = self._put(target, data, sha256, condition)
        if progress is not None:
            progress(len(data))
        return info, sha256

    def delete(self, location: Location, *, condition: IfMatch | None = None) -> None:
        object_key(location)
        asked: dict[str, Any] = {"Bucket": location.bucket, "Key": location.key}
        conditional: dict[str, Any] = {}
        if condition is not None:
            # Not every store that honours conditions of writes does so here; those that do not ignore them.
            try:
                there = self.stat(location)
            except ObjectMissing:
                return
            if there.etag != condition.etag:
                raise PreconditionFailed(f"{location} is no longer the object with ETag {condition.etag}")
            conditional = parameters_of(headers_of(condition))
        with s3_border(location):
            try:
                self._connection.client.delete_object(**asked, **conditional)
            except ClientError as error:
                if code_of(error) == "NoSuchKey":
                    return
                if not (conditional and is_unsupported(error)):
                    raise
                self._connection.client.delete_object(**asked)

    def delete_version(self, location: Location, version_id: str) -> None:
        if version_id == _NO_VERSION:
            return
        with s3_border(location):
            try:
                self._connection.client.delete_object(
                    Bucket=location.bucket, Key=object_key(location), VersionId=version_id
                )
            except ClientError as error:
                if code_of(error) not in ("NoSuchVersion", "NoSuchKey"):
                    raise

    def history(self, prefix: Location) -> Iterator[Location]:
        with s3_border(prefix):
            for key in kept_keys(self._connection.client, prefix):
                yield Location(prefix.scheme, prefix.bucket, key)

    def purge(self, location: Location, *, keep_current: bool = False) -> int:
        object_key(location)
        with s3_border(location):
            return purge(self._connection.client, location, keep_current=keep_current)

    def sweep(self, prefix: Location, *, older_than: float, found: Found = ignore, dry_run: bool = False) -> int:
        with s3_border(prefix):
            before = datetime.now(timezone.utc) - timedelta(seconds=older_than)
            return sweep(self._connection.client, prefix.as_prefix(), before, found, dry_run=dry_run)

    def presign(self, location: Location, *, seconds: int, filename: str | None = None) -> str:
        asked = {"Bucket": location.bucket, "Key": object_key(location)}
        if filename is not None:
            asked["ResponseContentDisposition"] = _attachment(filename)
        with s3_border(location):
            return self._connection.link_client.generate_presigned_url(
                "get_object", Params=asked, ExpiresIn=max(1, min(seconds, MAX_LINK_SECONDS))
            )

    # --- requests

    def _head(self, location: Location) -> Mapping[str, str]:
        answer = self._connection.client.head_object(Bucket=location.bucket, Key=location.key)
        return answer["ResponseMetadata"]["HTTPHeaders"]

    def _get(self, location: Location, limit: int) -> Answer:
        answer = self._connection.client.get_object(Bucket=location.bucket, Key=location.key)
        headers, body = answer["ResponseMetadata"]["HTTPHeaders"], answer["Body"]
        try:
            return Answer(headers, None if answer["ContentLength"] > limit else body.read())
        finally:
            body.close()

    def _get_part(self, location: Location, asked: Mapping[str, str], limit: int) -> Answer:
        conditional: dict[str, Any] = {"IfMatch": asked["If-Match"]} if "If-Match" in asked else {}
        answer = self._connection.client.get_object(
            Bucket=location.bucket, Key=location.key, Range=asked["Range"], **conditional
        )
        headers, body = answer["ResponseMetadata"]["HTTPHeaders"], answer["Body"]
        try:
            return Answer(headers, None if answer["ContentLength"] > limit else body.read())
        finally:
            body.close()

    def _put(self, target: Target, data: bytes, sha256: str, condition: Condition) -> ObjectInfo:
        location = target.location
        described = {METADATA_HEADER + name: value for name, value in target.metadata.items()}
        described["Content-Type"] = target.content_type

        def write(headers: Mapping[str, str]) -> ObjectInfo:
            answer = self._lane.send(
                "PUT", location.bucket, location.key, headers={**described, **headers}, body=data, payload=sha256
            )
            if answer is not None:
                return target.written(len(data), answer.headers["etag"], answer.headers)
            conditional: dict[str, Any] = parameters_of(headers)
            general = self._connection.client.put_object(
                **target.at,
                Body=data,
                ContentType=target.content_type,
                Metadata=dict(target.metadata),
                **conditional,
            )
            return target.written(len(data), general["ETag"], general["ResponseMetadata"]["HTTPHeaders"])

        return self._conditions.write(location, condition, write, repeatable=True)

    def _upload(
        self, source: SourceFile, planned: Plan, target: Target, condition: Condition, progress: Progress | None
    ) -> ObjectInfo:
        # Looked at before anything is sent: no gigabytes go up only to be refused.
        self._conditions.look(target.location, condition)
        # Larger parts, fewer at a time: the memory stays the same.
        width = max(1, self._width * PART_BYTES // planned.part_size)
        with Multipart(self._shared(), source, planned, target) as multipart:
            multipart.send(width, progress)
            return self._conditions.write(target.location, condition, multipart.complete, repeatable=False)

    def _shared(self) -> Wire:
        with self._lock:
            if self._wire is None:
                pool = ThreadPoolExecutor(self._width, thread_name_prefix="lfk-part")
                self._wire = Wire(self._connection, self._lane, pool, self._checksums, self.stat)
            return self._wire

    def _create(self, prefix: Location) -> bool:
        client = self._connection.client
        asked: dict[str, Any] = {"Bucket": prefix.bucket}
        region = client.meta.region_name
        if region not in ("us-east-1", "aws-global"):
            asked["CreateBucketConfiguration"] = {"LocationConstraint": region}
        with s3_border(prefix):
            try:
                client.create_bucket(**asked)
            except ClientError as error:
                if code_of(error) == "BucketAlreadyOwnedByYou":
                    return False
                raise
        return True


def _attachment(filename: str) -> str:
    """A Content-Disposition that survives every browser: a plain name, and the real one encoded (RFC 6266)."""
    name = re.split(r"[/\\]", filename)[-1] or "download"
    plain = re.sub(r"[^A-Za-z0-9 ._-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
