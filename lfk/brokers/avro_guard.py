"""Which Avro schemas of others are decoded with: those under which a message takes no more than its bytes are worth.

Anybody who may register a schema could name one that lets a few bytes stand for billions of values (an array of
nothing), that nests as deep as the message is long, or whose types unfold a thousandfold. Decoders follow all of these.
Nor do they look where the message ends while they skip what is of a fixed length, in a field that lfk does not know: an
array of floats is skipped as often as a few bytes say. And a decimal's digits take time by the square of their number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lfk.core.errors import MalformedMessage

#: Generous for a message about audio: lfk's own schemas have less than 8 KiB, 60 types and 4 levels.
_LONGEST = 128 << 10
_MOST_TYPES = 2000
_DEEPEST = 12

#: The fewest bytes that a decoder takes from a message for a value, and notices where it has ended. A fixed length is
#: skipped without a look, and counts for nothing here.
_BYTES: Mapping[str, int] = {
    "null": 0,
    "boolean": 0,
    "int": 1,
    "long": 1,
    "float": 0,
    "double": 0,
    "bytes": 1,
    "string": 1,
}


def refuse_unsafe(text: str, has_references: bool) -> None:
    """Confirm that a schema may be decoded with.

    Raises:
        MalformedMessage: it may not, or is no Avro schema.
    """
    if has_references:
        raise MalformedMessage("it refers to other schemas")
    if len(text) > _LONGEST:
        raise MalformedMessage(f"it has more than {_LONGEST} characters")
    try:
        _Walk().least(json.loads(text), "", 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedMessage(f"it is no Avro schema ({type(error).__name__})") from error


class _Walk:
    """Through a schema as a decoder would take it: named types are unfolded wherever they are used."""

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._types = 0

    def least(self, schema: Any, space: str, depth: int) -> int:
        """The fewest bytes that are counted for a value, see :data:`_BYTES`. ``space`` is the namespace in force."""
        self._types += 1
        if self._types > _MOST_TYPES:
            raise MalformedMessage("it unfolds into too many types")
        if depth > _DEEPEST:
            raise MalformedMessage("it nests too deeply, or without end")
        if isinstance(schema, str):
            if schema in _BYTES:
                return _BYTES[schema]
            return self.least(self._named[_full_name(schema, space)], space, depth + 1)
        if isinstance(schema, list):
            # The branch taken costs a byte of its own.
            return 1 + min(self.least(branch, space, depth + 1) for branch in schema)
        return self._complex(schema, space, depth)

    def _complex(self, schema: Mapping[str, Any], space: str, depth: int) -> int:
        kind = schema["type"]
        if schema.get("logicalType") == "decimal":
            raise MalformedMessage("it has decimals")
        if kind in ("record", "error", "enum", "fixed"):
            name = _full_name(schema["name"], schema.get("namespace", space))
            self._named[name] = schema
            space = name.rpartition(".")[0]
        if kind in ("record", "error"):
            return sum(self.least(field["type"], space, depth + 1) for field in schema["fields"])
        if kind == "enum":
            return 1
        if kind == "fixed":
            return 0
        if kind in ("array", "map"):
            # A key is a string, so each entry of a map takes a byte at least.
            if self.least(schema["items" if kind == "array" else "values"], space, depth + 1) < 1 and kind == "array":
                raise MalformedMessage("it has an array whose items are skipped uncounted")
            return 1
        return self.least(kind, space, depth + 1)


def _full_name(name: str, space: str) -> str:
    return name if "." in name or not space else f"{space}.{name}"
