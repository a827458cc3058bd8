"""How the hub answers: announcements, retries and dead letters as records; failures as objects in the store."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from lfk.brokers.base import Delivered, Record
from lfk.brokers.codec import Codec
from lfk.core.cloudevents import TRACEPARENT, event_headers
from lfk.core.errors import AudioForgotten, Kind, LfkError
from lfk.core.failure_record import DEAD_EVENT, FailureRecord, OriginalRecord, is_event_id
from lfk.core.identity import event_id
from lfk.core.messages import TRANSCRIPT_TYPE, Announcement, Failure
from lfk.core.printable import printable
from lfk.roles.hub.job import Job

SOURCE = "lfk/hub"

#: What one text in an announcement may have; all of it together stays far below the limit of a message.
_TEXT_LIMIT = 500
_WARNINGS_LIMIT = 20
_PATH_LIMIT = 4096
#: What a key has for an announcement whose reference could not be read, and what each header has that is carried on.
_KEY_LIMIT = 16 << 10
_CARRIED_LIMIT = 512

RETRY_EVENT = "lfk.retry.event"
RETRY_ATTEMPTS = "lfk.retry.attempts"
RETRY_DUE = "lfk.retry.due"
ORIGIN = ("lfk.error.original.topic", "lfk.error.original.partition", "lfk.error.original.offset")

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True)
class Topics:
    """Where answers go."""

    transcripts: str
    retry: str
    dlq: str


def receive(record: Delivered, retry: str | None = None) -> tuple[Job, float]:
    """The job of a delivered record and when it is due (seconds since the epoch; 0 is at once).

    Who it is, how often it was tried and when it is due is believed on the topic ``retry`` alone, which only hubs write
    to, and only where it is of our form: any other record is a new reference, whatever it says. Without ``retry``
    nothing is believed.
    """
    headers = record.headers
    event = headers.get(RETRY_EVENT, b"").decode("ascii", "replace")
    here = (record.partition.topic, record.partition.number, record.offset)
    if record.partition.topic != retry or not is_event_id(event):
        event = event_id(*here, record.timestamp, record.key)
        return Job(record, event, origin=here), 0.0
    topic = headers.get(ORIGIN[0], b"").decode("ascii", "replace")
    origin = (
        topic if _TOPIC.fullmatch(topic) else here[0],
        _number(headers, ORIGIN[1], here[1]),
        _number(headers, ORIGIN[2], here[2]),
    )
    job = Job(record, event, earlier_attempts=_number(headers, RETRY_ATTEMPTS, 0), origin=origin)
    return job, _number(headers, RETRY_DUE, 0) / 1000


def announcement_record(announcement: Announcement, job: Job, codec: Codec, topics: Topics) -> Record:
    """The announcement as a record; its key is the location of the audio."""
    key = announcement.path_to_audio.encode("utf-8") if announcement.path_to_audio else job.record.key
    nameless = announcement.error is not None and announcement.error.code == AudioForgotten.code
    if nameless or (key is not None and len(key) > _KEY_LIMIT):
        key = None
    headers = event_headers(
        event=announcement.event_id,
        type_=TRANSCRIPT_TYPE,
        source=SOURCE,
        timestamp=announcement.timestamp,
        carried=job.record.headers if job.trace is None else {TRACEPARENT: job.trace},
    )
    return Record(topics.transcripts, key, codec.encode_announcement(announcement), headers)


def failed_announcement(job: Job, error: LfkError, attempts: int) -> Announcement:
    """The announcement of a reference that has come to nothing; of forgotten audio it names only the record."""
    named = not isinstance(error, AudioForgotten)
    parsed = job.reference is not None and named
    path = str(job.address.location) if job.address else (job.reference.path_to_audio if job.reference else None)
    return Announcement(
        event_id=job.event_id,
        status="failed",
        timestamp=int(time.time() * 1000),
        job_id=job.job_id if named else None,
        path_to_audio=path[:_PATH_LIMIT] if path and named else None,
        transcription_approach=job.address.pair if job.address and named else None,
        error=Failure(
            code=error.code,
            message=printable(error.message, _TEXT_LIMIT),
            stage=job.stage,
            attempts=attempts,
            retryable=error.kind is Kind.TRANSIENT,
        ),
        warnings=tuple(job.warnings[:_WARNINGS_LIMIT]) if named else (),
        timings={name: round(seconds, 4) for name, seconds in job.timings.items()},
        batch_id=job.reference.batch_id if job.reference else None,
        causation_id=job.reference.causation_id if job.reference else None,
        topic=None if parsed else job.origin[0],
        partition=None if parsed else job.origin[1],
        offset=None if parsed else job.origin[2],
    )


def dead_letter(job: Job, error: LfkError, attempts: int, topics: Topics) -> Record:
    """The record byte for byte, with why and where from in its headers."""
    headers = {
        **job.record.headers,
        "lfk.error.code": error.code.encode("ascii"),
        "lfk.error.message": printable(error.message, _TEXT_LIMIT).encode("utf-8"),
        "lfk.error.stage": job.stage.encode("ascii", "replace"),
        "lfk.error.attempts": str(attempts).encode("ascii"),
        "lfk.error.time": str(int(time.time() * 1000)).encode("ascii"),
        DEAD_EVENT: job.event_id.encode("ascii"),
        **_origin(job),
    }
    return Record(topics.dlq, job.record.key, job.record.value, headers)


def retry_record(job: Job, error: LfkError, attempts: int, due: float, topics: Topics) -> Record:
    """The record again, for later: who it is, how often it was tried, when it is due (seconds since the epoch)."""
    carried = {
        name: value
        for name, value in job.record.headers.items()
        if (name.startswith("ce_") or name in (TRACEPARENT, "content-type")) and len(value) <= _CARRIED_LIMIT
    }
    headers = {
        **carried,
        RETRY_EVENT: job.event_id.encode("ascii"),
        RETRY_ATTEMPTS: str(attempts).encode("ascii"),
        RETRY_DUE: str(int(due * 1000)).encode("ascii"),
        "lfk.error.code": error.code.encode("ascii"),
        **_origin(job),
    }
    return Record(topics.retry, job.record.key, job.record.value, headers)


def failure_record(announcement: Announcement, error: LfkError, job: Job) -> FailureRecord:
    """The failure as the store keeps it, for the dlq verbs, ``check`` and ``--only failed``.

    ``announcement`` is what :func:`failed_announcement` made.
    """
    # What a hub has added on the way is not of the record that arrived.
    headers = {name: value for name, value in job.record.headers.items() if not name.startswith("lfk.")}
    return FailureRecord(
        announcement=announcement,
        hint=error.hint,
        kind=error.kind,
        origin=job.origin,
        original=OriginalRecord.of(job.origin[0], job.record.key, job.record.value, headers),
    )


def _origin(job: Job) -> dict[str, bytes]:
    return {name: str(part).encode("utf-8") for name, part in zip(ORIGIN, job.origin, strict=True)}


def _number(headers: Mapping[str, bytes], name: str, default: int) -> int:
    text = headers.get(name, b"")
    return int(text) if text.isdigit() and len(text) < 19 else default
