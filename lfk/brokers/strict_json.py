"""Strict JSON, checked against the schemas. What comes from a topic is hostile: it is bounded in size and depth before
it is looked at, duplicate keys and ``NaN`` are refused, and nothing of it is trusted that the schema does not name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NoReturn

from jsonschema import Draft202012Validator, ValidationError

from lfk.brokers.quick_schema import compiled
from lfk.core.errors import FramesNotAllowed, MalformedMessage, MessageTooLarge
from lfk.core.messages import MAX_MESSAGE_BYTES
from lfk.core.printable import printable
from lfk.resources import resource

#: Made once: making it costs as much as writing a small message.
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@cache
def validator(schema: str) -> Draft202012Validator:
    """The validator of ``schemas/<schema>.json``, made once."""
    return Draft202012Validator(json.loads(resource(f"schemas/{schema}.json").read_text(encoding="utf-8")))


@cache
def _quick(schema: str) -> Callable[[Mapping[str, Any]], bool]:
    return compiled(json.loads(resource(f"schemas/{schema}.json").read_text(encoding="utf-8")))


def check(data: Mapping[str, Any], schema: str) -> None:
    """Confirm that ``schemas/<schema>.json`` allows a message.

    Raises:
        MalformedMessage: it does not.
    """
    if _quick(schema)(data):
        return
    # The first error will do: computing the best one walks a hostile message many times over.
    error: ValidationError | None = next(validator(schema).iter_errors(data), None)
    if error is not None:
        where = "/".join(str(part) for part in error.absolute_path) or "the message"
        raise MalformedMessage(f"{printable(where, 80)}: {printable(error.message, 200)}")


def write(data: Mapping[str, Any]) -> bytes:
    """UTF-8, as short as can be.

    Raises:
        MalformedMessage: it cannot be said in JSON.
    """
    try:
        return _write(data).encode("utf-8")
    except (ValueError, UnicodeEncodeError) as error:
        raise MalformedMessage(f"the message cannot be written as JSON: {type(error).__name__}") from error


def parse(value: bytes) -> dict[str, Any]:
    """The object that a value of bounded size holds.

    Raises:
        MalformedMessage: it is not UTF-8 JSON, not an object, or not sane.
    """
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
    return data


def parse_checked(value: bytes, schema: str) -> dict[str, Any]:
    """As :func:`parse`, and the schema allows it."""
    data = parse(value)
    try:
        check(data, schema)
    except RecursionError as error:
        raise MalformedMessage("the message is nested too deeply") from error
    return data


def require_size(value: bytes | None, limit: int) -> bytes:
    """A value that may be looked at.

    Raises:
        MalformedMessage: there is none.
        MessageTooLarge, FramesNotAllowed: it has ``limit`` bytes or more.
    """
    if not value:
        raise MalformedMessage("the message is empty")
    if len(value) >= limit:
        _refuse_large(value, limit)
    return value


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
