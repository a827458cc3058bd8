"""What one listener is to do; the wiring makes it from settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lfk.core.addressing import Roots
from lfk.core.location import Location
from lfk.core.media_types import is_media


class Meaning(Enum):
    """What an object means to a listener."""

    RECORDING = 1
    MARKER = 2
    OTHER = 3


@dataclass(frozen=True, slots=True)
class ListenJob:
    """See the module."""

    roots: Roots
    #: The name of the object that says that everything below its prefix is there; empty: each object is for itself.
    marker: str = ""
    #: Seconds between rounds over the store; 0 means only at the start and where something may have been missed.
    reconcile: float = 0.0

    @property
    def places(self) -> tuple[Location, ...]:
        """What is looked into, each a prefix: no more of lfk's records than a listener has to know of."""
        records = (self.roots.records.join(name).as_prefix() for name in ("owners", "failed", "batches", "tombstones"))
        return (self.roots.audio, self.roots.transcripts, *records)

    def meaning(self, location: Location) -> Meaning:
        """Of an object at this place. With a marker, recordings are still told apart, but wait for it."""
        if not self.roots.audio.contains(location) or self.roots.is_ours(location):
            return Meaning.OTHER
        if self.marker and location.name == self.marker:
            return Meaning.MARKER
        return Meaning.RECORDING if is_media(location.name) else Meaning.OTHER
