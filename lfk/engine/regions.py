"""Spans of speech, and how they are put together for Whisper. Pure arithmetic on seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Whisper hears 30 s at a time.
LONGEST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Region:
    """A span in which somebody speaks, in seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """A region and the language spoken in it."""

    region: Region
    language: str


def merge(regions: Sequence[Region], longest: float = LONGEST_SECONDS) -> list[Region]:
    """Neighbours together for as long as they span at most ``longest`` seconds, as WhisperX's ``merge_chunks`` does."""
    merged: list[Region] = []
    for region in regions:
        if merged and region.end - merged[-1].start <= longest:
            merged[-1] = Region(merged[-1].start, region.end)
        else:
            merged.append(region)
    return merged


def clipped(start: float, end: float, duration: float) -> tuple[float, float]:
    """A span within the audio, in seconds to the millisecond, never backwards."""
    first = min(max(0.0, start if math.isfinite(start) else 0.0), duration)
    last = min(max(first, end if math.isfinite(end) else first), duration)
    return round(first, 3), round(last, 3)
