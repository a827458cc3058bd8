"""The manifest: the ``lfk`` object inside a transcript's ``json``, and the stored result it is rendered from.

Values in, values out. A manifest says which work made the transcript, of which bytes, how it was rendered, and
which files belong to it; whoever reads one can decide without fetching audio whether there is anything to do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lfk.core.transcript import Transcript, from_dict, to_dict

#: Version of the stored result's own form.
RESULT_VERSION = 1


@dataclass(frozen=True, slots=True)
class AudioVersion:
    """Exactly which bytes were transcribed. ``modified`` is seconds since the epoch, by the store's clock."""

    etag: str
    size: int
    sha256: str
    modified: float
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rendering:
    """How a result was laid out: what may differ between transcripts of one job."""

    formats: tuple[str, ...]
    timestamps: bool
    pause: float


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a transcript."""

    location: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What an engine found, as kept under ``.lfk/results``: the source of every rendering."""

    event_id: str
    job_id: str
    transcript: Transcript
    provenance: Mapping[str, Any]
    timings: Mapping[str, float] = field(default_factory=dict)
    reused_stages: tuple[str, ...] = ()
    #: The audio that it was made for first, and its ``approach.model``: tells a result whose transcript was never
    #: written from one that was replaced. Equal audio elsewhere shares the result.
    audio: str | None = None
    pair: str | None = None

    def to_bytes(self) -> bytes:
        """As stored."""
        data = {
            "version": RESULT_VERSION,
            "event_id": self.event_id,
            "job_id": self.job_id,
            "transcript": to_dict(self.transcript),
            "provenance": dict(self.provenance),
            "timings": dict(self.timings),
            "reused_stages": list(self.reused_stages),
            "audio": self.audio,
            "pair": self.pair,
        }
        return json.dumps(data, ensure_ascii=False, sort_keys=True, allow_nan=False).encode("utf-8")

    @classmethod
    def from_bytes(cls, data: bytes) -> StoredResult:
        """As read from the store.

        Raises:
            ValueError: it is not a result of this version.
        """
        try:
            values = read_json(data)
            if values["version"] != RESULT_VERSION:
                raise ValueError(f"a result of version {values['version']!r}")
            return cls(
                event_id=values["event_id"],
                job_id=values["job_id"],
                transcript=from_dict(values["transcript"]),
                provenance=values["provenance"],
                timings=values["timings"],
                reused_stages=tuple(values["reused_stages"]),
                audio=values.get("audio"),
                pair=values.get("pair"),
            )
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"not a stored result: {type(error).__name__} {error}") from error


@dataclass(frozen=True, slots=True)
class Manifest:
    """See the module. ``path_to_audio`` is the canonical location."""

    event_id: str
    job_id: str
    path_to_audio: str
    transcription_approach: str
    audio: AudioVersion
    rendering: Rendering
    language: str | None
    duration: float | None
    segments: int
    words: int
    speakers: int
    no_speech: bool
    warnings: tuple[str, ...]
    provenance: Mapping[str, Any]
    timings: Mapping[str, float]
    reused_stages: tuple[str, ...]
    turns: tuple[Mapping[str, Any], ...]
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        data = asdict(self)
        for name in ("warnings", "reused_stages", "turns"):
            data[name] = list(data[name])
        data["rendering"]["formats"] = list(self.rendering.formats)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Manifest:
        """The inverse of :meth:`to_dict`; unknown fields are ignored.

        Raises:
            ValueError: it is not a manifest.
        """
        try:
            values = {f.name: data[f.name] for f in fields(cls)}
            _require(values, _KINDS)
            _require(data["audio"], _AUDIO_KINDS)
            _require(data["timings"], dict.fromkeys(data["timings"], _NUMBER))
            values["audio"] = AudioVersion(**{f.name: data["audio"].get(f.name) for f in fields(AudioVersion)})
            rendering = data["rendering"]
            values["rendering"] = Rendering(
                tuple(rendering["formats"]), bool(rendering["timestamps"]), float(rendering["pause"])
            )
            values["files"] = {
                str(name): FileEntry(str(entry["location"]), int(entry["size"]), str(entry["sha256"]))
                for name, entry in data["files"].items()
            }
            for name in ("warnings", "reused_stages", "turns"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a manifest: {type(error).__name__} {error}") from error


#: What readers rely on. Whoever can write into the store can write anything under the name of a manifest.
_NUMBER = (int, float)
_NONE = type(None)
_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("event_id", "job_id", "path_to_audio", "transcription_approach"), (str,)),
    **dict.fromkeys(("segments", "words", "speakers"), (int,)),
    **dict.fromkeys(("warnings", "reused_stages", "turns"), (list,)),
    **dict.fromkeys(("provenance", "timings"), (dict,)),
    "language": (str, _NONE),
    "duration": (*_NUMBER, _NONE),
}
_AUDIO_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("etag", "sha256"), (str,)),
    "size": (int,),
    "modified": _NUMBER,
    "version_id": (str, _NONE),
}


def _require(values: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> None:
    for name, kind in kinds.items():
        value = values.get(name)
        if not isinstance(value, kind) or (isinstance(value, float) and not math.isfinite(value)):
            raise TypeError(f"{name[:80]} is no {kind[0].__name__}")


def read_json(content: bytes) -> Any:
    """JSON from the store.

    Raises:
        ValueError: it is none, or nested deeper than anything of lfk's.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_manifest(content: bytes) -> Manifest:
    """The manifest in a transcript's ``json``.

    Raises:
        ValueError: there is none in it.
    """
    data = read_json(content)
    if not isinstance(data, dict) or not isinstance(data.get("lfk"), dict):
        raise ValueError("not a transcript of lfk")
    return Manifest.from_dict(data["lfk"])
