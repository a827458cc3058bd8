"""Seconds as the texts that transcripts and subtitle formats use. Rounds to the nearest millisecond, once."""

from __future__ import annotations


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, never negative."""
    return max(0, round(seconds * 1000))


def clock(seconds: float) -> str:
    """``h:mm:ss`` as in ``[0:00:09]``, cut down to whole seconds."""
    whole = int(max(0.0, seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def subtitle(seconds: float, mark: str) -> str:
    """``hh:mm:ss`` and milliseconds behind ``mark``: a comma in SubRip, a dot in WebVTT."""
    total = milliseconds(seconds)
    return f"{total // 3600000:02d}:{total // 60000 % 60:02d}:{total // 1000 % 60:02d}{mark}{total % 1000:03d}"
