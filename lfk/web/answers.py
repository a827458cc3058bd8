"""Answers in JSON, and which status an error is."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from lfk.core.errors import (
    AudioForgotten,
    AudioTooLarge,
    BrokerError,
    ContentChanged,
    FailureMissing,
    LfkError,
    MediaError,
    NotRetryable,
    ObjectMissing,
    PreconditionFailed,
    RejectedReference,
    ScratchFull,
    SourceConflict,
    StoreError,
    StoreFull,
    Unreachable,
    UsageError,
)

#: The first class that an error belongs to decides; what is not listed is our own mistake.
_STATUS: tuple[tuple[type[LfkError], int], ...] = (
    (ObjectMissing, 404),
    (FailureMissing, 404),
    (AudioForgotten, 410),
    (PreconditionFailed, 412),
    (SourceConflict, 409),
    (NotRetryable, 409),
    (ContentChanged, 409),
    (AudioTooLarge, 413),
    (ScratchFull, 507),
    (StoreFull, 507),
    (MediaError, 400),
    (RejectedReference, 400),
    (Unreachable, 503),
    (StoreError, 502),
    (BrokerError, 502),
    (UsageError, 500),
)


def status_of(error: LfkError) -> int:
    """The HTTP status that tells of an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def failed(error: LfkError) -> JSONResponse:
    """An error of ours, as it is told everywhere: code, message and what to do."""
    status = status_of(error)
    return refusal(status, error.code, error.message, error.hint, {"Retry-After": "5"} if status == 503 else None)


def refusal(status: int, code: str, message: str, hint: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer that says no."""
    content = {"error": {"code": code, "message": message, "hint": hint}}
    return JSONResponse(content, status, dict(headers) if headers else None)
