"""What a hub makes of a record's headers, and of what it answers with: senders write whatever they like into them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.brokers.base import Delivered, Partition
from lfk.brokers.codec import JsonCodec
from lfk.core.errors import MalformedMessage
from lfk.core.messages import MAX_MESSAGE_BYTES, AudioReference
from lfk.roles.hub.answers import (
    ORIGIN,
    RETRY_ATTEMPTS,
    RETRY_DUE,
    RETRY_EVENT,
    Topics,
    announcement_record,
    dead_letter,
    failed_announcement,
    failure_record,
    receive,
    retry_record,
)

TOPICS = Topics("lfk.transcripts", "lfk.audio.retry", "lfk.audio.dlq")
EVENT = "ab" * 16
FORGED = {
    RETRY_EVENT: EVENT.encode(),
    RETRY_ATTEMPTS: b"2",
    RETRY_DUE: b"9" * 18,
    ORIGIN[0]: b"elsewhere",
    ORIGIN[1]: b"7",
    ORIGIN[2]: b"8",
}

_VALUES = st.binary(max_size=40) | st.sampled_from(
    [b"", b"0", b"9" * 18, b"9" * 30, b"-1", b"1e9", "\u0663".encode(), EVENT.encode(), EVENT.encode() + b"\n", b"a.b"]
)
_HEADERS = st.dictionaries(
    st.sampled_from([*FORGED, "ce_id", "ce_time", "traceparent", "content-type", "lfk.error.code"])
    | st.text(max_size=9),
    _VALUES,
)
_TOPICS = st.sampled_from(["lfk.audio", "lfk.audio.bulk", "lfk.audio.retry"])


def record(headers: Mapping[str, bytes], topic: str = "lfk.audio.retry", key: bytes | None = b"k") -> Delivered:
    return Delivered(Partition(topic, 1), 5, 1000, key, b"{", headers)


def test_a_retry_is_who_it_was() -> None:
    job, due = receive(record(FORGED), TOPICS.retry)
    assert (job.event_id, job.earlier_attempts, job.origin) == (EVENT, 2, ("elsewhere", 7, 8))
    assert due > 1e14


@pytest.mark.parametrize("topic", ["lfk.audio", "lfk.audio.bulk"])
def test_what_only_hubs_may_say_is_not_believed_of_others(topic: str) -> None:
    """Otherwise anybody could pass for another's event, use up its attempts, or have it wait for ever."""
    job, due = receive(record(FORGED, topic), TOPICS.retry)
    plain, _due = receive(record({}, topic), TOPICS.retry)
    assert (job.event_id, job.earlier_attempts, job.origin, due) == (plain.event_id, 0, (topic, 1, 5), 0.0)


@given(_HEADERS, _TOPICS, st.none() | st.binary(max_size=99))
def test_any_headers_are_answered(headers: Mapping[str, bytes], topic: str, key: bytes | None) -> None:
    """Whatever it says: an announcement of the schema, a dead letter byte for byte, and a record of the failure."""
    job, due = receive(record(headers, topic, key), TOPICS.retry)
    assert len(job.event_id) == 32
    assert 0 <= due < 1e16
    assert 0 <= job.earlier_attempts < 10**19
    error = MalformedMessage("no\x1b[31m \ud800 \u202e" + "x" * 5000)
    announcement = failed_announcement(job, error, job.earlier_attempts + 1)
    answer = announcement_record(announcement, job, JsonCodec(), TOPICS)
    assert JsonCodec().decode_announcement(answer.value) == announcement
    letter = dead_letter(job, error, 1, TOPICS)
    assert (letter.key, letter.value) == (key, b"{")
    assert letter.headers["lfk.error.code"] == b"malformed_message"
    assert failure_record(announcement, error, job)
    again, _due = receive(record(retry_record(job, error, 1, 12.0, TOPICS).headers, TOPICS.retry), TOPICS.retry)
    assert (again.event_id, again.earlier_attempts, again.origin) == (job.event_id, 1, job.origin)


def test_answers_stay_small_whatever_they_answer() -> None:
    job, _due = receive(record({"ce_id": b"x" * 900_000, "padding": b"y" * 90_000}, "lfk.audio", b"k" * 900_000), "r")
    job.reference = AudioReference("\U0001f3a7" * 4096, batch_id="\U0001f3a7" * 128, causation_id="\U0001f3a7" * 64)
    job.warnings = ["w" * 500] * 100
    error = MalformedMessage("\U000e0001" * 9000)
    answer = announcement_record(failed_announcement(job, error, 1), job, JsonCodec(), TOPICS)
    assert len(answer.value or b"") < MAX_MESSAGE_BYTES
    assert len(answer.key or b"") <= 16_384
    job.reference = None
    unread = announcement_record(failed_announcement(job, error, 1), job, JsonCodec(), TOPICS)
    assert unread.key is None
    assert sum(len(value) for value in retry_record(job, error, 1, 1.0, TOPICS).headers.values()) < 2000
