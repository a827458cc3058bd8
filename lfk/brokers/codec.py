"""Messages to bytes and back, checked against the schemas both ways: bare UTF-8 JSON.

What a Schema Registry knows of is written and read by :mod:`lfk.brokers.registry_codec`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Protocol

from lfk.brokers.strict_json import check, parse_checked, require_size, write
from lfk.core.chunks import MAX_CHUNK_BYTES, AudioChunk
from lfk.core.errors import FramesNotAllowed, MalformedMessage, MessageTooLarge
from lfk.core.messages import MAX_MESSAGE_BYTES, Announcement, AudioReference
from lfk.core.printable import printable

REFERENCE_SCHEMA = "audio-reference"
TRANSCRIPT_SCHEMA = "transcript"

#: What a value begins with that a Schema Registry's serialiser has written; no JSON does.
REGISTRY_MAGIC = 0


class Codec(Protocol):
    """How messages are written on topics. Where that takes a Schema Registry, any method that encodes or decodes may
    also raise ``RegistryUnreachable`` and ``RegistryError``: the message is not to blame for these.
    """

    def prepare(self) -> None:
        """Get everything that encoding needs, so that it never waits for anybody from here on.

        Raises:
            RegistryUnreachable, RegistryError: it is not to be had.
        """

    def knows(self, value: bytes | None, /) -> bool:
        """Whether this value can be decoded, or refused, without asking anybody."""

    def check(self) -> None:
        """Confirm that whoever is asked answers; errors as for :meth:`prepare`."""

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

    def prepare(self) -> None:
        """Nothing is needed."""

    def knows(self, _value: bytes | None) -> bool:
        return True

    def check(self) -> None:
        """Nobody is asked."""

    def encode_reference(self, reference: AudioReference) -> bytes:
        return _encode(reference.to_dict(), REFERENCE_SCHEMA)

    def decode_reference(self, value: bytes | None) -> AudioReference:
        reference = AudioReference.from_dict(_decode(value, REFERENCE_SCHEMA))
        if reference.frames:
            raise FramesNotAllowed("the message carries audio frames; this topic takes references only")
        return reference

    def encode_chunk(self, chunk: AudioChunk) -> bytes:
        return _encode({**chunk.to_dict(), "frames": frames_to_text(chunk.frames)}, REFERENCE_SCHEMA, MAX_CHUNK_BYTES)

    def decode_chunk(self, value: bytes | None) -> AudioChunk:
        data = dict(_decode(value, REFERENCE_SCHEMA, MAX_CHUNK_BYTES))
        data["frames"] = frames_from_text(data.get("frames"))
        return AudioChunk.from_dict(data)

    def encode_announcement(self, announcement: Announcement) -> bytes:
        return _encode(announcement.to_dict(), TRANSCRIPT_SCHEMA)

    def decode_announcement(self, value: bytes | None) -> Announcement:
        return Announcement.from_dict(_decode(value, TRANSCRIPT_SCHEMA))


def frames_to_text(frames: bytes) -> str:
    """Audio as JSON has it."""
    return base64.b64encode(frames).decode("ascii")


def frames_from_text(text: str | None) -> bytes:
    """Undo :func:`frames_to_text`.

    Raises:
        MalformedMessage: it is not base64.
    """
    try:
        return base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedMessage(f"frames: not base64: {printable(str(error), 120)}") from error


def _encode(data: Mapping[str, Any], schema: str, limit: int = MAX_MESSAGE_BYTES) -> bytes:
    check(data, schema)
    value = write(data)
    if len(value) >= limit:
        raise MessageTooLarge(f"the message has {len(value)} bytes; the limit is {limit}")
    return value


def _decode(value: bytes | None, schema: str, limit: int = MAX_MESSAGE_BYTES) -> Mapping[str, Any]:
    value = require_size(value, limit)
    if value[0] == REGISTRY_MAGIC:
        raise MalformedMessage(
            "the message is written with a Schema Registry, and none is set here (SCHEMA_REGISTRY_URL)",
            hint="set SCHEMA_REGISTRY_URL where it is read, or have it sent as bare JSON",
        )
    return parse_checked(value, schema)
