"""Sending the audio of a video alone: the forms that it may take, and how an object tells what it was made from.

The object keeps the key of the video, suffix and all, so that its transcript, its place in a course and whatever was
agreed about names stay the same; its content type says what it holds. Its metadata says which file it was made from,
so that with no memory of its own a sender still knows an unchanged video without extracting it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lfk.core.media_types import content_type
from lfk.core.sync_plan import Content

#: The name of an object's metadata entry with its :class:`Origin`.
EXTRACTED_FROM = "lfk-extracted-from"
#: Form to the media type of the object.
FORMS: Mapping[str, str] = {"flac": "audio/flac", "opus": "audio/ogg"}

_ORIGIN = re.compile(r"(?P<form>[a-z0-9]{1,16}):(?P<size>[0-9]{1,19}):(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that an object's audio was taken from, and the form that the audio was given."""

    form: str
    file: Content

    def __str__(self) -> str:
        return f"{self.form}:{self.file.size}:{self.file.sha256}"


def parse_origin(text: str) -> Origin | None:
    """The origin that metadata tells of; None for anything else, as others may write what they like there."""
    match = _ORIGIN.fullmatch(text)
    return Origin(match["form"], Content(int(match["size"]), match["sha256"])) if match else None


def holds_video(name: str) -> bool:
    """Whether a recording of that name has more in it than audio, as far as its suffix tells."""
    kind = content_type(name)
    return kind is not None and not kind.startswith("audio/")
