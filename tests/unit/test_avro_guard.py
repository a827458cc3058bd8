"""Which schemas of others are decoded with."""

from __future__ import annotations

import io
import json

import fastavro
import pytest

from lfk.brokers.avro_guard import refuse_unsafe
from lfk.brokers.registry_codec import own_schema
from lfk.core.errors import MalformedMessage


def record(*types: object) -> object:
    return {"type": "record", "name": "R", "fields": [{"name": f"f{n}", "type": one} for n, one in enumerate(types)]}


PAIR = {"type": "record", "name": "Pair", "namespace": "a", "fields": [{"name": "x", "type": "int"}]}


@pytest.mark.parametrize("name", ["audio-reference", "transcript"])
def test_lfks_own(name: str) -> None:
    refuse_unsafe(own_schema(name, avro=True).schema_str or "", False)


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        record("string", {"type": "array", "items": "string"}, {"type": "map", "values": "null"}),
        record(PAIR, "a.Pair", {"type": "array", "items": "a.Pair"}),
        record({"type": "fixed", "name": "F", "size": 16}, {"type": "enum", "name": "E", "symbols": ["A"]}),
        record({"type": "array", "items": ["null", "string"]}),
        record("float", "double", "boolean", {"type": "map", "values": "float"}),
        record({"type": "array", "items": record("string", "float")}),
        record({"type": "string", "logicalType": "uuid"}),
    ],
)
def test_plain_ones(schema: object) -> None:
    refuse_unsafe(json.dumps(schema), False)


@pytest.mark.parametrize(
    "schema",
    [
        record({"type": "array", "items": "null"}),
        record({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}),
        record({"type": "array", "items": record()}),
        record({"type": "map", "values": {"type": "array", "items": "null"}}),
        *(record({"type": "array", "items": one}) for one in ("float", "double", "boolean")),
        record({"type": "array", "items": {"type": "fixed", "name": "F", "size": 16}}),
        record({"type": "array", "items": record("null", "float")}),
        record({"type": "bytes", "logicalType": "decimal", "precision": 10**8, "scale": 0}),
        record(["null", "R"]),
        {"type": {"type": {"type": {"type": {"type": {"type": {"type": {"type": "x"}}}}}}}},
        record("Unknown"),
        record({"type": "array"}),
        7,
        None,
        [],
        {"type": "record", "name": "R"},
    ],
)
def test_others(schema: object) -> None:
    with pytest.raises(MalformedMessage):
        refuse_unsafe(json.dumps(schema), False)


def test_limits_of_the_text() -> None:
    with pytest.raises(MalformedMessage, match="refers"):
        refuse_unsafe('"string"', True)
    with pytest.raises(MalformedMessage, match="characters"):
        refuse_unsafe(json.dumps(record("x" * 200_000)), False)
    with pytest.raises(MalformedMessage, match="no Avro schema"):
        refuse_unsafe("[" * 50_000, False)


@pytest.mark.parametrize("kind", ["int", "long", "string", "bytes", ["float"], {"type": "map", "values": "float"}])
def test_what_may_be_in_an_array_is_skipped_no_further_than_the_message(kind: object) -> None:
    """Of the decoder itself: the array claims more items than could be skipped in a day."""
    theirs = record({"type": "array", "items": kind})
    refuse_unsafe(json.dumps(theirs), False)
    count = bytes([0xFE] + [0xFF] * 7 + [0x7F])  # a long of 63 bits, zigzag
    with pytest.raises((EOFError, IndexError)):
        fastavro.schemaless_reader(io.BytesIO(count + b"\x00"), theirs, record())
