"""Messages on the wire: valid ones round-trip, hostile ones are refused with a typed error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.brokers.codec import JsonCodec
from lfk.brokers.strict_json import validator
from lfk.core.chunks import MAX_CHUNK_BYTES, AudioChunk
from lfk.core.errors import FramesNotAllowed, MalformedMessage, MessageTooLarge, RejectedReference
from lfk.core.messages import MAX_MESSAGE_BYTES, Announcement, AudioReference, Failure

CODEC = JsonCodec()

texts = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=60)
references = st.builds(
    AudioReference,
    path_to_audio=texts,
    transcription_approach=st.none() | texts,
    timestamp=st.none() | st.integers(0, 2**53 - 1),
    etag=st.none() | texts,
    size=st.none() | st.integers(0, 2**53 - 1),
    duration=st.none() | st.floats(0, 1e9),
    options=st.dictionaries(texts, st.integers() | texts | st.booleans(), max_size=5),
    force=st.booleans(),
)


@given(references)
def test_references_round_trip(reference: AudioReference) -> None:
    assert CODEC.decode_reference(CODEC.encode_reference(reference)) == reference


def test_announcements_round_trip() -> None:
    done = Announcement(
        event_id="e",
        status="done",
        timestamp=1,
        job_id="j",
        path_to_audio="s3://b/a.wav",
        transcription_approach="simple.tiny",
        path_to_transcript="s3://b/t.json",
        files={"json": "s3://b/t.json"},
        warnings=("odd",),
        reused_stages=("transcribe",),
        timings={"fetch": 0.5},
    )
    failed = Announcement(
        event_id="e", status="failed", timestamp=1, error=Failure("code", "message", "fetch", 1, False), topic="t"
    )
    for announcement in (done, failed):
        assert CODEC.decode_announcement(CODEC.encode_announcement(announcement)) == announcement


def test_a_mark_and_whole_characters_however_spelt_are_fine() -> None:
    value = b'\xef\xbb\xbf{"path_to_audio": "\\ud83c\\udfa7.wav"}'
    assert CODEC.decode_reference(value) == AudioReference("\U0001f3a7.wav")


def test_unknown_fields_are_ignored() -> None:
    reference = CODEC.decode_reference(b'{"path_to_audio": "x.wav", "colour": "blue", "etag": null}')
    assert reference == AudioReference("x.wav")


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"\xff\xfe",
        b"{}",
        b'{"path_to_audio": ""}',
        b'{"path_to_audio": 1}',
        b'{"path_to_audio": "x", "path_to_audio": "y"}',
        b'{"path_to_audio": "x", "timestamp": -1}',
        b'{"path_to_audio": "x", "timestamp": 1e400}',
        b'{"path_to_audio": "x", "timestamp": NaN}',
        b'{"path_to_audio": "x", "size": ' + b"9" * 5000 + b"}",
        b'{"path_to_audio": "x", "options": []}',
        b'{"path_to_audio": "x", "options": ' + b'{"a":' * 20000 + b"1" + b"}" * 20000 + b"}",
        b"[" * 60000,
        b'{"path_to_audio": "x", "sha256": "abc"}',
        b'{"path_to_audio": "\\ud800.wav"}',
        b'{"path_to_audio": "\xed\xa0\x80.wav"}',
        b'{"path_to_audio": "x", "batch_id": "\\udfff\\ud800"}',
        b'{"path_to_audio": "x", "options": {"a": [{"\\ud800": 1}]}}',
        b'{"path_to_audio": "x", "options": {"\\ud800": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}}",
        '{"path_to_audio": "x"}'.encode("utf-16"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_refused(value: bytes | None) -> None:
    with pytest.raises(RejectedReference) as caught:
        CODEC.decode_reference(value)
    assert caught.value.hint


def test_escapes_that_make_whole_characters_are_text() -> None:
    assert CODEC.decode_reference(b'{"path_to_audio": "\\ud83d\\ude00\\u00e9.wav"}').path_to_audio == "😀é.wav"
    assert CODEC.decode_reference(b'\xef\xbb\xbf{"path_to_audio": "x"}').path_to_audio == "x"


def test_frames_and_sizes() -> None:
    with pytest.raises(FramesNotAllowed):
        CODEC.decode_reference(b'{"path_to_audio": "x", "frames": "AAAA"}')
    chunk = json.dumps({"path_to_audio": "x", "frames": "A" * 100_000}).encode()
    with pytest.raises(FramesNotAllowed):
        CODEC.decode_reference(chunk)
    with pytest.raises(MessageTooLarge):
        CODEC.decode_reference(b"x" * MAX_MESSAGE_BYTES)
    with pytest.raises(MessageTooLarge):
        CODEC.encode_reference(AudioReference("x", options={"hotwords": "y" * MAX_MESSAGE_BYTES}))
    with pytest.raises(MalformedMessage):
        CODEC.encode_reference(AudioReference(""))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_reference_or_a_typed_error(value: bytes) -> None:
    try:
        CODEC.decode_reference(value)
    except RejectedReference as error:
        assert error.code in {"malformed_message", "message_too_large", "frames_not_allowed"}


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*validator("audio-reference").schema["properties"]]), json_values, max_size=6))
def test_any_fields_are_a_reference_or_a_typed_error(data: dict[str, object]) -> None:
    try:
        reference = CODEC.decode_reference(json.dumps(data).encode("utf-8", "surrogatepass"))
    except RejectedReference as error:
        assert error.message
    else:
        # What was read can be written again: an answer repeats some of it.
        assert CODEC.decode_reference(CODEC.encode_reference(reference)) == reference


chunks = st.builds(
    AudioChunk,
    path_to_audio=texts,
    frames=st.binary(max_size=200),
    final=st.booleans(),
    params=st.none() | texts,
    upload_id=st.none() | st.just("u"),
    chunk_index=st.none() | st.integers(0, 199_999),
    size=st.none() | st.integers(0, 2**53 - 1),
)


@given(chunks)
def test_chunks_round_trip(chunk: AudioChunk) -> None:
    assert CODEC.decode_chunk(CODEC.encode_chunk(chunk)) == chunk


def test_chunks_may_be_larger_than_references_but_not_without_limit() -> None:
    value = CODEC.encode_chunk(AudioChunk("x.wav", b"\0" * MAX_MESSAGE_BYTES))
    assert len(CODEC.decode_chunk(value).frames) == MAX_MESSAGE_BYTES
    with pytest.raises(FramesNotAllowed):
        CODEC.decode_reference(value)
    with pytest.raises(MessageTooLarge):
        CODEC.decode_chunk(b" " * MAX_CHUNK_BYTES)


def test_a_chunk_of_the_older_tool() -> None:
    value = json.dumps(
        {
            "path_to_audio": ".\\sources\\diarisation\\base\\x.wav",
            "transcription_approach": "diarisation.base",
            "params": "1,2,16000,3,NONE,not compressed",
            "frames": "AAABAAIA",
            "final": True,
        }
    ).encode()
    chunk = CODEC.decode_chunk(value)
    assert chunk.frames == b"\0\0\1\0\2\0"
    assert not chunk.numbered


@pytest.mark.parametrize("frames", ['"AA*A"', '"AAA"', '"AAAA\\n"', "7", '["AAAA"]', '"\\u00e4AAA"'])
def test_frames_that_are_no_base64_are_refused(frames: str) -> None:
    with pytest.raises(MalformedMessage):
        CODEC.decode_chunk(b'{"path_to_audio": "x.wav", "frames": ' + frames.encode() + b"}")
