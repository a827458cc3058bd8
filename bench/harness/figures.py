"""What a case measures, as values: rounds of each side, ratios between them, and what was to be reached."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["at least", "at most"]


@dataclass(frozen=True)
class Round:
    """One turn of one side, in seconds."""

    wall: float
    #: Of all processes of that side; None where they were not this harness's to look at.
    processor: float | None = None
    #: What else this turn has shown, e.g. megabytes of memory.
    more: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """What the project promises for a figure."""

    value: float
    direction: Direction = "at least"

    def met(self, value: float) -> bool:
        """Whether the value is as good as promised."""
        return value >= self.value if self.direction == "at least" else value <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.direction == 'at least' else '≤'} {self.value:g}"


@dataclass(frozen=True)
class Figure:
    """One row of the results: a value for each round, of which the median counts."""

    name: str
    unit: str
    rounds: Sequence[float]
    target: Target | None = None
    #: For ratios: the same of processor time, which a busy machine hardly changes.
    processor: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """What is held against the target."""
        return statistics.median(self.rounds)

    @property
    def met(self) -> bool | None:
        """None where nothing is promised."""
        return None if self.target is None else self.target.met(self.median)

    def to_dict(self) -> dict[str, Any]:
        """For the record."""
        return {
            "name": self.name,
            "unit": self.unit,
            "rounds": [round(value, 4) for value in self.rounds],
            "median": round(self.median, 4),
            "least": round(min(self.rounds), 4),
            "most": round(max(self.rounds), 4),
            "processor": None if self.processor is None else round(self.processor, 3),
            "target": None if self.target is None else {"value": self.target.value, "direction": self.target.direction},
            "met": self.met,
            "note": self.note,
        }


def ratio(
    name: str,
    ours: Sequence[Round],
    theirs: Sequence[Round],
    target: Target | None = None,
    *,
    scale: float = 1.0,
    note: str = "",
) -> Figure:
    """How many times as long the rival takes, round by round; ``scale`` where it did only a part of the work."""
    rounds = [rival.wall * scale / own.wall for own, rival in zip(ours, theirs, strict=True)]
    used = [
        rival.processor * scale / own.processor
        for own, rival in zip(ours, theirs, strict=True)
        if own.processor and rival.processor
    ]
    return Figure(name, "×", rounds, target, statistics.median(used) if used else None, note)
