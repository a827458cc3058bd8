"""One suite over every way in which messages are written: bare JSON, and JSON or Avro with a Schema Registry."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import fastavro
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from lfk.brokers.avro_form import to_avro
from lfk.brokers.codec import Codec, JsonCodec
from lfk.brokers.registry import Registry
from lfk.brokers.registry_codec import RegistryCodec, Subjects, own_schema
from lfk.core.chunks import AudioChunk
from lfk.core.errors import (
    FramesNotAllowed,
    MalformedMessage,
    MessageTooLarge,
    RegistryUnreachable,
    RejectedReference,
    SchemaMissing,
)
from lfk.core.messages import Announcement, AudioReference, Failure
from tests.conftest import StartServer
from tests.services import schema_registry as schema_registry_server
from tests.services.process import ServerProcess
from tests.services.schema_registry import SchemaRegistry

KINDS = ("bare", "registry-json", "registry-avro")

FULL = AudioReference(
    path_to_audio="s3://b/audio/simple/tiny/ü 🎧.wav",
    transcription_approach="simple.tiny",
    timestamp=1_700_000_000_000,
    etag="e",
    version_id="v",
    sha256="0" * 64,
    size=2**40,
    duration=12.5,
    content_type="audio/wav",
    language="en",
    options={"formats": ["txt"], "hotwords": "Ünïcode", "max_speakers": 3, "timestamps": False},
    batch_id="batch",
    force=True,
    causation_id="c",
)
CHUNK = AudioChunk(
    path_to_audio="simple/tiny/x.wav",
    frames=bytes(range(256)) * 400,
    final=True,
    params="1,2,16000,0,NONE,not compressed",
    upload_id="u",
    chunk_index=0,
    chunk_count=1,
    source="here",
    sha256="1" * 64,
    size=102400,
    options={"timestamps": True},
)
DONE = Announcement(
    event_id="e",
    status="done",
    timestamp=1,
    job_id="j",
    path_to_audio="s3://b/a.wav",
    transcription_approach="simple.tiny",
    path_to_transcript="s3://b/t.json",
    files={"json": "s3://b/t.json", "txt": "s3://b/t.txt"},
    language="en",
    duration=3.25,
    segments=2,
    words=7,
    speakers=1,
    no_speech=False,
    reused=True,
    reused_stages=("transcribe",),
    warnings=("odd",),
    timings={"fetch": 0.5, "queued": 0.0},
    provenance={"lfk": "0", "nested": {"device": "cpu"}},
    batch_id="batch",
)
FAILED = Announcement(
    event_id="e", status="failed", timestamp=1, error=Failure("code", "message", "parse", 1, False), topic="t", offset=3
)


@pytest.fixture(scope="module")
def subjects(schema_registry: SchemaRegistry) -> Subjects:
    """Registered as `lfk init` does, under names of this run's own."""
    names = Subjects("codec.audio-value", "codec.chunks-value", "codec.transcripts-value")
    for form, avro in (("json", False), ("avro", True)):
        register_all(schema_registry, _named(names, form), avro=avro)
    return names


def register_all(registry: SchemaRegistry, subjects: Subjects, *, avro: bool) -> None:
    with SchemaRegistryClient({"url": registry.url}) as client:
        for subject, schema in subjects.schemas():
            client.register_schema(subject, own_schema(schema, avro=avro))


def _named(names: Subjects, form: str) -> Subjects:
    return Subjects(*(f"{form}.{name}" for name in (names.references, names.chunks, names.announcements)))


@pytest.fixture(scope="module")
def make(schema_registry: SchemaRegistry, subjects: Subjects) -> Iterator[Callable[[str], Codec]]:
    with closing(Registry(schema_registry.url)) as registry:

        def make(kind: str) -> Codec:
            if kind == "bare":
                return JsonCodec()
            form = kind.removeprefix("registry-")
            return RegistryCodec(registry, _named(subjects, form), avro=form == "avro")

        yield make


@pytest.fixture(params=KINDS)
def codec(request: pytest.FixtureRequest, make: Callable[[str], Codec]) -> Codec:
    return make(request.param)


