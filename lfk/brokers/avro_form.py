"""Messages as their Avro twins have them: what JSON nests freely is text there, audio is bytes, absent is null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from lfk.brokers.codec import REFERENCE_SCHEMA, TRANSCRIPT_SCHEMA
from lfk.brokers.strict_json import parse, write
from lfk.core.errors import MalformedMessage

#: The field of each schema whose free form is a JSON object as text.
_AS_TEXT: Mapping[str, str] = {REFERENCE_SCHEMA: "options", TRANSCRIPT_SCHEMA: "provenance"}
#: What the JSON schema wants to be there, null or not.
_NULLABLE: Mapping[str, frozenset[str]] = {
    REFERENCE_SCHEMA: frozenset(),
    TRANSCRIPT_SCHEMA: frozenset({"job_id", "path_to_audio", "transcription_approach", "path_to_transcript"}),
}


def to_avro(data: Mapping[str, Any], schema: str) -> dict[str, Any]:
    """A message's data, with ``frames`` as bytes, as the serialiser takes it.

    Raises:
        MalformedMessage: it holds what JSON could not.
    """
    free = _AS_TEXT[schema]
    _require_numbers(data)
    record = dict(data)
    if record.get(free) is not None:
        record[free] = write(record[free]).decode("utf-8")
    return record


def from_avro(record: object, schema: str) -> dict[str, Any]:
    """Undo :func:`to_avro`.

    Raises:
        MalformedMessage: it holds what JSON could not.
    """
    if not isinstance(record, dict):
        raise MalformedMessage("the message is no record")
    data = {name: value for name, value in record.items() if value is not None or name in _NULLABLE[schema]}
    free = _AS_TEXT[schema]
    if free in data:
        data[free] = parse(str(data[free]).encode("utf-8"))
    _require_numbers(data)
    return data


def _require_numbers(data: Mapping[str, Any]) -> None:
    """JSON knows no infinity, so neither do the schema's limits nor whoever reads what comes of it."""
    for name, value in data.items():
        values = value.values() if isinstance(value, dict) else (value,)
        if any(isinstance(one, float) and not math.isfinite(one) for one in values):
            raise MalformedMessage(f"{name}: not a number")


def compact(text: str) -> str:
    """A schema as it is registered: without the layout of its file."""
    return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
