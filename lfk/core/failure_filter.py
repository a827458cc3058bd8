"""Which recorded failures are meant: by cause, by audio, by time."""

from __future__ import annotations

from dataclasses import dataclass

from lfk.core.failure_record import FailureRecord
from lfk.core.location import Location, has_scheme


@dataclass(frozen=True, slots=True)
class FailureFilter:
    """What is given narrows; nothing given means every failure. Times are milliseconds since the epoch."""

    #: Error codes.
    causes: frozenset[str] = frozenset()
    #: One audio or, with a ``/`` at its end, all below a prefix; below the audio root where it has no scheme.
    key: str = ""
    #: The failure was announced then or later.
    since: int | None = None
    #: It was announced before.
    until: int | None = None

    @property
    def narrows(self) -> bool:
        """Anything is given."""
        return self != FailureFilter()

    def admits(self, record: FailureRecord, audio_root: Location) -> bool:
        """Whether that failure is meant."""
        at = record.announcement.timestamp
        if (self.since is not None and at < self.since) or (self.until is not None and at >= self.until):
            return False
        if self.causes and record.error.code not in self.causes:
            return False
        if not self.key:
            return True
        wanted, audio = _full(self.key, audio_root), _full(record.audio, audio_root)
        return audio.startswith(wanted) if wanted.endswith("/") else audio == wanted


def _full(path: str, audio_root: Location) -> str:
    """A path as a location's text. A reference that could not be resolved has its path as it was sent."""
    if has_scheme(path):
        return path
    plain = path.replace("\\", "/")
    while plain.startswith("./"):
        plain = plain[2:]
    return f"{audio_root.as_prefix()}{plain}"
