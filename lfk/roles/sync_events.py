"""What sync tells while it works, for whoever shows or counts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from lfk.core.errors import LfkError
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.core.sync_plan import Stamp
from lfk.roles.source import shown


class Outcome(str, Enum):
    """What became of one file. In a dry run: what would have become of it."""

    #: Uploaded, and its reference confirmed.
    NEW = "new"
    #: As new, over an older version of it.
    CHANGED = "changed"
    #: It was there already; a reference that was not known as confirmed was sent.
    REFERRED = "referred"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class Fate(str, Enum):
    """What became of a source that was not to stay."""

    DELETED = "deleted"
    MOVED = "moved"
    #: It waits for its transcript, or is only linked in.
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class FileFound:
    """One more file is to be looked at."""

    size: int


@dataclass(frozen=True, slots=True)
class BytesMoved:
    """So many bytes more are done with (fewer, where a file begins again). Told from worker threads."""

    size: int


@dataclass(frozen=True, slots=True)
class FileDone:
    """One file has come to its end for now."""

    #: Path below the source folder.
    relative: str
    outcome: Outcome
    #: None for what is no file at all.
    stamp: Stamp | None = None
    location: Location | None = None
    reference: AudioReference | None = None
    error: LfkError | None = None
    #: Since it was found.
    seconds: float = 0.0
    #: None where every source stays.
    fate: Fate | None = None
    #: Bytes that did not have to be sent, as only the audio was.
    saved: int = 0

    @property
    def name(self) -> str:
        """Its path, fit to be shown and written as UTF-8."""
        return shown(self.relative)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stamp.size if self.stamp is not None else 0


@dataclass(frozen=True, slots=True)
class Paused:
    """A service waits for store or broker to come back."""

    error: LfkError
    #: Until they are tried again.
    seconds: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """Store and broker are back."""


@dataclass(frozen=True, slots=True)
class Marking:
    """What a walk for done markers came to."""

    #: Of the markers.
    name: str
    #: Written now.
    written: tuple[Location, ...] = ()
    #: There already, as they should be.
    unchanged: tuple[Location, ...] = ()
    #: Paths of files that are not in the store as they are; the first few.
    lacking: tuple[str, ...] = ()
    #: How many these are in all.
    lacks: int = 0


Event = FileFound | BytesMoved | FileDone | Paused | Resumed | Marking


@dataclass(slots=True)
class Summary:
    """What became of everything. ``size`` is the bytes of files that ended without a failure."""

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    size: int = 0
    seconds: float = 0.0
    #: Files passed over: not media, hidden, or not selected.
    ignored: int = 0
    #: Files that were begun and not ended, because of a stop or an outage.
    left: int = 0
    #: References that were sent and confirmed.
    referred: int = 0
    fates: dict[Fate, int] = field(default_factory=lambda: dict.fromkeys(Fate, 0))
    #: Bytes that did not have to be sent, as only audio was.
    saved: int = 0
    #: None where no marker is asked for, or the pass did not come to its end.
    marking: Marking | None = None
    #: What ended the pass early, if anything did.
    outage: LfkError | None = None

    @property
    def failed(self) -> int:
        """Files that need somebody's attention."""
        return self.counts[Outcome.FAILED]

    @property
    def ended(self) -> int:
        """Files that have come to their end, however often."""
        return sum(self.counts.values())

    def add(self, done: FileDone) -> None:
        """Count one file."""
        self.counts[done.outcome] += 1
        if done.error is None:
            self.size += done.size
            self.referred += done.reference is not None
            self.saved += done.saved
            if done.fate is not None:
                self.fates[done.fate] += 1
