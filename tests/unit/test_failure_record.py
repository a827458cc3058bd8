"""Records of failures: what goes in comes out, what is hostile is refused, and which ones a filter means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.errors import FailureUnreadable, Kind
from lfk.core.failure_filter import FailureFilter
from lfk.core.failure_record import MAX_RECORD_BYTES, FailureRecord, OriginalRecord, is_event_id
from lfk.core.location import parse_location
from lfk.core.messages import MAX_MESSAGE_BYTES, Announcement, Failure
from tests.roles.failing import failure_record

AUDIO = parse_location("s3://bucket/audio/")

texts = st.text(max_size=40)
numbers = st.integers(0, 2**63)
originals = st.builds(
    OriginalRecord.of,
    topic=texts,
    key=st.none() | st.binary(max_size=5000),
    value=st.none() | st.binary(max_size=300) | st.just(b"x" * (MAX_MESSAGE_BYTES + 1)),
    headers=st.dictionaries(texts, st.binary(max_size=6000), max_size=5),
)
failures = st.builds(Failure, texts, texts, texts, numbers, st.booleans())
announcements = st.builds(
    Announcement,
    event_id=st.text("0123456789abcdef", min_size=32, max_size=32),
    status=st.just("failed"),
    timestamp=st.integers(0, 10**14),
    job_id=st.none() | texts,
    path_to_audio=st.none() | texts,
    transcription_approach=st.none() | texts,
    warnings=st.lists(texts, max_size=3).map(tuple),
    error=failures,
    timings=st.dictionaries(texts, st.floats(0, 1e9), max_size=3),
    batch_id=st.none() | texts,
    causation_id=st.none() | texts,
    topic=st.none() | texts,
    partition=st.none() | numbers,
    offset=st.none() | numbers,
)
records = st.builds(
    FailureRecord,
    announcement=announcements,
    hint=texts,
    kind=st.sampled_from(Kind),
    origin=st.tuples(texts, numbers, numbers),
    original=st.none() | originals,
)


@given(records)
def test_what_goes_in_comes_out(one: FailureRecord) -> None:
    data = one.to_bytes()
    assert FailureRecord.from_bytes(data) == one
    assert len(data) < MAX_RECORD_BYTES


def test_a_name_that_utf8_cannot_hold_comes_out_too() -> None:
    one = failure_record(path="simple/tiny/\udcff.wav")
    assert FailureRecord.from_bytes(one.to_bytes()) == one


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(FailureUnreadable):
        FailureRecord.from_bytes(data)


@given(st.data(), json_values)
def test_a_field_of_another_form_is_refused_or_means_nothing(data: st.DataObject, value: Any) -> None:
    fields = failure_record(original=OriginalRecord.of("lfk.audio", b"k", b"v", {"h": b"1"})).to_dict()
    inner = data.draw(st.sampled_from([fields, fields["error"], fields["origin"], fields["record"]]))
    inner[data.draw(st.sampled_from(sorted(inner)))] = value
    try:
        read = FailureRecord.from_bytes(json.dumps(fields).encode())
    except FailureUnreadable:
        return
    assert FailureRecord.from_bytes(read.to_bytes()) == read


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"event_id": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b"",
        json.dumps({**failure_record().to_dict(), "event_id": "../" + "a" * 29}).encode(),
        json.dumps({**failure_record().to_dict(), "timestamp": True}).encode(),
        json.dumps({**failure_record().to_dict(), "timestamp": 10**18}).encode(),
        json.dumps({**failure_record().to_dict(), "record": {"topic": "t", "headers": {}, "value": "%%"}}).encode(),
    ],
    ids=["deep", "huge number", "binary", "empty", "climbing", "no time", "no date", "no base64"],
)
def test_hostile_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FailureUnreadable):
        FailureRecord.from_bytes(data)


def test_a_record_of_an_earlier_version_has_no_original() -> None:
    fields = failure_record().to_dict()
    assert "record" not in fields
    assert FailureRecord.from_bytes(json.dumps({**fields, "unknown": [1]}).encode()) == failure_record()


def test_what_is_too_large_is_left_out_and_said_so() -> None:
    whole = OriginalRecord.of("lfk.audio", b"k" * 4096, b"v" * MAX_MESSAGE_BYTES, {"a": b"1"})
    assert (whole.left_out, whole.size, len(whole.value or b"")) == ((), MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES)
    headers = {"large": b"x" * 20_000, "n" * 20_000: b"", "small": b"1"}
    part = OriginalRecord.of("lfk.audio", b"k" * 4097, b"v" * (MAX_MESSAGE_BYTES + 1), headers)
    assert part.left_out == ("key", "value", "headers")
    assert (part.key, part.value, part.size, part.headers) == (None, None, MAX_MESSAGE_BYTES + 1, {"small": b"1"})
    assert OriginalRecord.of("lfk.audio", None, None, {}).size is None


@pytest.mark.parametrize("text", ["", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "a" * 32 + "\n", "../" + "a" * 29])
def test_what_is_no_event_id(text: str) -> None:
    assert not is_event_id(text)


X = "s3://bucket/audio/simple/tiny/x.wav"


@pytest.mark.parametrize(
    ("chosen", "path", "admitted"),
    [
        (FailureFilter(), X, True),
        (FailureFilter(causes=frozenset({"object_missing", "other"})), X, True),
        (FailureFilter(causes=frozenset({"other"})), X, False),
        (FailureFilter(since=1000), X, True),
        (FailureFilter(since=1001), X, False),
        (FailureFilter(until=1001), X, True),
        (FailureFilter(until=1000), X, False),
        (FailureFilter(key=X), X, True),
        (FailureFilter(key="simple/tiny/x.wav"), X, True),
        (FailureFilter(key="simple/tiny/x"), X, False),
        (FailureFilter(key="simple/tiny/"), X, True),
        (FailureFilter(key="simple/ti"), X, False),
        (FailureFilter(key="s3://bucket/audio/simple/"), X, True),
        (FailureFilter(key="./"), X, True),
        (FailureFilter(key="./"), "s3://archive/x.wav", False),
        (FailureFilter(key="s3://archive/"), "s3://archive/x.wav", True),
        (FailureFilter(key="simple/gigantic/"), ".\\simple\\gigantic\\x.wav", True),
        (FailureFilter(key="simple/", causes=frozenset({"other"})), X, False),
    ],
)
def test_a_filter_admits_what_fits_all_of_it(chosen: FailureFilter, path: str, admitted: bool) -> None:
    assert chosen.admits(failure_record(path=path), AUDIO) is admitted
    assert chosen.narrows is (chosen != FailureFilter())


def test_a_message_that_could_not_be_read_is_known_by_its_key() -> None:
    def original(key: bytes | None) -> OriginalRecord:
        return OriginalRecord.of("lfk.audio", key, b"{", {})

    assert FailureFilter(key="simple/tiny/x.wav").admits(
        failure_record(path=None, original=original(X.encode())), AUDIO
    )
    assert failure_record(path=None, original=original(b"\xff")).audio == "\ufffd"
    assert failure_record(path=None, original=original(None)).audio == failure_record(path=None).audio == ""
