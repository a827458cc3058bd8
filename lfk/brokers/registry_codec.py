"""Messages written with a Schema Registry, as Avro or JSON, by confluent-kafka's own serialisers.

It writes one of the two and reads both, and bare JSON beside them: topics outlive a change of SCHEMA_TYPE. The ids of
lfk's own schemas are looked up, never registered, here: `lfk init` alone needs the right to write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.rule_registry import RuleRegistry
from confluent_kafka.serialization import MessageField, SerializationContext

from lfk.brokers.avro_form import compact, from_avro, to_avro
from lfk.brokers.codec import (
    REFERENCE_SCHEMA,
    REGISTRY_MAGIC,
    TRANSCRIPT_SCHEMA,
    JsonCodec,
    frames_from_text,
    frames_to_text,
)
from lfk.brokers.registry import KnownSchemas, Registry
from lfk.brokers.strict_json import check, parse, require_size, write
from lfk.core.chunks import MAX_CHUNK_BYTES, AudioChunk
from lfk.core.errors import FramesNotAllowed, LfkError, MalformedMessage, MessageTooLarge
from lfk.core.messages import MAX_MESSAGE_BYTES, Announcement, AudioReference
from lfk.core.printable import printable
from lfk.resources import resource

#: Magic byte and id, before the message itself.
_HEADER = 5

_Serializer = Callable[[object, SerializationContext], bytes | None]
_Deserializer = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Subjects:
    """Under which subjects lfk's schemas are registered, by what the topics carry."""

    references: str
    chunks: str
    announcements: str

    def schemas(self) -> Sequence[tuple[str, str]]:
        """Each with the name of its schema."""
        return (
            (self.references, REFERENCE_SCHEMA),
            (self.chunks, REFERENCE_SCHEMA),
            (self.announcements, TRANSCRIPT_SCHEMA),
        )


def own_schema(name: str, *, avro: bool) -> Schema:
    """``schemas/<name>`` as it is registered."""
    suffix, kind = ("avsc", "AVRO") if avro else ("json", "JSON")
    return Schema(compact(resource(f"schemas/{name}.{suffix}").read_text(encoding="utf-8")), kind)


class RegistryCodec:
    """See the module and :class:`lfk.brokers.codec.Codec`. Safe for use by several threads."""

    def __init__(self, registry: Registry, subjects: Subjects, *, avro: bool) -> None:
        """``avro``: what is written; otherwise JSON."""
        self._registry = registry
        self._subjects = subjects
        self._avro = avro
        self._bare = JsonCodec()
        known = KnownSchemas(registry)
        self._write_reference = _serializer(known, REFERENCE_SCHEMA, subjects.references, avro=avro)
        self._write_chunk = _serializer(known, REFERENCE_SCHEMA, subjects.chunks, avro=avro)
        self._write_announcement = _serializer(known, TRANSCRIPT_SCHEMA, subjects.announcements, avro=avro)
        self._avro_readers = {name: _avro_reader(known, name) for name in (REFERENCE_SCHEMA, TRANSCRIPT_SCHEMA)}
        self._json_readers = {name: _json_reader(name) for name in (REFERENCE_SCHEMA, TRANSCRIPT_SCHEMA)}

    def prepare(self) -> None:
        for subject, name in self._subjects.schemas():
            # The client remembers what it found, and the serialisers ask the same of it.
            self._registry.find(subject, own_schema(name, avro=self._avro))

    def knows(self, value: bytes | None) -> bool:
        if value is None or not _is_framed(value) or len(value) <= _HEADER:
            return True
        return self._registry.knows(_schema_id(value))

    def check(self) -> None:
        self._registry.check(self._subjects.announcements)

    def encode_reference(self, reference: AudioReference) -> bytes:
        data = reference.to_dict()
        # Lean references have none; what an older sender put there is text in JSON alone.
        data.pop("frames", None)
        return self._encode(data, REFERENCE_SCHEMA, self._write_reference, MAX_MESSAGE_BYTES)

    def decode_reference(self, value: bytes | None) -> AudioReference:
        if not _is_framed(value):
            return self._bare.decode_reference(value)
        data, frames = self._decode(value, REFERENCE_SCHEMA, MAX_MESSAGE_BYTES)
        if frames:
            raise FramesNotAllowed("the message carries audio frames; this topic takes references only")
        return AudioReference.from_dict(data)

    def encode_chunk(self, chunk: AudioChunk) -> bytes:
        data = chunk.to_dict()
        frames = data.pop("frames")
        return self._encode(data, REFERENCE_SCHEMA, self._write_chunk, MAX_CHUNK_BYTES, frames)

    def decode_chunk(self, value: bytes | None) -> AudioChunk:
        if not _is_framed(value):
            return self._bare.decode_chunk(value)
        data, frames = self._decode(value, REFERENCE_SCHEMA, MAX_CHUNK_BYTES)
        return AudioChunk.from_dict({**data, "frames": frames})

    def encode_announcement(self, announcement: Announcement) -> bytes:
        return self._encode(announcement.to_dict(), TRANSCRIPT_SCHEMA, self._write_announcement, MAX_MESSAGE_BYTES)

    def decode_announcement(self, value: bytes | None) -> Announcement:
        if not _is_framed(value):
            return self._bare.decode_announcement(value)
        data, _frames = self._decode(value, TRANSCRIPT_SCHEMA, MAX_MESSAGE_BYTES)
        return Announcement.from_dict(data)

    # --- both ways

    def _encode(
        self, data: Mapping[str, Any], schema: str, serialize: _Serializer, limit: int, frames: bytes | None = None
    ) -> bytes:
        check(data, schema)
        if self._avro:
            record = to_avro(data if frames is None else {**data, "frames": frames}, schema)
        else:
            record = dict(data) if frames is None else {**data, "frames": frames_to_text(frames)}
        try:
            value = serialize(record, _CONTEXT)
        except LfkError:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            raise MalformedMessage(f"the message cannot be written: {printable(str(error), 120)}") from error
        if value is None or len(value) >= limit:
            raise MessageTooLarge(f"the message has {len(value or b'')} bytes; the limit is {limit}")
        return value

    def _decode(self, value: bytes | None, schema: str, limit: int) -> tuple[dict[str, Any], bytes]:
        """The message, as its JSON schema allows it, and its audio."""
        value = require_size(value, limit)
        avro = self._registry.schema(_schema_id(value)).schema_type == "AVRO"
        read = (self._avro_readers if avro else self._json_readers)[schema]
        try:
            record = read(value)
        except LfkError:
            raise
        except Exception as error:
            # Whatever a decoder makes of it: the bytes are not of their schema.
            raise MalformedMessage(
                f"the message is not of the schema that it names, or that is none of lfk's: {type(error).__name__}"
            ) from error
        data = from_avro(record, schema) if avro else _as_object(record)
        frames = data.pop("frames", None)
        if not avro and frames is not None and not isinstance(frames, str):
            raise MalformedMessage("frames: not base64")
        try:
            check(data, schema)
        except RecursionError as error:
            raise MalformedMessage("the message is nested too deeply") from error
        return data, frames if isinstance(frames, bytes) else frames_from_text(frames)


