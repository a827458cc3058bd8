"""Which audio a republish is about, and what it asks for it; written into the batch, so that it can be gone on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lfk.core.errors import UsageError
from lfk.core.location import Location, parse_location
from lfk.core.patterns import Selection
from lfk.core.request import Request

#: What ``--only`` takes. ``all`` includes the rest, but for failures of what is not below the audio root.
ONLY = ("all", "missing", "failed", "stale")


@dataclass(frozen=True, slots=True)
class Chosen:
    """See the module. Times are seconds since the epoch."""

    only: tuple[str, ...] = ("all",)
    #: Prefixes that the audio lies below; none means the audio root.
    below: tuple[Location, ...] = ()
    patterns: Selection = field(default_factory=Selection)
    since: float | None = None
    until: float | None = None
    #: 0 means no limit.
    limit: int = 0
    request: Request = field(default_factory=Request)
    force: bool = False

    @property
    def plain(self) -> bool:
        """It asks for what paths imply, and so for what open batches ask, too."""
        request = self.request
        return not (request.names_pair or request.options or request.language or self.force)

    def in_time(self, seconds: float) -> bool:
        """Whether a time is within ``since`` and ``until``."""
        return (self.since is None or seconds >= self.since) and (self.until is None or seconds < self.until)

    def holds(self, location: Location, root: Location) -> bool:
        """Whether audio there is meant, by its name; patterns are held against the path below ``root``."""
        if self.below and not any(prefix.contains(location) for prefix in self.below):
            return False
        return self.patterns.wants(root.relative(location) if root.contains(location) else location.key)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "only": list(self.only),
            "below": [str(prefix) for prefix in self.below],
            "include": list(self.patterns.include),
            "exclude": list(self.patterns.exclude),
            "since": self.since,
            "until": self.until,
            "limit": self.limit,
            "force": self.force,
            **self.request.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Chosen:
        """The inverse of :meth:`to_dict`.

        Raises:
            UsageError: it is not what a republish has written.
        """
        try:
            return cls(
                only=check_only(data["only"]),
                below=tuple(parse_location(text) for text in data["below"]),
                patterns=Selection(tuple(data["include"]), tuple(data["exclude"])),
                since=data["since"],
                until=data["until"],
                limit=int(data["limit"]),
                request=Request(data["approach"], data["model"], data["language"], dict(data["options"])),
                force=bool(data["force"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"the batch cannot be gone on with: {type(error).__name__} {error}") from error


def check_only(words: Sequence[str]) -> tuple[str, ...]:
    """What ``--only`` was given, without repetitions.

    Raises:
        UsageError: a word that means nothing here, or ``all`` with others.
    """
    asked = tuple(dict.fromkeys(words)) or ("all",)
    unknown = [word for word in asked if word not in ONLY]
    if unknown:
        raise UsageError(f"--only: {unknown[0][:40]!r} is none of {', '.join(ONLY)}")
    if "all" in asked and len(asked) > 1:
        raise UsageError("--only: all includes the others", hint="leave the others out, or leave all out")
    return asked
