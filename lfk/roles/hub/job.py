"""A reference on its way through the hub, and the announcement that it ends in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from lfk.brokers.base import Delivered
from lfk.core.addressing import AudioAddress
from lfk.core.errors import LfkError
from lfk.core.manifest import AudioVersion, StoredResult
from lfk.core.messages import Announcement, AudioReference
from lfk.roles.results import Published


@dataclass(slots=True)
class Job:
    """A delivered reference on its way through the hub. ``stage`` says where it is, for errors and status."""

    record: Delivered
    event_id: str
    #: Attempts that earlier deliveries (the retry topic) have used.
    earlier_attempts: int = 0
    #: Where the reference first arrived.
    origin: tuple[str, int, int] = ("", 0, 0)
    reference: AudioReference | None = None
    address: AudioAddress | None = None
    #: The bytes that were fetched.
    audio: AudioVersion | None = None
    job_id: str | None = None
    #: The model that is asked for, for choosing what to start next.
    model: str = ""
    #: Where it stands in line for an engine: lower ones first.
    rank: int = 0
    stage: str = "receive"
    #: How much of the stage is through, 0–1.
    part: float = 0.0
    #: When a thread took it, and when each stage of this run began, seconds since the epoch.
    started: float = 0.0
    began: dict[str, float] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    #: An attempt of this delivery has begun and is recorded.
    begun: bool = False
    #: It has failed for good already; only the record of that is outstanding.
    verdict: LfkError | None = None
    #: Attempts begun when that was decided.
    spent: int = 0
    #: What the engine found, until the store has it: an outage in between costs no second run.
    result: StoredResult | None = None
    #: The engine was at work; otherwise what was there already is announced as reused.
    transcribed: bool = False
    #: The hub has lost this job's partition: finish what helps, announce nothing.
    orphaned: bool = False
    #: What its answer names as its parent (``traceparent``), where the hub traces; else what its record carries is
    #: carried on.
    trace: bytes | None = None

    def enter(self, stage: str) -> None:
        """It is in this stage from now on, unless it was already."""
        self.stage = stage
        self.began.setdefault(stage, time.time())


def announce(job: Job, address: AudioAddress, done: Published) -> Announcement:
    """The announcement of a transcript that is in the store."""
    manifest = done.manifest
    return Announcement(
        event_id=job.event_id,
        status="done",
        timestamp=int(time.time() * 1000),
        job_id=manifest.job_id,
        path_to_audio=str(address.location),
        transcription_approach=address.pair,
        path_to_transcript=str(done.location),
        files=done.files,
        language=manifest.language,
        duration=manifest.duration,
        segments=manifest.segments,
        words=manifest.words,
        speakers=manifest.speakers,
        no_speech=manifest.no_speech,
        reused=not job.transcribed,
        reused_stages=manifest.reused_stages,
        warnings=tuple(dict.fromkeys([*manifest.warnings, *job.warnings])),
        timings={name: round(seconds, 4) for name, seconds in job.timings.items()},
        provenance=manifest.provenance,
        batch_id=job.reference.batch_id if job.reference else None,
        causation_id=job.reference.causation_id if job.reference else None,
    )