#: The subject is fixed for each serialiser, so the topic's name plays no part.
_CONTEXT = SerializationContext("", MessageField.VALUE)


def _serializer(known: KnownSchemas, name: str, subject: str, *, avro: bool) -> _Serializer:
    schema = own_schema(name, avro=avro)
    config: dict[str, Any] = {
        "auto.register.schemas": False,
        "subject.name.strategy": lambda _context, _record: subject,
    }
    serializer: _Serializer
    if avro:
        serializer = AvroSerializer(known, schema, conf=config, rule_registry=_no_rules())
    else:
        # Checked before, and thirty times faster.
        config["validate"] = False
        serializer = JSONSerializer(schema, known, conf=config, rule_registry=_no_rules(), json_encode=write)
    return serializer


def _avro_reader(known: KnownSchemas, name: str) -> _Deserializer:
    schema = own_schema(name, avro=True)
    reader: _Deserializer = AvroDeserializer(known, schema, conf=_no_subject(), rule_registry=_no_rules())
    return reader


def _json_reader(name: str) -> _Deserializer:
    """Without a registry: JSON tells its own form, and a writer's schema may name addresses to be fetched."""
    schema = own_schema(name, avro=False)
    config = {**_no_subject(), "validate": False}
    reader: _Deserializer = JSONDeserializer(schema, conf=config, rule_registry=_no_rules(), json_decode=parse)
    return reader


def _no_subject() -> dict[str, Any]:
    return {"subject.name.strategy": lambda _context, _record: None}


def _no_rules() -> RuleRegistry:
    """Without executors no rule of a registry's data contracts can be run."""
    return RuleRegistry()  # type: ignore[no-untyped-call]


def _is_framed(value: bytes | None) -> bool:
    return value is not None and value[:1] == bytes((REGISTRY_MAGIC,))


def _schema_id(value: bytes) -> int:
    """The id that a message names.

    Raises:
        MalformedMessage: it ends before that.
    """
    if len(value) <= _HEADER:
        raise MalformedMessage("the message ends within the header that a Schema Registry's serialiser writes")
    return int.from_bytes(value[1:_HEADER], "big")


def _as_object(record: object) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise MalformedMessage("the message is no JSON object")
    return record
