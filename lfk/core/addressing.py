"""From ``path_to_audio`` to what it means: which object, which approach and model, which transcript key.

This is the path table of the contract as code. Refused with a typed error: absolute and drive paths, ``..``, NUL,
anything outside the audio root and the operator's further prefixes, and models that are not listed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

from lfk.core.approaches import Approach, Catalogue, find_approach, parse_pair
from lfk.core.errors import ForbiddenLocation, InvalidLocation, UnknownModel
from lfk.core.location import Location, check_key, has_scheme, parse_location

#: In a file name: flips the TIMESTAMPS setting for that file.
TIMESTAMP_FLIP = "-lfkn0t1m3"

_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Roots:
    """Where things are and what is allowed; made once from the settings."""

    audio: Location
    transcripts: Location
    records: Location
    catalogue: Catalogue
    default_approach: Approach
    default_model: str
    #: The last name of SOURCE_FOLDER; it and ``sources`` are dropped where they lead a path.
    source_name: str = "sources"
    #: Further prefixes that references may point into.
    allowed: tuple[Location, ...] = ()

    def is_ours(self, location: Location) -> bool:
        """Whether it is a transcript or a record, which may share a bucket with the audio and are none."""
        return self.transcripts.contains(location) or self.records.contains(location)


@dataclass(frozen=True, slots=True)
class AudioAddress:
    """What a ``path_to_audio`` means.

    ``location`` is the audio object. ``fallback`` is set for relative paths whose leading ``sources`` was dropped:
    the object may be stored under the literal path too, and is looked for there second.
    """

    location: Location
    fallback: Location | None
    approach: Approach
    model: str
    #: The path below approach and model.
    rest: str
    #: The flip marker is in the file name.
    flips_timestamps: bool

    @property
    def pair(self) -> str:
        """``approach.model``, as in messages."""
        return f"{self.approach.name}.{self.model}"

    def at(self, location: Location) -> AudioAddress:
        """The same address where the audio lies at ``location``."""
        return replace(self, location=location, fallback=None)

    @property
    def transcript_key(self) -> str:
        """The key below the transcripts root, without a format's suffix."""
        return f"{self.approach.name}/{self.model}/{self.rest}"


def resolve(path: str, pair: str | None, roots: Roots) -> AudioAddress:
    """Resolve ``path_to_audio`` and the optional ``transcription_approach`` (which wins over the path).

    Raises:
        InvalidLocation, ForbiddenLocation: the path is not one of ours.
        UnknownApproach, UnknownModel: what it asks for is not offered here.
    """
    if has_scheme(path):
        location, below = _allowed(parse_location(path), roots)
        fallback = None
        parts = _drop_lead(below.split("/"), roots)
    else:
        literal = _relative(path)
        parts = _drop_lead(literal.split("/"), roots)
        kept = "/".join(parts)
        location = roots.audio.join(kept)
        fallback = roots.audio.join(literal) if literal != kept else None
    if not parts[-1]:
        raise InvalidLocation(f"{path[:200]!r} is a prefix, not an audio", hint="name one object, or use `lfk submit`")
    approach, model, rest = _recipe(parts, pair, roots)
    return AudioAddress(location, fallback, approach, model, rest, TIMESTAMP_FLIP in parts[-1])


def collision_key(transcript_key: str, audio: Location) -> str:
    """The transcript key for an audio whose natural key another audio owns: ``x~<8 hex>.wav``."""
    digest = hashlib.sha256(str(audio).encode("utf-8")).hexdigest()[:8]
    folder, slash, name = transcript_key.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    marked = f"{stem}~{digest}.{suffix}" if dot and stem else f"{name}~{digest}"
    return f"{folder}{slash}{marked}"


def _allowed(location: Location, roots: Roots) -> tuple[Location, str]:
    for prefix in (roots.audio, *roots.allowed):
        if prefix.contains(location):
            return location, check_key(prefix.relative(location) or "/")
    raise ForbiddenLocation(f"{location} is outside the audio root {roots.audio}")


def _relative(path: str) -> str:
    """A relative path as a key: Windows separators become ``/`` and leading ``./`` goes."""
    text = path.replace("\\", "/")
    if text.startswith("/") or _DRIVE.match(text):
        raise ForbiddenLocation(
            f"{path[:200]!r} is an absolute path of some machine", hint="send the path relative to the audio root"
        )
    while text.startswith("./"):
        text = text[2:].lstrip("/")
    return check_key(text)


def _drop_lead(parts: list[str], roots: Roots) -> list[str]:
    leads = {"sources", roots.source_name}
    return parts[1:] if len(parts) > 1 and parts[0] in leads else parts


def _recipe(parts: list[str], pair: str | None, roots: Roots) -> tuple[Approach, str, str]:
    approach = find_approach(parts[0]) if len(parts) > 1 else None
    model = roots.catalogue.find(parts[1]) if approach and len(parts) > 2 else None
    if pair:
        asked, asked_model = parse_pair(pair, roots.catalogue)
        return asked, asked_model, "/".join(parts[2:] if model else parts)
    if approach is None:
        return roots.default_approach, roots.default_model, "/".join(parts)
    if model is None and len(parts) == 2 and roots.catalogue.find(parts[1]):
        raise UnknownModel(
            f"after {parts[0]!r} and {parts[1]!r} comes the name of an audio",
            hint=f"name one, or all below with {parts[0]}/{parts[1]}/",
        )
    if model is None:
        listed = ", ".join(sorted(roots.catalogue.served_by))
        raise UnknownModel(f"after {parts[0]!r} comes a listed model, not {parts[1][:80]!r} (listed: {listed})")
    return approach, model, "/".join(parts[2:])
