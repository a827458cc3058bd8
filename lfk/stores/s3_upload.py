"""Sends a large file in parts: flat memory, several parts at a time, and nothing but what was hashed.

The sha256 belongs into the metadata, which S3 takes when an upload begins, so the file is read twice. The first pass
also takes a CRC-32 of every part; a part whose bytes differ in the second pass ends the upload, and stores that compare
checksums are told the CRC-32, so that what they keep is what was hashed. On any failure the upload is aborted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from lfk.core.errors import ContentChanged, LfkError, PreconditionFailed
from lfk.core.location import Location
from lfk.stores.base import ObjectInfo, Progress
from lfk.stores.local_file import SourceFile
from lfk.stores.s3_checksums import ALGORITHM, HEADER, Checksums, in_header
from lfk.stores.s3_conditions import parameters_of
from lfk.stores.s3_connection import Connection
from lfk.stores.s3_errors import code_of, s3_border
from lfk.stores.s3_lane import UNSIGNED, Lane
from lfk.stores.s3_objects import decode_metadata, http_time, unquoted
from lfk.stores.s3_resume import IDENTITY_PART, Unfinished, find_unfinished

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedMultipartUploadTypeDef, CompletedPartTypeDef

log = logging.getLogger(__name__)

#: Large enough that a request's own cost vanishes, small enough that one in each thread's hands stays modest memory.
PART_BYTES = 8 << 20
#: S3's limit but for the one that names the upload; files over 80 GB get larger parts.
MAX_PARTS = IDENTITY_PART - 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A file as it was in the first pass: its hash, and how it is cut."""

    size: int
    part_size: int
    sha256: str
    #: One CRC-32 for each part.
    checksums: tuple[int, ...]

    def span(self, number: int) -> tuple[int, int]:
        """Offset and length of the part with this number, which counts from 1."""
        offset = (number - 1) * self.part_size
        return offset, min(self.part_size, self.size - offset)


