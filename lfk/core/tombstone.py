"""What stays of stored audio that was deleted on request: enough to know it again, and that it was done with.

A sync that finds the same file does not upload it again, and a reference to it is answered by the transcript that is
there, as if the audio were.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from lfk.core.location import Location
from lfk.core.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Tombstone:
    """``location`` is the audio's canonical location, ``modified`` when it was uploaded (seconds since the epoch)."""

    location: str
    sha256: str
    size: int
    etag: str
    modified: float
    job_id: str
    #: Location of the manifest that was verified before the audio went.
    transcript: str
    #: When the audio was deleted, milliseconds since the epoch.
    timestamp: int
    version_id: str | None = None
    #: What the object's metadata said of the file that it was made from (:mod:`lfk.core.extraction`), if it was.
    extracted_from: str | None = None

    def to_bytes(self) -> bytes:
        """As stored."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, allow_nan=False).encode("utf-8")

    @classmethod
    def from_bytes(cls, data: bytes) -> Tombstone:
        """As read from the store.

        Raises:
            ValueError: it is none.
        """
        values = json.loads(data)
        try:
            version, origin = values.get("version_id"), values.get("extracted_from")
            return cls(
                location=str(values["location"]),
                sha256=str(values["sha256"]),
                size=int(values["size"]),
                etag=str(values["etag"]),
                modified=float(values["modified"]),
                job_id=str(values["job_id"]),
                transcript=str(values["transcript"]),
                timestamp=int(values["timestamp"]),
                version_id=None if version is None else str(version),
                extracted_from=None if origin is None else str(origin),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a tombstone: {type(error).__name__} {error}") from error


def tombstone_of(
    manifest: Manifest,
    transcript: str,
    *,
    timestamp: int,
    modified: float,
    version_id: str | None,
    extracted_from: str | None = None,
) -> Tombstone:
    """The tombstone of the audio that a manifest is of; ``transcript`` is the manifest's own location."""
    return Tombstone(
        location=manifest.path_to_audio,
        sha256=manifest.audio.sha256,
        size=manifest.audio.size,
        etag=manifest.audio.etag,
        modified=modified,
        job_id=manifest.job_id,
        transcript=transcript,
        timestamp=timestamp,
        version_id=version_id,
        extracted_from=extracted_from,
    )


def tombstone_name(audio: Location) -> str:
    """The name of an audio's tombstone below ``.lfk/tombstones/``: of one length, whatever the audio is called."""
    return f"{hashlib.sha256(str(audio).encode('utf-8')).hexdigest()}.json"
