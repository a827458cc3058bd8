"""What a listener tells while it works, for whoever shows or counts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from lfk.core.errors import LfkError
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.roles.sync_events import Paused, Resumed


class Outcome(str, Enum):
    """What became of one object that was told of, or of one event or message."""

    #: Its reference is confirmed.
    SENT = "sent"
    #: It was found, and referred to, before its notification came.
    KNOWN = "known"
    #: `lfk sync` uploaded it, and refers to it itself.
    SYNCED = "synced"
    #: It was not there any more.
    GONE = "gone"
    #: No recording below the audio root, another kind of event, or (with done-markers) not yet complete.
    OTHER = "other"
    #: A message or record that says nothing that can be used.
    UNUSABLE = "unusable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Done:
    """One of them has come to its end."""

    outcome: Outcome
    location: Location | None = None
    reference: AudioReference | None = None
    #: The store was asked; nobody had told of it, or of it alone.
    found: bool = False
    error: LfkError | None = None
    #: Of what is unusable.
    reason: str = ""

    @property
    def size(self) -> int:
        """Bytes of the audio, as far as known."""
        return (self.reference.size or 0) if self.reference is not None else 0


@dataclass(frozen=True, slots=True)
class Listening:
    """The source tells from now on."""

    address: str
    audio: Location


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A round over the store is over."""

    #: Outstanding audio: of these, referred to now, referred to before, and left for the next round.
    sent: int = 0
    known: int = 0
    left: int = 0
    seconds: float = 0.0


ListenEvent = Done | Listening | Reconciled | Paused | Resumed


@dataclass(slots=True)
class ListenSummary:
    """What became of everything. ``size`` is the bytes of the audio that was referred to."""

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    #: Of those sent: found in the store.
    found: int = 0
    size: int = 0
    rounds: int = 0
    #: Begun and not ended, because of a stop or an outage; their sender, or the next round, brings them again.
    left: int = 0
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        """References that were sent and confirmed."""
        return self.counts[Outcome.SENT]

    def add(self, done: Done, count: int = 1) -> None:
        """Count it so many times."""
        self.counts[done.outcome] += count
        if done.outcome is Outcome.SENT:
            self.size += done.size
            self.found += done.found
