"""One audio on its way through the gateway: who asks for it, what has come of it, what is to become of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lfk.brokers.base import Delivered
from lfk.core.chunks import Assembly, AudioChunk
from lfk.core.errors import LfkError
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.roles.chunks.spool import SpoolFile
from lfk.roles.hub.answers import receive
from lfk.roles.hub.job import Job

#: Path, approach and upload: chunks that agree in these are of one audio.
AudioKey = tuple[str, str | None, str | None]


def key_of(chunk: AudioChunk) -> AudioKey:
    """Which audio a chunk is of."""
    return chunk.path_to_audio, chunk.transcription_approach, chunk.upload_id if chunk.numbered else None


@dataclass(slots=True, eq=False)
class Audio:
    """See the module. Owned by the gateway's one thread; while it is stored, by the thread that stores it."""

    key: AudioKey
    #: Who it is to the outside, as of its first chunk: identity, origin, stage.
    job: Job
    #: What the first chunk asks for; its frames are not kept.
    asked: AudioChunk
    assembly: Assembly
    #: When its first chunk was delivered, and its last one, by the gateway's clock.
    begun: float
    touched: float
    file: SpoolFile | None = None
    #: Offsets of its chunks, and of those that repeat them.
    offsets: list[int] = field(default_factory=list)
    #: Of the whole file, as the sender says; checked in the end.
    sha256: str | None = None
    size: int | None = None
    failure: LfkError | None = None
    #: Where its partition ended when it was found late, and when that was: chunks up to there had been sent.
    horizon: tuple[int, float] | None = None
    #: What its last chunk was: tells that chunk's repetition from a new audio of the same name.
    last: tuple[bytes, int] = (b"", 0)
    #: The gateway has lost its partition: whoever has it now joins it again.
    orphaned: bool = False

    @classmethod
    def begin(cls, chunk: AudioChunk, record: Delivered, now: float) -> Audio:
        """The audio whose first chunk this is."""
        # The identity is all that is needed of the record, and it is as large as the chunk.
        job, _due = receive(replace(record, value=None))
        job.stage = "join"
        job.reference = AudioReference(
            chunk.path_to_audio, transcription_approach=chunk.transcription_approach, batch_id=chunk.batch_id
        )
        asked = replace(chunk, frames=b"", final=False)
        return cls(key_of(chunk), job, asked, Assembly(numbered=chunk.numbered), now, now)


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of one audio, or of one record that is no chunk."""

    name: str
    chunks: int
    #: Bytes that were joined.
    size: int
    #: Where it is stored, unless it failed.
    location: Location | None = None
    error: LfkError | None = None


@dataclass(slots=True)
class GatewaySummary:
    """What a gateway has done, for the line at its end."""

    joined: int = 0
    failed: int = 0
    size: int = 0

    def add(self, outcome: Joined) -> None:
        """Count one in."""
        self.joined += outcome.error is None
        self.failed += outcome.error is not None
        self.size += outcome.size if outcome.error is None else 0


class Stopped(Exception):
    """The gateway is told to stop while an audio is being stored."""
