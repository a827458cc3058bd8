"""Finds the data files that travel with lfk (schemas, models manifest), in a wheel and in a checkout alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def resource(name: str) -> Path:
    """The path of a shipped file, e.g. ``schemas/audio-reference.json``.

    A wheel holds it under ``lfk/_data``; a checkout (editable install) holds it at the project's root.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for base in (_PACKAGE / "_data", _PACKAGE.parent):
        candidate = base / name
        if candidate.exists():
            return candidate
    raise FileNotFoundError(f"{name} is missing from this installation of lfk; reinstall it")
