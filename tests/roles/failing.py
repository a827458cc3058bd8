"""Records of failures for tests."""

from __future__ import annotations

from lfk.core.errors import Kind
from lfk.core.failure_record import FailureRecord, OriginalRecord
from lfk.core.messages import Announcement, Failure

EVENT = "0123456789abcdef" * 2


def failure_record(
    event: str = EVENT,
    *,
    code: str = "object_missing",
    path: str | None = "s3://bucket/audio/simple/tiny/x.wav",
    at: int = 1000,
    cause: str | None = None,
    original: OriginalRecord | None = None,
) -> FailureRecord:
    """A failure at ``at`` (ms); ``cause`` is the event that its reference repeated."""
    failure = Failure(code, "there is no such object", "fetch", 1, retryable=False)
    announcement = Announcement(event, "failed", at, path_to_audio=path, error=failure, causation_id=cause)
    return FailureRecord(announcement, "check the location", Kind.PERMANENT, ("lfk.audio", 3, 17), original)
