"""Lists an S3 bucket page by page: flat memory for millions of keys, and keys that come back as they went in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from botocore.utils import parse_timestamp

from lfk.core.location import Location
from lfk.stores.base import ObjectInfo
from lfk.stores.names import LeftOut
from lfk.stores.s3_connection import Connection
from lfk.stores.s3_errors import s3_border
from lfk.stores.s3_lane import Lane
from lfk.stores.s3_objects import unquoted

#: What S3 gives at most in one answer.
PAGE_KEYS = 1000
#: A thousand keys of 1024 bytes, each percent-encoded, with their fields.
_PAGE_LIMIT = 8 << 20


@dataclass(frozen=True, slots=True)
class _Page:
    objects: list[ObjectInfo]
    #: None at the end.
    continuation: str | None


def list_objects(
    connection: Connection, lane: Lane, prefix: Location, after: str | None, page_keys: int = PAGE_KEYS
) -> Iterator[ObjectInfo]:
    """See :meth:`lfk.stores.base.ObjectStore.list`."""
    left_out = LeftOut(prefix)
    query = {"list-type": "2", "encoding-type": "url", "max-keys": str(page_keys), "prefix": prefix.key}
    if after is not None:
        query["start-after"] = after
    while True:
        with s3_border(prefix):
            page = _short(lane, prefix, query) or _general(connection, prefix, query)
        for info in page.objects:
            # A key that ends in a slash only marks a folder; consoles make such objects.
            if not info.location.key.endswith("/") and left_out.takes(info.location.key):
                yield info
        if page.continuation is None:
            break
        query["continuation-token"] = page.continuation
    left_out.report()


def _short(lane: Lane, prefix: Location, query: dict[str, str]) -> _Page | None:
    answer = lane.send("GET", prefix.bucket, query=query, limit=_PAGE_LIMIT)
    if answer is None or answer.body is None:
        return None
    try:
        # Expat, which botocore parses the same answers with, bounds what entities may expand to.
        root = ElementTree.fromstring(answer.body)  # noqa: S314
    except ElementTree.ParseError:
        return None
    space = root.tag.removesuffix("ListBucketResult")
    encoded = root.findtext(f"{space}EncodingType") == "url"
    objects = []
    for entry in root.iterfind(f"{space}Contents"):
        fields = {child.tag[len(space) :]: child.text or "" for child in entry}
        key = unquote_plus(fields["Key"]) if encoded else fields["Key"]
        objects.append(
            ObjectInfo(
                Location("s3", prefix.bucket, key),
                int(fields["Size"]),
                unquoted(fields.get("ETag", "")),
                _seconds(fields["LastModified"]),
            )
        )
    more = root.findtext(f"{space}IsTruncated") == "true"
    return _Page(objects, root.findtext(f"{space}NextContinuationToken") if more else None)


def _general(connection: Connection, prefix: Location, query: dict[str, str]) -> _Page:
    optional = {
        name: query[field]
        for name, field in (("StartAfter", "start-after"), ("ContinuationToken", "continuation-token"))
        if field in query
    }
    # botocore asks for encoded keys by itself, and decodes them.
    answer = connection.client.list_objects_v2(
        Bucket=prefix.bucket,
        Prefix=prefix.key,
        MaxKeys=int(query["max-keys"]),
        **optional,  # type: ignore[arg-type]
    )
    objects = [
        ObjectInfo(
            Location("s3", prefix.bucket, entry["Key"]),
            entry["Size"],
            unquoted(entry.get("ETag", "")),
            entry["LastModified"].timestamp(),
        )
        for entry in answer.get("Contents", ())
    ]
    return _Page(objects, answer.get("NextContinuationToken") if answer["IsTruncated"] else None)


def _seconds(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 time."""
    try:
        return datetime.fromisoformat(text.removesuffix("Z") + "+00:00").timestamp()
    except ValueError:
        moment: datetime = parse_timestamp(text)
        return moment.timestamp()
