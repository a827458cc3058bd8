"""What a store's notifications say, in the forms that they travel in: one message into the objects that it tells of.

Read here: the event records of S3 (MinIO, Ceph and others write the same), bare or wrapped by SNS, and the S3 events
of EventBridge. The only place where keys are percent-decoded: records that are sent somewhere carry them encoded as in
a form, with ``+`` for a blank; EventBridge, and MinIO where it is listened to, carry them as they are.

Notifications are hostile: whoever may write to a queue or reach a webhook can say anything in them. What comes out of
here are locations that keys can have, and facts that a reference may carry.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from lfk.core.errors import InvalidLocation, MalformedMessage
from lfk.core.location import Location, parse_location

#: What the schema of a reference takes.
_MAX_ETAG = 256
_MAX_VERSION = 1024
_MAX_NUMBER = 1 << 53
#: A sequencer is a few dozen hexadecimal digits.
_MAX_SEQUENCER = 256
#: A key of 1024 bytes, every one of them percent-encoded.
_MAX_ENCODED_KEY = 3 * 1024
#: A wrapper holds an event as text, and no wrapper another one.
_WRAPPERS = 1

_METADATA_HEADER = "x-amz-meta-"
_HINT = "send object-created events as S3, MinIO, SNS or EventBridge write them; see docs/listen.md"


@dataclass(frozen=True, slots=True)
class Sighting:
    """An object, as a notification or a listing told of it; None where it did not tell."""

    location: Location
    #: Bytes.
    size: int | None = None
    etag: str | None = None
    version_id: str | None = None
    #: Tells the events of one object apart, and which of them came later.
    sequencer: str | None = None
    #: The object's own, names in lower case and values as they travel in headers.
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """One message: objects that were created, how much else it told of, and what of it is of no use."""

    created: tuple[Sighting, ...] = ()
    #: Events of other kinds, and objects that only mark a folder.
    others: int = 0
    #: Why records in it cannot be used, one text each.
    unusable: tuple[str, ...] = ()


def read_notification(body: bytes | str) -> Notification:
    """Read one message.

    Raises:
        MalformedMessage: it is not JSON, or not of a form that is known.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"not JSON: {type(error).__name__}", hint=_HINT) from error
    return notification_of(data)


def notification_of(data: object, *, encoded: bool = True) -> Notification:
    """As :func:`read_notification`, of JSON that is parsed already.

    Args:
        encoded: the keys in records of S3 are percent-encoded.

    Raises:
        MalformedMessage: it is not of a form that is known.
    """
    return _of(data, encoded, _WRAPPERS)


def _of(data: object, encoded: bool, wrappers: int) -> Notification:
    if isinstance(data, dict):
        if "Records" in data:
            return _of_records(data["Records"], encoded)
        if data.get("Event") == "s3:TestEvent":
            return Notification()
        if data.get("Type") == "Notification" and isinstance(data.get("Message"), str) and wrappers:
            try:
                wrapped = json.loads(data["Message"])
            except (ValueError, RecursionError) as error:
                raise MalformedMessage("the SNS message holds no JSON", hint=_HINT) from error
            return _of(wrapped, encoded, wrappers - 1)
        if data.get("source") == "aws.s3" and "detail-type" in data:
            return _gather([data], _bridged)
    raise MalformedMessage("neither event records of S3 nor an S3 event of SNS or EventBridge", hint=_HINT)


class _Unusable(Exception):
    """A record that tells of no object that lfk can address."""


def _of_records(records: object, encoded: bool) -> Notification:
    # MinIO keeps a quiet connection alive with records that are null.
    if records is None:
        return Notification()
    if not isinstance(records, list):
        raise MalformedMessage("its records are no list", hint=_HINT)
    return _gather(records, lambda record: _record(record, encoded))


