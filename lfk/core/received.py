"""What a reader may open of an announcement: every location in it is checked before anything is.

An announcement comes from a topic that others write to, so it is as hostile as any message. Refused as a whole:
locations outside the transcripts root and the operator's further prefixes, inside lfk's own records, prefixes
instead of objects, names that no folder can hold, and numbers that no recording has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from lfk.core.addressing import Roots
from lfk.core.errors import ForbiddenLocation, InvalidLocation, MalformedMessage
from lfk.core.formats import MANIFEST
from lfk.core.location import Location, check_key, parse_location
from lfk.core.messages import Announcement

#: What a part of a file name may have on every common file system, in bytes of UTF-8.
_MAX_NAME_BYTES = 255
#: Milliseconds, seconds and counts of real recordings stay far below.
_LARGEST_NUMBER = 10**15

_HINT = "only files below LFK_TRANSCRIPTS and LFK_ALLOWED are opened; look at who wrote this announcement"


@dataclass(frozen=True, slots=True)
class TranscriptFile:
    """One file of a transcript that may be opened."""

    form: str
    location: Location
    #: Its key below the prefix that holds it: also its name below a folder that mirrors the transcripts.
    name: str


def transcript_files(announcement: Announcement, roots: Roots) -> tuple[TranscriptFile, ...]:
    """Every file that the announcement lists, the manifest last.

    Raises:
        InvalidLocation, ForbiddenLocation, MalformedMessage: something in it is not fit to be used.
    """
    _check_numbers(announcement)
    listed = dict(announcement.files)
    if announcement.path_to_transcript is not None:
        listed.setdefault(MANIFEST, announcement.path_to_transcript)
        _file("path_to_transcript", announcement.path_to_transcript, roots)
    files = [_file(form, text, roots) for form, text in listed.items()]
    return tuple(sorted(files, key=lambda file: file.form == MANIFEST))


def select(files: Iterable[TranscriptFile], forms: Collection[str]) -> tuple[TranscriptFile, ...]:
    """The files of those formats; all of them where none is named."""
    return tuple(file for file in files if not forms or file.form in forms)


def _file(form: str, text: str, roots: Roots) -> TranscriptFile:
    location = parse_location(text)
    if roots.records.contains(location):
        raise ForbiddenLocation(f"{location} is one of lfk's own records", hint=_HINT)
    for prefix in (roots.transcripts, *roots.allowed):
        if prefix.contains(location):
            return TranscriptFile(form, location, _file_name(prefix.relative(location)))
    raise ForbiddenLocation(f"{location} is outside the transcripts root {roots.transcripts}", hint=_HINT)


def _file_name(key: str) -> str:
    """``key`` if it is the name of a file below some folder."""
    for part in check_key(key or "/").split("/"):
        if not part:
            raise InvalidLocation(f"{key[:200]!r} is not the name of a file", hint=_HINT)
        if len(part.encode("utf-8")) > _MAX_NAME_BYTES:
            raise InvalidLocation(f"{part[:60]!r}… is longer than a file's name may be", hint=_HINT)
    return key


def _check_numbers(announcement: Announcement) -> None:
    numbers = (
        announcement.timestamp,
        announcement.duration,
        announcement.segments,
        announcement.words,
        announcement.speakers,
        announcement.partition,
        announcement.offset,
        announcement.error.attempts if announcement.error else None,
        *announcement.timings.values(),
    )
    for number in numbers:
        if number is not None and not abs(number) < _LARGEST_NUMBER:
            raise MalformedMessage("the announcement holds a number that no recording has", hint=_HINT)