@pytest.fixture(params=["registry-json", "registry-avro"])
def registry_codec(request: pytest.FixtureRequest, make: Callable[[str], Codec]) -> Codec:
    return make(request.param)


@pytest.mark.parametrize("reference", [AudioReference("x.wav"), FULL], ids=["least", "full"])
def test_references_round_trip(codec: Codec, reference: AudioReference) -> None:
    assert codec.decode_reference(codec.encode_reference(reference)) == reference


@pytest.mark.parametrize("chunk", [AudioChunk("x.wav"), CHUNK], ids=["least", "full"])
def test_chunks_round_trip(codec: Codec, chunk: AudioChunk) -> None:
    assert codec.decode_chunk(codec.encode_chunk(chunk)) == chunk


@pytest.mark.parametrize("announcement", [DONE, FAILED], ids=["done", "failed"])
def test_announcements_round_trip(codec: Codec, announcement: Announcement) -> None:
    assert codec.decode_announcement(codec.encode_announcement(announcement)) == announcement


@pytest.mark.parametrize("written", KINDS)
@pytest.mark.parametrize("read", ["registry-json", "registry-avro"])
def test_whoever_has_a_registry_reads_every_form(make: Callable[[str], Codec], written: str, read: str) -> None:
    writer, reader = make(written), make(read)
    assert reader.decode_reference(writer.encode_reference(FULL)) == FULL
    assert reader.decode_chunk(writer.encode_chunk(CHUNK)) == CHUNK
    assert reader.decode_announcement(writer.encode_announcement(DONE)) == DONE


def test_audio_takes_its_bytes_in_avro_and_a_third_more_in_json(make: Callable[[str], Codec]) -> None:
    avro, text = (len(make(kind).encode_chunk(CHUNK)) for kind in ("registry-avro", "registry-json"))
    assert avro - len(CHUNK.frames) < 1000
    assert text > len(CHUNK.frames) * 4 / 3


def test_frames_are_no_reference(codec: Codec) -> None:
    with pytest.raises(FramesNotAllowed):
        codec.decode_reference(codec.encode_chunk(replace(CHUNK, frames=b"1234")))


def test_sizes_are_bounded(codec: Codec) -> None:
    with pytest.raises((MessageTooLarge, FramesNotAllowed)):
        codec.decode_reference(codec.encode_chunk(CHUNK))
    with pytest.raises(MessageTooLarge):
        codec.encode_announcement(replace(DONE, warnings=("x" * 70_000,)))


@pytest.mark.parametrize(
    "reference",
    [
        AudioReference(""),
        AudioReference("x" * 5000),
        AudioReference("x", size=-1),
        AudioReference("x", duration=float("nan")),
        AudioReference("x", sha256="no hash"),
        AudioReference("half a character: \ud800"),
    ],
    ids=["empty", "long", "negative", "not a number", "no hash", "surrogate"],
)
def test_what_the_schema_refuses_is_neither_written_nor_read(
    codec: Codec, make: Callable[[str], Codec], reference: AudioReference
) -> None:
    with pytest.raises(RejectedReference):
        codec.encode_reference(reference)


def test_without_a_registry_its_messages_are_told_apart(registry_codec: Codec) -> None:
    with pytest.raises(MalformedMessage, match="SCHEMA_REGISTRY_URL"):
        JsonCodec().decode_reference(registry_codec.encode_reference(FULL))


# --- hostile values


def framed(schema_id: int, body: bytes) -> bytes:
    return struct.pack(">bI", 0, schema_id) + body


def registered(registry: SchemaRegistry, subject: str, schema: object, kind: str = "AVRO") -> int:
    with SchemaRegistryClient({"url": registry.url}) as client:
        return client.register_schema(subject, Schema(json.dumps(schema), kind))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0",
        b"\0\0\0\0\1",
        b"\1" + bytes(16) + b"{}",
        framed(0, b"{}"),
        framed(2**32 - 1, b"{}"),
        framed(999_999, b"x"),
    ],
    ids=["empty", "magic alone", "header alone", "an id in another form", "id 0", "the largest id", "nobody's id"],
)
def test_headers_that_lead_nowhere(registry_codec: Codec, value: bytes) -> None:
    for decode in (registry_codec.decode_reference, registry_codec.decode_chunk, registry_codec.decode_announcement):
        with pytest.raises(MalformedMessage):
            decode(value)
    assert registry_codec.knows(value)


