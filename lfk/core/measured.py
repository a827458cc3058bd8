"""Ways to do the same work, timed in turns: what each took, and how many times as long as the first."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timed:
    """One way: its name, the seconds of each round, and the seconds of audio in a round."""

    name: str
    seconds: Sequence[float]
    audio: float

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.seconds)

    @property
    def speed(self) -> float:
        """Seconds of audio a second."""
        return self.audio / self.median

    def times_as_fast(self, other: Timed) -> float:
        """Against another way, round by round, as a machine that gets slower slows both."""
        return statistics.median(theirs / own for own, theirs in zip(self.seconds, other.seconds, strict=True))
