"""A failure as the store keeps it below ``.lfk/failed/``: what was announced, what to do, and the record itself.

The store's copy alone has to be enough to look at a failure and to send its reference again, for the topics may be
gone by then. What is read back is as hostile as any message: every field that is used is checked, others are ignored.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lfk.core.errors import FailureUnreadable, Kind
from lfk.core.messages import MAX_MESSAGE_BYTES, Announcement, Failure
from lfk.core.printable import printable

#: A record of a failure is smaller than this, in bytes, with everything that :meth:`OriginalRecord.of` keeps.
MAX_RECORD_BYTES = 256 * 1024

#: The header of a dead letter that names the reference which failed.
DEAD_EVENT = "lfk.error.event"

#: What is kept of a record's key and of its headers together, in bytes. A key of ours is a location.
_MAX_KEY = 4096
_MAX_HEADERS = 16 * 1024
#: Milliseconds since the epoch, far in the future and still a date.
_LATEST = 10**14
_LARGEST = 2**63

_EVENT = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class OriginalRecord:
    """The record that failed, as it first arrived on ``topic``."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    #: Bytes of the value, also where that was left out; None where there was no value.
    size: int | None = None
    #: What was too large to be kept: ``key``, ``value``, ``headers`` (some of them).
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]) -> OriginalRecord:
        """As much of a record as is kept: a value up to 64 KiB (a larger one is no reference), a key up to 4 KiB,
        and headers up to 16 KiB together."""
        kept: dict[str, bytes] = {}
        room = _MAX_HEADERS
        for name, content in headers.items():
            # Written as JSON, a character may take six bytes, and base64 a third more than its content.
            size = 6 * len(name) + len(content)
            if size <= room:
                kept[name] = content
                room -= size
        large_key = key is not None and len(key) > _MAX_KEY
        large_value = value is not None and len(value) > MAX_MESSAGE_BYTES
        too_large = {"key": large_key, "value": large_value, "headers": len(kept) < len(headers)}
        return cls(
            topic=topic,
            key=None if large_key else key,
            value=None if large_value else value,
            headers=kept,
            size=None if value is None else len(value),
            left_out=tuple(name for name, large in too_large.items() if large),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, bytes in base64."""
        return {
            "topic": self.topic,
            "key": _encoded(self.key),
            "value": _encoded(self.value),
            "headers": {name: _encoded(content) for name, content in self.headers.items()},
            "size": self.size,
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """See the module. ``announcement`` is the one that told of the failure; it has an ``error``."""

    announcement: Announcement
    hint: str
    kind: Kind
    #: Topic, partition and offset where the reference first arrived.
    origin: tuple[str, int, int]
    #: None in records of versions that did not keep it.
    original: OriginalRecord | None = None

    @property
    def event_id(self) -> str:
        """The reference that failed."""
        return self.announcement.event_id

    @property
    def error(self) -> Failure:
        """Why it failed."""
        if self.announcement.error is None:
            raise ValueError("the announcement tells of no failure")
        return self.announcement.error

    @property
    def audio(self) -> str:
        """Location of the audio, as far as it is known: else the record's key, else nothing."""
        if self.announcement.path_to_audio is not None:
            return self.announcement.path_to_audio
        key = self.original.key if self.original is not None else None
        return (key or b"").decode("utf-8", "replace")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the announcement's fields and those of the record beside them."""
        topic, partition, offset = self.origin
        data = {
            **self.announcement.to_dict(),
            "hint": self.hint,
            "kind": self.kind.value,
            "origin": {"topic": topic, "partition": partition, "offset": offset},
        }
        return data if self.original is None else {**data, "record": self.original.to_dict()}

    def to_bytes(self) -> bytes:
        """As stored."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)
        # What UTF-8 cannot hold becomes an escape that JSON knows.
        return text.encode("utf-8", "backslashreplace")

    @classmethod
    def from_bytes(cls, data: bytes) -> FailureRecord:
        """As read from the store; fields that are unknown here are ignored.

        Raises:
            FailureUnreadable: it is not a record of a failure.
        """
        try:
            fields = _Fields(json.loads(data))
            origin = fields.object("origin")
            return cls(
                announcement=_announcement(fields),
                hint=fields.text("hint"),
                kind=Kind(fields.text("kind")),
                origin=(origin.text("topic"), origin.number("partition"), origin.number("offset")),
                original=_original(fields.object("record")) if fields.has("record") else None,
            )
        except FailureUnreadable:
            raise
        except (ValueError, RecursionError, binascii.Error) as error:
            raise FailureUnreadable(f"not a record of a failure: {printable(str(error), 120)}") from error


def is_event_id(text: str) -> bool:
    """Whether ``text`` has the form of an event's identity."""
    return _EVENT.fullmatch(text) is not None


class _Fields:
    """The fields of a JSON object from outside, each checked as it is taken."""

    def __init__(self, data: object) -> None:
        if not isinstance(data, dict):
            raise FailureUnreadable(f"a JSON {type(data).__name__} where an object belongs")
        self._data: dict[str, object] = data

    def has(self, name: str) -> bool:
        """The field is there and not null."""
        return self._data.get(name) is not None

    def text(self, name: str) -> str:
        value = self._data.get(name)
        if not isinstance(value, str):
            raise _wrong(name, "text")
        return value

    def maybe_text(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def number(self, name: str, largest: int = _LARGEST) -> int:
        value = self._data.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
            raise _wrong(name, "a whole number of its range")
        return value

    def maybe_number(self, name: str) -> int | None:
        return self.number(name) if self.has(name) else None

    def flag(self, name: str) -> bool:
        value = self._data.get(name)
        if not isinstance(value, bool):
            raise _wrong(name, "true or false")
        return value

    def object(self, name: str) -> _Fields:
        return _Fields(self._data.get(name))

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise _wrong(name, "a list of texts")
        return tuple(value)

    def seconds(self, name: str) -> Mapping[str, float]:
        value = self._data.get(name, {})
        if not isinstance(value, dict) or not all(_is_seconds(part) for part in value.values()):
            raise _wrong(name, "seconds by name")
        return value

    def content(self, name: str) -> bytes | None:
        return base64.b64decode(self.text(name), validate=True) if self.has(name) else None

    def contents(self, name: str) -> Mapping[str, bytes]:
        inner = self.object(name)
        return {part: inner.content(part) or b"" for part in inner._data}


def _announcement(fields: _Fields) -> Announcement:
    event = fields.text("event_id")
    if not is_event_id(event):
        raise _wrong("event_id", "an event's identity")
    return Announcement(
        event_id=event,
        status="failed",
        timestamp=fields.number("timestamp", _LATEST),
        job_id=fields.maybe_text("job_id"),
        path_to_audio=fields.maybe_text("path_to_audio"),
        transcription_approach=fields.maybe_text("transcription_approach"),
        warnings=fields.texts("warnings"),
        error=_failure(fields.object("error")),
        timings=fields.seconds("timings"),
        batch_id=fields.maybe_text("batch_id"),
        causation_id=fields.maybe_text("causation_id"),
        topic=fields.maybe_text("topic"),
        partition=fields.maybe_number("partition"),
        offset=fields.maybe_number("offset"),
    )


def _failure(fields: _Fields) -> Failure:
    return Failure(
        code=fields.text("code"),
        message=fields.text("message"),
        stage=fields.text("stage"),
        attempts=fields.number("attempts"),
        retryable=fields.flag("retryable"),
    )


def _original(fields: _Fields) -> OriginalRecord:
    return OriginalRecord(
        topic=fields.text("topic"),
        key=fields.content("key"),
        value=fields.content("value"),
        headers=fields.contents("headers"),
        size=fields.maybe_number("size"),
        left_out=fields.texts("left_out"),
    )


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(name: str, expected: str) -> FailureUnreadable:
    return FailureUnreadable(f"not a record of a failure: {name} is not {expected}")


def _encoded(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode("ascii")
