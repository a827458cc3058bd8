"""Recorded failures, and attempts that are used up."""

from __future__ import annotations

from lfk.core.errors.base import LfkError


class FailureMissing(LfkError):
    """No failure is recorded under that event id."""

    code = "failure_missing"
    hint = "see `lfk dlq list`; it may have been sent again and come good, or been discarded"


class FailureUnreadable(LfkError):
    """The record of a failure in the store is damaged."""

    code = "failure_unreadable"
    hint = "`lfk dlq discard EVENT` removes it; `lfk republish --only missing` then finds the audio again"


class NotRetryable(LfkError):
    """A dead letter that would fail again however often it is sent, or whose message is nowhere to be had."""

    code = "not_retryable"
    hint = "have its sender correct it and send a new reference, then `lfk dlq discard EVENT`"


class AttemptsExhausted(LfkError):
    """Every allowed attempt at this reference was begun and none came to an end."""

    code = "attempts_exhausted"
    hint = "the audio brought the hub down each time; look at it, then `lfk dlq retry`"
