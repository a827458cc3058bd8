"""How long a recording is likely to be, where nobody has decoded it yet: for telling people how much work waits."""

from __future__ import annotations

from collections.abc import Mapping

from lfk.core.media_types import content_type

#: Bytes of a second as recordings of speech usually have them, by media type. Order of magnitude, not more: a phone's
#: video has ten times as many as a screen cast, a studio's WAV six times as many as a dictaphone's.
_BYTES_PER_SECOND: Mapping[str, int] = {
    "audio/wav": 96_000,  # 48 kHz, 16 bit, mono; halfway between dictaphones and studios
    "audio/aiff": 96_000,
    "audio/x-w64": 96_000,
    "audio/basic": 8_000,
    "audio/flac": 40_000,
    "audio/amr": 1_600,
    "audio/ogg": 6_000,
}
_AUDIO = 16_000  # 128 kbit/s
_VIDEO = 190_000  # 1.5 Mbit/s: a lecture at 720p


def likely_seconds(name: str, size: int, kind: str | None = None) -> float:
    """Seconds of audio that a file of that name and size in bytes is likely to hold; ``kind`` is its media type."""
    kind = kind or content_type(name) or "audio/"
    return size / _BYTES_PER_SECOND.get(kind, _AUDIO if kind.startswith("audio/") else _VIDEO)
