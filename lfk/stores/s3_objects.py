"""What S3 says of an object, in our terms: headers to ``ObjectInfo``, and metadata that is more than ASCII.

S3 metadata travels in HTTP headers, where only ASCII survives every server and proxy. A value that is plain ASCII is
written as it is; any other is written as ``base64:`` and the base64 of its UTF-8, which is a third of the length that
percent-encoding would need of the 2 KiB that all metadata may take.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from lfk.core.location import Location
from lfk.stores.base import ObjectInfo

METADATA_HEADER = "x-amz-meta-"
_MARK = "base64:"
#: Servers trim values and may fold blanks, so those at the ends, and more than one in a row, are not plain.
_PLAIN = re.compile(r"(?!base64:)[!-~]+( [!-~]+)*|")


def encode_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Names and values as headers may carry them."""
    return {name.lower(): _encode(value) for name, value in (metadata or {}).items()}


def decode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The inverse; values that others wrote come back as they are."""
    return {name.lower(): _decode(value) for name, value in metadata.items()}


def _encode(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return _MARK + base64.urlsafe_b64encode(value.encode("utf-8", "surrogateescape")).decode("ascii")


def _decode(value: str) -> str:
    if not value.startswith(_MARK):
        return value
    try:
        text = base64.urlsafe_b64decode(value.removeprefix(_MARK)).decode("utf-8", "surrogateescape")
    except ValueError:
        return value
    return text if _encode(text) == value else value


def quoted(etag: str) -> str:
    """An ETag as a header holds it."""
    return f'"{etag}"'


def unquoted(etag: str) -> str:
    """An ETag as we hold it."""
    return etag.strip('"')


def http_time(text: str) -> float:
    """Seconds since the epoch of an HTTP date; 0 where there is none that can be read."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return 0.0


def object_info(location: Location, headers: Mapping[str, str], size: int | None = None) -> ObjectInfo:
    """What the headers of an answer say; their names are in lower case.

    ``size`` is that of the whole object, where ``Content-Length`` tells something else.
    """
    return ObjectInfo(
        location=location,
        size=int(headers.get("content-length", 0)) if size is None else size,
        etag=unquoted(headers.get("etag", "")),
        modified=http_time(headers.get("last-modified") or headers.get("date", "")),
        version_id=headers.get("x-amz-version-id"),
        content_type=headers.get("content-type"),
        metadata=decode_metadata(
            {
                name.removeprefix(METADATA_HEADER): value
                for name, value in headers.items()
                if name.startswith(METADATA_HEADER)
            }
        ),
    )