def part_size_of(size: int) -> int:
    """Bytes of each part but the last: whole multiples of ``PART_BYTES``, in at most ``MAX_PARTS`` parts."""
    return PART_BYTES * max(1, -(-size // (PART_BYTES * MAX_PARTS)))


def plan(source: SourceFile) -> Plan:
    """Hash the file and cut it.

    Raises:
        ContentChanged: it changed meanwhile.
    """
    size = part_size_of(source.size)
    digest = hashlib.sha256()
    checksums = []
    for offset in range(0, source.size, size):
        checksum = 0
        for block in source.blocks(offset, min(size, source.size - offset)):
            digest.update(block)
            checksum = zlib.crc32(block, checksum)
        checksums.append(checksum)
    source.confirm()
    return Plan(source.size, size, digest.hexdigest(), tuple(checksums))


@dataclass(frozen=True, slots=True)
class Target:
    """What an upload is to become."""

    location: Location
    content_type: str
    #: Encoded and complete.
    metadata: Mapping[str, str]

    @property
    def at(self) -> dict[str, Any]:
        """Bucket and key as botocore's parameters."""
        return {"Bucket": self.location.bucket, "Key": self.location.key}

    def written(self, size: int, etag: str, headers: Mapping[str, str]) -> ObjectInfo:
        """The object that a write has made, as its answer tells."""
        return ObjectInfo(
            location=self.location,
            size=size,
            etag=unquoted(etag),
            modified=http_time(headers.get("date", "")),
            version_id=headers.get("x-amz-version-id"),
            content_type=self.content_type,
            metadata=decode_metadata(self.metadata),
        )


@dataclass(frozen=True, slots=True)
class Wire:
    """What uploads of one store share."""

    connection: Connection
    lane: Lane
    pool: ThreadPoolExecutor
    checksums: Checksums
    stat: Callable[[Location], ObjectInfo]


class Multipart:
    """One file on its way into one object; as a context it aborts what does not come to a good end."""

    def __init__(self, wire: Wire, source: SourceFile, plan: Plan, target: Target) -> None:
        self._wire = wire
        self._source = source
        self._plan = plan
        self._target = target
        self._upload_id = ""
        #: Part number to ETag.
        self._done: dict[int, str] = {}
        self._verified = False

    def __enter__(self) -> Multipart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or not self._upload_id:
            return
        location = self._target.location
        try:
            self._wire.connection.client.abort_multipart_upload(**self._target.at, UploadId=self._upload_id)
        except (ClientError, BotoCoreError) as failure:
            if not (isinstance(failure, ClientError) and code_of(failure) == "NoSuchUpload"):
                log.warning("%s: an unfinished upload stays in the store: %s", location, type(failure).__name__)

    def send(self, width: int, progress: Progress | None) -> None:
        """Bring all parts into the store, ``width`` of them at a time.

        Raises:
            ContentChanged: the file is no longer the one that was planned.
        """
        location, identity = self._target.location, self._identity()
        with s3_border(location):
            # Whoever else holds the file is busy with the upload that would be found.
            found = self._find(identity) if self._source.claim() else None
            # Whoever comes later must see that this process is busy with it.
            self._source.share()
            if found is None:
                self._begin(identity)
            else:
                self._take_up(found, progress)
        try:
            self._send_parts(width, progress)
        except PreconditionFailed:
            if found is None:
                raise
            # It was gone as it was taken up: listings lag behind, and rules of the bucket remove uploads, too.
            self._done.clear()
            with s3_border(location):
                self._begin(identity)
            self._send_parts(width, progress)
        self._source.confirm()

    def _send_parts(self, width: int, progress: Progress | None) -> None:
        numbers = iter([n for n in range(1, len(self._plan.checksums) + 1) if n not in self._done])
        running: set[Future[None]] = set()
        try:
            while True:
                for number in numbers:
                    running.add(self._wire.pool.submit(self._send_part, number, progress))
                    if len(running) == width:
                        break
                if not running:
                    break
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
        finally:
            for future in running:
                future.cancel()
            wait(running)

    def complete(self, headers: Mapping[str, str]) -> ObjectInfo:
        """Make the parts an object, under the condition that the headers state. Raises botocore's exceptions."""
        parts: CompletedMultipartUploadTypeDef = {"Parts": [self._completed(number) for number in sorted(self._done)]}
        condition: dict[str, Any] = parameters_of(headers)
        try:
            answer = self._wire.connection.patient_client.complete_multipart_upload(
                **self._target.at, UploadId=self._upload_id, MultipartUpload=parts, **condition
            )
        except (ClientError, BotoCoreError) as error:
            # The answer may have got lost on its way.
            lost = isinstance(error, BotoCoreError) or code_of(error) == "NoSuchUpload"
            there = self._look() if lost else None
            if there is None:
                raise
            return there
        return self._target.written(self._plan.size, answer["ETag"], answer["ResponseMetadata"]["HTTPHeaders"])

    def _identity(self) -> bytes:
        """What this is an upload of."""
        plan, target = self._plan, self._target
        told = [plan.sha256, plan.size, plan.part_size, target.content_type, sorted(target.metadata.items())]
        return json.dumps(told).encode("ascii")

    def _find(self, identity: bytes) -> Unfinished | None:
        client = self._wire.connection.client
        return find_unfinished(client, self._target.location, identity, self._plan, self._source)

    def _begin(self, identity: bytes) -> None:
        client, location = self._wire.connection.client, self._target.location
        described: dict[str, Any] = {
            "ContentType": self._target.content_type,
            "Metadata": dict(self._target.metadata),
        }
        if self._wire.checksums.verified is not False:
            described["ChecksumAlgorithm"] = ALGORITHM
        answer = client.create_multipart_upload(**self._target.at, **described)
        self._upload_id = answer["UploadId"]
        self._verified = self._wire.checksums.learn(client, location, self._upload_id, IDENTITY_PART, identity)
        self._send_bytes(IDENTITY_PART, identity, zlib.crc32(identity))

    def _take_up(self, found: Unfinished, progress: Progress | None) -> None:
        self._upload_id, self._verified = found.upload_id, found.verified
        self._done.update(found.etags)
        log.info("%s: %d parts are there already", self._target.location, len(found.etags))
        if progress is not None:
            progress(sum(self._plan.span(number)[1] for number in found.etags))

    def _send_part(self, number: int, progress: Progress | None) -> None:
        body = self._source.read(*self._plan.span(number))
        checksum = self._plan.checksums[number - 1]
        if zlib.crc32(body) != checksum:
            raise ContentChanged(f"the file for {self._target.location} changed while it was read")
        with s3_border(self._target.location):
            self._done[number] = self._send_bytes(number, body, checksum)
        if progress is not None:
            progress(len(body))

    def _send_bytes(self, number: int, body: bytes, checksum: int) -> str:
        """Send one part; returns its ETag. Raises botocore's exceptions."""
        location = self._target.location
        told = in_header(checksum)
        answer = self._wire.lane.send(
            "PUT",
            location.bucket,
            location.key,
            query={"partNumber": str(number), "uploadId": self._upload_id},
            headers={HEADER: told} if self._verified else {},
            body=body,
            payload=UNSIGNED if self._verified else hashlib.sha256(body).hexdigest(),
        )
        if answer is not None:
            return answer.headers["etag"]
        verify: dict[str, Any] = {"ChecksumCRC32": told} if self._verified else {}
        general = self._wire.connection.client.upload_part(
            **self._target.at, UploadId=self._upload_id, PartNumber=number, Body=body, **verify
        )
        return general["ETag"]

    def _completed(self, number: int) -> CompletedPartTypeDef:
        part: CompletedPartTypeDef = {"PartNumber": number, "ETag": self._done[number]}
        if self._verified:
            part["ChecksumCRC32"] = in_header(self._plan.checksums[number - 1])
        return part

    def _look(self) -> ObjectInfo | None:
        try:
            there = self._wire.stat(self._target.location)
        except LfkError:
            return None
        same = there.size == self._plan.size and there.metadata == decode_metadata(self._target.metadata)
        return there if same else None
