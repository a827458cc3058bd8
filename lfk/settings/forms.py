"""The forms in which values are written.

Each raises ``ValueError`` for a text that is not of its form, and its message is shown to the user.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
#: More than anybody counts, and still a number for every library that is given one.
_LARGEST_COUNT = (1 << 31) - 1
#: A hundred years: what is waited for that long never comes, and clocks still count it.
_LONGEST = 100 * 365 * 86400.0


def flag(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError("expected true or false")


def size(text: str) -> int:
    """``2097164``, ``512M``, ``4GiB``."""
    digits = text.strip().lower().removesuffix("ib").removesuffix("b")
    unit = digits[-1:] if digits[-1:] in "kmgt" else ""
    value = float(digits.removesuffix(unit)) * _UNITS[unit]
    if not 0 <= value < float("inf"):
        raise ValueError("expected a size that is not negative")
    return int(value)


def size_text(value: int) -> str:
    """As short as it can be written exactly: :func:`size` reads it back."""
    if not value:
        return "0"
    letter, unit = max((item for item in _UNITS.items() if value % item[1] == 0), key=lambda item: item[1])
    return f"{value // unit}{letter.upper()}"


def words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def command(text: str) -> tuple[str, ...]:
    """A program and its arguments, with quotes as in a shell and nothing else of one."""
    return tuple(shlex.split(text))


def pairs(text: str) -> Mapping[str, str]:
    pairs = {}
    for part in words(text):
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise ValueError("expected name=value, separated by commas")
        pairs[name.strip()] = value.strip()
    return pairs


def count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("expected a number that is not negative")
    if value > _LARGEST_COUNT:
        raise ValueError(f"expected a number up to {_LARGEST_COUNT}")
    return value


def at_least_one(text: str) -> int:
    value = count(text)
    if not value:
        raise ValueError("expected a number from 1 on")
    return value


def ratio(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError("expected a number above 0 and up to 1")
    return value


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= _LONGEST:
        raise ValueError("expected seconds, at most a hundred years")
    return value


def price(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError("expected a price that is not negative")
    return value


def age(text: str) -> float:
    """``3600``, ``90m``, ``12h``, ``30d``, ``2w``: in seconds."""
    digits = text.strip().lower()
    unit = digits[-1:] if digits[-1:] in _AGES else "s"
    return seconds(str(float(digits.removesuffix(unit)) * _AGES[unit]))
