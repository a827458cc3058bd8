"""The two messages: a reference (about audio) and an announcement (about a transcript).

Values in, values out: turning them into bytes and checking them against the schemas is the codec's work. Field
names and meanings are those of ``schemas/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal

#: References and announcements stay under this many bytes (the claim check promise).
MAX_MESSAGE_BYTES = 64 * 1024

REFERENCE_TYPE = "lfk.audio.reference"
TRANSCRIPT_TYPE = "lfk.transcript"

Status = Literal["done", "failed"]


@dataclass(frozen=True, slots=True)
class AudioReference:
    """A reference to audio in the store. Only ``path_to_audio`` is required; hints may be None."""

    path_to_audio: str
    transcription_approach: str | None = None
    final: bool = True
    params: str | None = None
    frames: str | None = None
    #: When the message was made, milliseconds since the epoch.
    timestamp: int | None = None
    etag: str | None = None
    version_id: str | None = None
    sha256: str | None = None
    #: Bytes.
    size: int | None = None
    #: Seconds.
    duration: float | None = None
    content_type: str | None = None
    language: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    batch_id: str | None = None
    force: bool = False
    causation_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Without the fields that have no value."""
        # Written out rather than `asdict`, which copies deeply: bulk senders do this for every reference.
        data = {name: value for name, value in zip(_REFERENCE_FIELDS, _values(self), strict=True) if value is not None}
        if self.options:
            data["options"] = dict(self.options)
        else:
            data.pop("options", None)
        if not self.force:
            del data["force"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AudioReference:
        """From data that the schema has accepted; unknown fields are ignored, nulls are absent."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known and value is not None})


_REFERENCE_FIELDS = tuple(one.name for one in fields(AudioReference))
_values = attrgetter(*_REFERENCE_FIELDS)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a reference failed, as announced."""

    code: str
    message: str
    stage: str
    attempts: int
    retryable: bool


@dataclass(frozen=True, slots=True)
class Announcement:
    """What became of one reference."""

    event_id: str
    status: Status
    #: When the announcement was made, milliseconds since the epoch.
    timestamp: int
    job_id: str | None = None
    path_to_audio: str | None = None
    transcription_approach: str | None = None
    path_to_transcript: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    language: str | None = None
    duration: float | None = None
    segments: int | None = None
    words: int | None = None
    speakers: int | None = None
    no_speech: bool | None = None
    reused: bool = False
    reused_stages: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: Failure | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    batch_id: str | None = None
    causation_id: str | None = None
    #: Where the reference was first seen; the only address of one that could not be parsed.
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data; nulls are kept where the contract has the field, left out elsewhere."""
        # Not `asdict` for all of it, which copies deeply: a hub that skips does this hundreds of times a second.
        data = {name: getattr(self, name) for name in _ANNOUNCEMENT_FIELDS}
        data["error"] = None if self.error is None else asdict(self.error)
        for name in ("files", "timings", "provenance"):
            data[name] = dict(data[name])
        data["reused_stages"] = list(self.reused_stages)
        data["warnings"] = list(self.warnings)
        optional = ("error", "batch_id", "causation_id", "topic", "partition", "offset")
        return {name: value for name, value in data.items() if value is not None or name not in optional}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Announcement:
        """From data that the schema has accepted; unknown fields are ignored."""
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in data.items() if name in known and value is not None}
        if error := values.pop("error", None):
            values["error"] = Failure(**{f.name: error[f.name] for f in fields(Failure)})
        for name in ("reused_stages", "warnings"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


_ANNOUNCEMENT_FIELDS = tuple(one.name for one in fields(Announcement))