def test_bytes_that_are_not_of_their_schema(registry_codec: Codec) -> None:
    good = registry_codec.encode_reference(FULL)
    hostile = [good[:5] + body for body in (b"x", b"\xff" * 200, b"[" * 50_000, b"\x80" * 60_000, good[6:])]
    for value in (*hostile, good[: len(good) // 2]):
        with pytest.raises(RejectedReference):
            registry_codec.decode_reference(value)


def test_json_is_as_strict_with_a_registry_as_without(make: Callable[[str], Codec]) -> None:
    codec = make("registry-json")
    header = codec.encode_reference(FULL)[:5]
    for body in (
        b'{"path_to_audio":"a","path_to_audio":"b"}',
        b'{"path_to_audio":"a","duration":NaN}',
        b'{"path_to_audio":"\\ud800"}',
        b"[1]",
        b'{"path_to_audio":7}',
        b'{"path_to_audio":"a","frames":7}',
        b'{"a":' * 10_000,
    ):
        with pytest.raises(MalformedMessage):
            codec.decode_reference(header + body)


#: Each would let a few bytes stand for more than they are worth.
BOMBS: dict[str, object] = {
    "an array of nothing": {
        "type": "record", "name": "AudioReference", "namespace": "lfk",
        "fields": [
            {"name": "path_to_audio", "type": "string"},
            {"name": "bomb", "type": {"type": "array", "items": "null"}},
        ],
    },
    "an array of empty records": {
        "type": "record", "name": "AudioReference", "namespace": "lfk",
        "fields": [
            {"name": "path_to_audio", "type": "string"},
            {"name": "bomb", "type": {"type": "array", "items": {"type": "record", "name": "Nil", "fields": []}}},
        ],
    },
    "a list without end": {
        "type": "record", "name": "AudioReference", "namespace": "lfk",
        "fields": [
            {"name": "path_to_audio", "type": "string"},
            {"name": "next", "type": ["null", "AudioReference"], "default": None},
        ],
    },
    "types that unfold": {
        "type": "record", "name": "AudioReference", "namespace": "lfk",
        "fields": [
            {"name": "a0", "type": {"type": "record", "name": "T0", "fields": [{"name": "n", "type": "null"}]}},
            *(
                {
                    "name": f"a{n}",
                    "type": {
                        "type": "record", "name": f"T{n}",
                        "fields": [{"name": f"f{m}", "type": f"T{n - 1}"} for m in range(30)],
                    },
                }
                for n in range(1, 8)
            ),
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_schemas_that_make_little_into_much_are_not_decoded_with(
    make: Callable[[str], Codec], schema_registry: SchemaRegistry, topic_prefix: str, bomb: str
) -> None:
    number = registered(schema_registry, f"{topic_prefix}-value", BOMBS[bomb])
    # A string, then blocks of 2**40 items.
    body = b"\x02a" + b"\x80\x80\x80\x80\x80\x80\x01" * 3
    with pytest.raises(MalformedMessage, match=f"schema {number} is not one that is decoded with"):
        make("registry-avro").decode_reference(framed(number, body))


def test_huge_counts_under_lfks_own_schema(make: Callable[[str], Codec]) -> None:
    codec = make("registry-avro")
    header = codec.encode_announcement(FAILED)[:5]
    record = {**FAILED.to_dict(), "reused_stages": []}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _parsed("transcript"), to_avro(record, "transcript"))
    honest = out.getvalue()
    assert codec.decode_announcement(header + honest) == FAILED
    # Every zero could be the count of a map or list: each in turn becomes 2**40.
    huge = b"\x80\x80\x80\x80\x80\x80\x40"
    refused = 0
    for at in (index for index, byte in enumerate(honest) if byte == 0):
        try:
            codec.decode_announcement(header + honest[:at] + huge + honest[at + 1 :])
        except RejectedReference:
            refused += 1
    assert refused > 5


def test_a_schema_from_elsewhere(
    make: Callable[[str], Codec], schema_registry: SchemaRegistry, topic_prefix: str
) -> None:
    codec = make("registry-avro")
    user = {"type": "record", "name": "User", "fields": [{"name": "name", "type": "string"}]}
    number = registered(schema_registry, f"{topic_prefix}-value", user)
    with pytest.raises(MalformedMessage, match="none of lfk's"):
        codec.decode_reference(framed(number, b"\x06bob"))
    # An announcement where a reference belongs.
    with pytest.raises(MalformedMessage):
        codec.decode_reference(codec.encode_announcement(DONE))
    with pytest.raises(MalformedMessage):
        codec.decode_announcement(codec.encode_reference(FULL))


def test_fields_that_a_later_version_adds_are_ignored(
    make: Callable[[str], Codec], schema_registry: SchemaRegistry, topic_prefix: str
) -> None:
    schema = json.loads(own_schema("audio-reference", avro=True).schema_str or "")
    schema["fields"].insert(0, {"name": "added", "type": {"type": "array", "items": "string"}, "default": []})
    number = registered(schema_registry, f"{topic_prefix}-value", schema)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), {"added": ["x"], "path_to_audio": "a.wav"})
    assert make("registry-avro").decode_reference(framed(number, out.getvalue())) == AudioReference("a.wav")


def test_what_json_could_not_say_is_refused_in_avro(make: Callable[[str], Codec]) -> None:
    codec = make("registry-avro")
    for change in ({"duration": float("nan")}, {"duration": float("inf")}, {"options": "[1]"}, {"options": "{"}):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, _parsed("audio-reference"), {"path_to_audio": "a.wav", **change})
        with pytest.raises(MalformedMessage):
            codec.decode_reference(codec.encode_reference(FULL)[:5] + out.getvalue())


def _parsed(name: str) -> object:
    return fastavro.parse_schema(json.loads(own_schema(name, avro=True).schema_str or ""))


# --- the registry itself


def test_a_schema_that_is_not_registered_is_told_before_work(
    schema_registry: SchemaRegistry, topic_prefix: str
) -> None:
    subjects = Subjects(*(f"{topic_prefix}.{name}-value" for name in ("audio", "chunks", "transcripts")))
    with closing(Registry(schema_registry.url)) as registry, pytest.raises(SchemaMissing, match="audio-value"):
        RegistryCodec(registry, subjects, avro=True).prepare()


@pytest.fixture
def own_registry(own_server: StartServer) -> Iterator[tuple[ServerProcess, RegistryCodec]]:
    """One to be killed, with the codec that asks it."""
    running = own_server(schema_registry_server)
    subjects = Subjects("a-value", "c-value", "t-value")
    register_all(running.address, subjects, avro=True)
    with closing(Registry(running.address.url)) as registry:
        codec = RegistryCodec(registry, subjects, avro=True)
        codec.prepare()
        yield running.process, codec


def test_what_was_looked_up_once_needs_no_registry(own_registry: tuple[ServerProcess, RegistryCodec]) -> None:
    process, codec = own_registry
    # Of another version of the schema, which only the registry can tell.
    foreign = framed(4, b"x")
    assert codec.knows(codec.encode_reference(FULL))
    assert not codec.knows(foreign)

    process.kill()
    assert codec.decode_reference(codec.encode_reference(FULL)) == FULL
    assert codec.decode_chunk(codec.encode_chunk(CHUNK)) == CHUNK
    assert codec.decode_announcement(codec.encode_announcement(DONE)) == DONE
    with pytest.raises(RegistryUnreachable):
        codec.decode_reference(foreign)
    with pytest.raises(RegistryUnreachable):
        codec.check()

    process.start()
    # Its memory has gone with it, so nobody knows that id now.
    codec.check()
    with pytest.raises(MalformedMessage):
        codec.decode_reference(foreign)
    assert codec.knows(foreign)
