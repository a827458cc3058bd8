"""Messages to bytes and back, checked against the schemas both ways. Bare UTF-8 JSON; Avro lives in the registry.

What comes from a topic is hostile: it is bounded in size and depth before it is looked at, duplicate keys and
``NaN`` are refused, and nothing of it is trusted that the schema does not name.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NoReturn, Protocol

from jsonschema import Draft202012Validator, ValidationError

from lfk.brokers.quick_schema import compiled
from lfk.core.chunks import MAX_CHUNK_BYTES, AudioChunk
from lfk.core.errors import FramesNotAllowed, MalformedMessage, MessageTooLarge
from lfk.core.messages import MAX_MESSAGE_BYTES, Announcement, AudioReference
from lfk.core.printable import printable
from lfk.resources import resource

#: Made once: making it costs as much as writing a small message.
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Codec(Protocol):
    """How messages are written on topics."""

    def encode_reference(self, reference: AudioReference) -> bytes:
        """A reference's bytes.

        Raises:
            MalformedMessage, MessageTooLarge: it may not be sent like that.
        """

    def decode_reference(self, value: bytes | None) -> AudioReference:
        """The reference in a record's value.

        Raises:
            MalformedMessage, MessageTooLarge, FramesNotAllowed: it is not one.
        """

    def encode_chunk(self, chunk: AudioChunk) -> bytes:
        """A chunk's bytes; errors as for references, but larger."""

    def decode_chunk(self, value: bytes | None) -> AudioChunk:
        """The chunk in a record's value.

        Raises:
            MalformedMessage, MessageTooLarge: it is not one.
        """

    def encode_announcement(self, announcement: Announcement) -> bytes:
        """An announcement's bytes; errors as for references."""

    def decode_announcement(self, value: bytes | None) -> Announcement:
        """The announcement in a record's value; errors as for references."""


class JsonCodec:
    """UTF-8 JSON, validated against ``schemas/*.json``."""

    def encode_reference(self, reference: AudioReference) -> bytes:
        return _encode(reference.to_dict(), "audio-reference")

    def decode_reference(self, value: bytes | None) -> AudioReference:
        reference = AudioReference.from_dict(_decode(value, "audio-reference"))
        if reference.frames:
            raise FramesNotAllowed("the message carries audio frames; this topic takes references only")
        return reference

    def encode_chunk(self, chunk: AudioChunk) -> bytes:
        frames = base64.b64encode(chunk.frames).decode("ascii")
        return _encode({**chunk.to_dict(), "frames": frames}, "audio-reference", MAX_CHUNK_BYTES)

    def decode_chunk(self, value: bytes | None) -> AudioChunk:
        data = dict(_decode(value, "audio-reference", MAX_CHUNK_BYTES))
        try:
            data["frames"] = base64.b64decode(data.get("frames") or "", validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedMessage(f"frames: not base64: {printable(str(error), 120)}") from error
        return AudioChunk.from_dict(data)

    def encode_announcement(self, announcement: Announcement) -> bytes:
        return _encode(announcement.to_dict(), "transcript")

    def decode_announcement(self, value: bytes | None) -> Announcement:
        return Announcement.from_dict(_decode(value, "transcript"))


@cache
def validator(schema: str) -> Draft202012Validator:
    """The validator of ``schemas/<schema>.json``, made once."""
    return Draft202012Validator(json.loads(resource(f"schemas/{schema}.json").read_text(encoding="utf-8")))


@cache
def _quick(schema: str) -> Callable[[Mapping[str, Any]], bool]:
    return compiled(json.loads(resource(f"schemas/{schema}.json").read_text(encoding="utf-8")))


def _check(data: Mapping[str, Any], schema: str) -> None:
    if _quick(schema)(data):
        return
    # The first error will do: computing the best one walks a hostile message many times over.
    error: ValidationError | None = next(validator(schema).iter_errors(data), None)
    if error is not None:
        where = "/".join(str(part) for part in error.absolute_path) or "the message"
        raise MalformedMessage(f"{printable(where, 80)}: {printable(error.message, 200)}")


def _encode(data: Mapping[str, Any], schema: str, limit: int = MAX_MESSAGE_BYTES) -> bytes:
    _check(data, schema)
    try:
        value = _write(data).encode("utf-8")
    except (ValueError, UnicodeEncodeError) as error:
        raise MalformedMessage(f"the message cannot be written as JSON: {type(error).__name__}") from error
    if len(value) >= limit:
        raise MessageTooLarge(f"the message has {len(value)} bytes; the limit is {limit}")
    return value


def _decode(value: bytes | None, schema: str, limit: int = MAX_MESSAGE_BYTES) -> Mapping[str, Any]:
    if not value:
        raise MalformedMessage("the message is empty")
    if len(value) >= limit:
        _refuse_large(value, limit)
    try:
        # Given bytes, json would take UTF-16 as well, and halves of characters in what is no UTF-8.
        data = json.loads(value.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_no_constant)
        if b"\\u" in value:
            _require_text(data)
    except MalformedMessage:
        raise
    except RecursionError as error:
        raise MalformedMessage("the message is nested too deeply") from error
    except ValueError as error:
        raise MalformedMessage(f"the message is not UTF-8 JSON: {printable(str(error), 120)}") from error
    if not isinstance(data, dict):
        raise MalformedMessage(f"the message is a JSON {type(data).__name__}, not an object")
    try:
        _check(data, schema)
    except RecursionError as error:
        raise MalformedMessage("the message is nested too deeply") from error
    return data


def _require_text(data: object) -> None:
    """Refuse what JSON's escapes can say and no text holds: nothing that repeats it could be sent or stored."""
    try:
        json.dumps(data, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedMessage("the message holds half a character (a lone surrogate)") from error


def _refuse_large(value: bytes, limit: int) -> NoReturn:
    # A look at the raw bytes tells a chunk apart, so that the sender learns which topic it belongs to.
    if limit == MAX_MESSAGE_BYTES and (b'"frames"' in value[:limit] or b'"frames"' in value[-limit:]):
        raise FramesNotAllowed(f"the message has {len(value)} bytes and carries audio frames")
    raise MessageTooLarge(f"the message has {len(value)} bytes; the limit is {limit}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise MalformedMessage("the message has a key twice")
    return data


def _no_constant(name: str) -> NoReturn:
    raise MalformedMessage(f"{name} is not JSON")
