"""The quick look at messages lets nothing pass that the validator would not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.brokers.quick_schema import compiled
from lfk.brokers.strict_json import validator
from lfk.resources import resource

SCHEMA = json.loads(resource("schemas/audio-reference.json").read_text(encoding="utf-8"))
QUICK = compiled(SCHEMA)

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=True),
    st.text(max_size=20),
    st.sampled_from(["ab" * 32, "AB" * 32, "x" * 129, "x" * 5000, -1, 0, 9007199254740992, 1e9, 1e10, 1.0]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=40),
)
messages = st.dictionaries(st.sampled_from([*SCHEMA["properties"], "colour"]), values, max_size=8)


@given(messages)
def test_what_passes_quickly_is_valid(message: dict[str, Any]) -> None:
    if QUICK(message):
        assert list(validator("audio-reference").iter_errors(message)) == []


def test_an_ordinary_reference_passes_quickly() -> None:
    message = {"path_to_audio": "s3://b/x.wav", "size": 5, "sha256": "ab" * 32, "options": {"a": 1}, "force": True}
    assert QUICK({**message, "duration": 1.5, "language": None, "colour": "blue"})


@pytest.mark.parametrize(
    "message",
    [{}, {"path_to_audio": ""}, {"path_to_audio": 5}, {"path_to_audio": "x", "size": True}, {"path_to_audio": "x",
     "size": -1}, {"path_to_audio": "x", "sha256": "short"}, {"path_to_audio": "x", "options": []}],
    ids=str,
)  # fmt: skip
def test_what_is_not_valid_does_not_pass(message: dict[str, Any]) -> None:
    assert not QUICK(message)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}, "if": {}},
        {"type": "object", "properties": {"a": {"type": "string", "format": "uri"}}},
        {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}},
        {"type": "object", "properties": {"a": {"enum": ["x", 5]}}},
        {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": False}}},
        {"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}},
        {"type": "object", "properties": {"a": {"minLength": 1}}},
        {"type": "array"},
    ],
    ids=str,
)
def test_what_it_does_not_know_it_does_not_let_pass(schema: dict[str, Any]) -> None:
    assert not compiled(schema)({"a": "x"})


TRANSCRIPT = json.loads(resource("schemas/transcript.json").read_text(encoding="utf-8"))
QUICK_TRANSCRIPT = compiled(TRANSCRIPT)
DONE: dict[str, Any] = {
    "event_id": "e", "job_id": "j", "status": "done", "path_to_audio": "s3://b/x.wav", "timestamp": 5,
    "transcription_approach": "simple.tiny", "path_to_transcript": "s3://b/x.wav.json", "files": {"txt": "s3://b/x.txt"},
    "timings": {"fetch": 0.5, "queued": 1}, "warnings": ["w"], "reused_stages": [], "provenance": {"lfk": {"a": 1}},
}  # fmt: skip
ERROR = {"code": "c", "message": "m", "stage": "fetch", "attempts": 1, "retryable": False}


def test_an_ordinary_announcement_passes_quickly() -> None:
    assert QUICK_TRANSCRIPT(DONE)
    assert QUICK_TRANSCRIPT({**DONE, "status": "failed", "error": ERROR, "path_to_audio": None})


@pytest.mark.parametrize(
    "change",
    [{"status": "failed"}, {"status": "other"}, {"status": ["done"]}, {"files": {"txt": 5}}, {"files": []},
     {"timings": {"fetch": "x"}}, {"warnings": [1]}, {"warnings": "w"}, {"error": {"code": "c"}},
     {"error": {**ERROR, "attempts": -1}}, {"status": "failed", "error": {**ERROR, "code": 1}}],
    ids=str,
)  # fmt: skip
def test_an_announcement_that_is_not_valid_does_not_pass(change: dict[str, Any]) -> None:
    assert not QUICK_TRANSCRIPT({**DONE, **change})
    assert list(validator("transcript").iter_errors({**DONE, **change}))


changes = st.dictionaries(
    st.sampled_from([*TRANSCRIPT["properties"], "colour"]),
    st.one_of(values, st.sampled_from(["done", "failed", ERROR, {}, ["w"], {"a": "b"}, {"a": 1.5}])),
    max_size=4,
)


@given(changes, st.sets(st.sampled_from(list(DONE)), max_size=2))
def test_an_announcement_that_passes_quickly_is_valid(change: dict[str, Any], missing: set[str]) -> None:
    message = {name: value for name, value in {**DONE, **change}.items() if name not in missing}
    if QUICK_TRANSCRIPT(message):
        assert list(validator("transcript").iter_errors(message)) == []
