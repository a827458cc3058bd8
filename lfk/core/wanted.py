"""Which announcements a receiving machine wants: the conditions of ``--filter``, each ``name=value``.

Conditions of different names must all hold, of several with one name any. Names and values are checked when they are
given, so that a mistyped one is told of and does not silently keep everything away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lfk.core.addressing import Roots
from lfk.core.approaches import KNOWN_MODELS, require_approach
from lfk.core.errors import InvalidLocation, UnknownApproach, UsageError
from lfk.core.location import parse_location
from lfk.core.messages import Announcement
from lfk.core.patterns import Selection

_NAMES = ("status", "approach", "model", "language", "path", "batch")
_STATUSES = ("done", "failed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """See the module. Without conditions every announcement is wanted."""

    roots: Roots
    conditions: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Iterable[str], roots: Roots) -> Wanted:
        """From what a user wrote.

        Raises:
            UsageError: a name or value that there is not.
        """
        conditions: dict[str, set[str]] = {}
        for text in texts:
            name, equals, value = (part.strip() for part in text.partition("="))
            if name not in _NAMES or not equals or not value:
                raise UsageError(
                    f"LFK_FILTER: {text[:80]!r} is no condition", hint=f"use NAME=VALUE with {', '.join(_NAMES)}"
                )
            conditions.setdefault(name, set()).add(_checked(name, value))
        return cls(roots, {name: frozenset(values) for name, values in conditions.items()})

    def wants(self, announcement: Announcement) -> bool:
        """Whether an announcement fulfils every condition."""
        return all(self._holds(name, values, announcement) for name, values in self.conditions.items())

    def _holds(self, name: str, values: frozenset[str], announcement: Announcement) -> bool:
        if name == "path":
            path = announcement.path_to_audio
            return path is not None and Selection(tuple(values)).wants(self._below(path))
        approach, _dot, model = (announcement.transcription_approach or "").partition(".")
        facts = {
            "status": announcement.status,
            "approach": approach,
            "model": model,
            "language": (announcement.language or "").lower(),
            "batch": announcement.batch_id,
        }
        return facts[name] in values

    def _below(self, path: str) -> str:
        """A path as patterns mean it: below the audio root where it lies there."""
        try:
            location = parse_location(path)
        except InvalidLocation:
            return path
        return self.roots.audio.relative(location) if self.roots.audio.contains(location) else path


def _checked(name: str, value: str) -> str:
    if name == "status" and value not in _STATUSES:
        raise UsageError(f"LFK_FILTER: no status is called {value[:80]!r}; there are {', '.join(_STATUSES)}")
    if name == "model" and value.lower() not in KNOWN_MODELS:
        raise UsageError(f"LFK_FILTER: no model is called {value[:80]!r}; known: {', '.join(KNOWN_MODELS)}")
    if name == "approach":
        try:
            return require_approach(value).name
        except UnknownApproach as error:
            raise UsageError(f"LFK_FILTER: {error.message}", hint=error.hint) from error
    return value.lower() if name in ("model", "language") else value
