"""Hostile text made safe to show on a terminal or in a log."""

from __future__ import annotations

import unicodedata

#: Categories that move the cursor, hide or reorder text: control, format, surrogate, private use, separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def printable(text: str, limit: int = 300) -> str:
    """``text`` with control, bidi and line characters escaped, cut to ``limit`` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(
        char if unicodedata.category(char) not in _UNSAFE else char.encode("unicode_escape").decode("ascii")
        for char in cut
    )


def json_printable(line: str) -> str:
    """A line of JSON that means the same and does nothing to a terminal: what is unsafe becomes JSON's escape."""
    if line.isascii() and line.isprintable():
        return line
    return "".join(char if unicodedata.category(char) not in _UNSAFE else _escape(char) for char in line)


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def without_controls(text: str) -> str:
    """A whole text for a terminal: as it is, but control characters other than line breaks and tabs escaped.

    Unlike :func:`printable` it leaves the joiners and marks alone that many scripts are written with.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) != "Cc" else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
