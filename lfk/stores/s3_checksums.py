"""Whether a store compares what it receives with a checksum, and so spares us a second hash of every part.

Without one, a request is signed over the sha256 of its body, which every S3 server checks and which costs a pass over
the bytes. With a CRC-32 in the (signed) headers the body itself need not be signed. Trailing checksums, which many
servers refuse, are never used.
"""

from __future__ import annotations

import base64
import logging
import zlib
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lfk.core.errors import UsageError
from lfk.core.location import Location
from lfk.stores.s3_errors import status_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

HEADER = "x-amz-checksum-crc32"
ALGORITHM = "CRC32"


def in_header(checksum: int) -> str:
    """A CRC-32 as S3 writes it: base64 of its four bytes, the most significant first."""
    return base64.b64encode(checksum.to_bytes(4, "big")).decode("ascii")


class Checksums:
    """What one store does with checksums."""

    def __init__(self, mode: str) -> None:
        """``mode``: auto, when_required (never) or when_supported (always)."""
        modes = {"auto": None, "when_required": False, "when_supported": True}
        if mode not in modes:
            raise UsageError(f"LFK_S3_CHECKSUMS: {mode!r} is not one of {', '.join(modes)}")
        #: None while nobody knows.
        self.verified: bool | None = modes[mode]

    def learn(self, client: S3Client, location: Location, upload_id: str, number: int, body: bytes) -> bool:
        """Whether the store compares, found out by a part with a false checksum, which the true one replaces."""
        if self.verified is None:
            try:
                client.upload_part(
                    Bucket=location.bucket,
                    Key=location.key,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=body,
                    ChecksumCRC32=in_header(zlib.crc32(body) ^ 1),
                )
            except ClientError as error:
                if status_of(error) != 400:
                    raise
                self.verified = True
            else:
                self.verified = False
            log.debug("the store %s checksums", "compares" if self.verified else "ignores")
        return self.verified