def _gather(records: list[Any], read: Callable[[Any], Sighting | None]) -> Notification:
    created: list[Sighting] = []
    unusable: list[str] = []
    others = 0
    for record in records:
        try:
            sighting = read(record)
        except _Unusable as error:
            unusable.append(str(error))
            continue
        # Consoles make empty objects whose key ends in a slash, to show a folder.
        if sighting is None or sighting.location.key.endswith("/"):
            others += 1
        else:
            created.append(sighting)
    return Notification(tuple(created), others, tuple(unusable))


def _record(record: Any, encoded: bool) -> Sighting | None:
    """A record of S3 or MinIO; None for another event than a creation."""
    name = _text(record, "eventName") or ""
    if not name.removeprefix("s3:").startswith("ObjectCreated:"):
        if name:
            return None
        raise _Unusable("a record without the name of an event")
    place = record.get("s3")
    thing = _member(place, "object")
    key = _text(thing, "key")
    metadata = thing.get("userMetadata")
    if metadata is None and _text(record, "eventSource") == "minio:s3":
        # MinIO tells all metadata, and leaves the field out where there is none.
        metadata = {}
    return Sighting(
        location=_location(_text(_member(place, "bucket"), "name"), _decoded(key) if key and encoded else key),
        size=_size(thing),
        etag=_short(thing, "eTag", _MAX_ETAG),
        version_id=_short(thing, "versionId", _MAX_VERSION),
        sequencer=_short(thing, "sequencer", _MAX_SEQUENCER),
        metadata=_own_metadata(metadata),
    )


def _bridged(event: Any) -> Sighting | None:
    """An event of EventBridge; None for another one than a creation."""
    if event["detail-type"] != "Object Created":
        return None
    detail = event.get("detail")
    thing = _member(detail, "object")
    return Sighting(
        location=_location(_text(_member(detail, "bucket"), "name"), _text(thing, "key")),
        size=_size(thing),
        etag=_short(thing, "etag", _MAX_ETAG),
        version_id=_short(thing, "version-id", _MAX_VERSION),
        sequencer=_short(thing, "sequencer", _MAX_SEQUENCER),
    )


def _decoded(key: str) -> str:
    if len(key) > _MAX_ENCODED_KEY:
        raise _Unusable("a record with a key that is longer than any")
    try:
        return unquote_plus(key, errors="strict")
    except UnicodeDecodeError as error:
        raise _Unusable(f"the key {key[:80]!r} is not valid UTF-8") from error


def _location(bucket: str | None, key: str | None) -> Location:
    if not bucket or not key:
        raise _Unusable("a record without bucket and key")
    try:
        location = parse_location(f"s3://{bucket}/{key}")
    except InvalidLocation as error:
        raise _Unusable(error.message) from error
    # A slash in the name of a bucket would make another location of it.
    if (location.bucket, location.key) != (bucket, key):
        raise _Unusable(f"{bucket[:80]!r} is not a bucket name")
    return location


def _member(data: object, name: str) -> dict[str, Any]:
    member = data.get(name) if isinstance(data, dict) else None
    if not isinstance(member, dict):
        raise _Unusable(f"a record without {name}")
    return member


def _text(data: object, name: str) -> str | None:
    if not isinstance(data, dict):
        raise _Unusable("a record that is no object")
    value = data.get(name)
    return value if isinstance(value, str) else None


def _short(data: dict[str, Any], name: str, limit: int) -> str | None:
    """A text that is no longer than it may be; a fact that nobody could use is as good as none."""
    value = (_text(data, name) or "").strip('"')
    return value if value and len(value) <= limit and value.isascii() and value.isprintable() else None


def _size(data: dict[str, Any]) -> int | None:
    value = data.get("size")
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_NUMBER else None


def _own_metadata(metadata: object) -> Mapping[str, str] | None:
    """Users' entries without the prefix that their headers have."""
    if not isinstance(metadata, dict):
        return None
    return {
        name.lower().removeprefix(_METADATA_HEADER): value
        for name, value in metadata.items()
        if isinstance(value, str) and name.lower().startswith(_METADATA_HEADER)
    }
