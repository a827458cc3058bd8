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
