"""Failures that hubs have recorded, chosen, sent again and discarded: a whole hub in memory on the other side."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfk.brokers.base import Delivered
from lfk.brokers.codec import JsonCodec
from lfk.core.errors import AccessDenied, BrokerUnreachable, StoreUnreachable, UsageError
from lfk.core.failure_filter import FailureFilter
from lfk.core.failure_record import FailureRecord, OriginalRecord
from lfk.core.location import Location
from lfk.core.request import Request
from lfk.roles import dead_letters
from lfk.roles.dead_letters import Choice, Handled, Retrier, Tally, choose, discard, find_letters
from lfk.roles.failures import Failures
from lfk.roles.sender import ReferenceSender
from lfk.stores.memory import MemoryStore
from tests.integration.syncing import FakePublisher
from tests.roles.failing import failure_record
from tests.roles.hub_bench import HubBench
from tests.roles.roots import ROOTS

MISSING = b'{"path_to_audio": "simple/tiny/late.wav", "batch_id": "b1", "options": {"beam_size": 3}, "unknown": 1}'


class Desk:
    """Someone who looks after dead letters."""

    def __init__(self, folder: Path) -> None:
        self.bench = HubBench(folder)
        self.failures = self.bench.failures
        self.codec = JsonCodec()
        self.handled: list[Handled] = []
        self.stop = threading.Event()
        self.lookups: list[Collection[str]] = []

    def retry(self, choice: Choice | None = None, *, dry_run: bool = False, **ask: Any) -> Tally:
        self.handled.clear()
        topic = ask.pop("topic", "lfk.audio")
        sender = ask.pop("sender", None) or ReferenceSender(self.bench.broker.publisher(), self.codec, topic, "lfk/dlq")
        retrier = Retrier(
            self.codec,
            ROOTS,
            Request.make(ask.get("approach", ""), ask.get("model", ""), {}, ROOTS),
            self.find,
            self.handled.append,
            self.stop,
            None if dry_run else sender,
        )
        return retrier.run(choose(self.failures, choice or Choice(), ROOTS.audio))

    def find(self, events: Collection[str], since: int) -> Mapping[str, Delivered]:
        self.lookups.append(events)
        return find_letters(self.bench.broker, "lfk.audio.dlq", events, since)

    def discard(self, choice: Choice | None = None, *, dry_run: bool = False) -> Tally:
        self.handled.clear()
        return discard(self.failures, choice or Choice(), ROOTS.audio, self.handled.append, self.stop, dry_run=dry_run)

    @property
    def errors(self) -> list[str]:
        return [item.error.code for item in self.handled if item.error is not None]

    def sent(self) -> list[Delivered]:
        """References on the topic of fresh ones, as they came."""
        return sorted(self.bench.broker.snapshot("lfk.audio"), key=lambda record: record.timestamp)

    def record(self) -> FailureRecord:
        """The only failure there is."""
        (event,) = self.failures.events()
        return self.failures.load(event)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def fails(desk: Desk, *values: bytes) -> None:
    desk.bench.send(*values)
    assert [one.status for one in desk.bench.run(len(values))] == ["failed"] * len(values)


def test_what_failed_is_recorded_with_all_that_arrived(desk: Desk) -> None:
    fails(desk, MISSING)
    record = desk.record()
    assert record.error.code == "object_missing"
    assert record.origin == ("lfk.audio", desk.sent()[0].partition.number, 0)
    assert record.original == OriginalRecord("lfk.audio", b"key 0", MISSING, {"traceparent": b"00-1"}, len(MISSING))


def test_a_retry_is_a_new_reference_that_takes_the_failure_away(desk: Desk) -> None:
    fails(desk, MISSING)
    event = desk.record().event_id
    desk.bench.add_audio("simple/tiny/late.wav")
    assert desk.retry(Choice((event[:8],))).handled == 1
    sent = desk.sent()[-1]
    message = json.loads(sent.value or b"")
    assert message.pop("timestamp") > 0
    assert message == {
        "path_to_audio": "simple/tiny/late.wav",
        "final": True,
        "batch_id": "b1",
        "options": {"beam_size": 3},
        "causation_id": event,
    }
    assert sent.key == b"s3://bucket/audio/simple/tiny/late.wav"
    assert (sent.headers["traceparent"], sent.headers["ce_source"]) == (b"00-1", b"lfk/dlq")
    assert desk.failures.count() == 1
    (done,) = desk.bench.run(1)
    assert (done.status, done.causation_id, done.batch_id) == ("done", event, "b1")
    assert done.event_id != event
    assert desk.failures.count() == 0


def test_a_retry_that_fails_again_replaces_the_failure(desk: Desk) -> None:
    fails(desk, MISSING)
    first = desk.record().event_id
    for _ in range(2):
        assert desk.retry().handled == 1
        assert [one.status for one in desk.bench.run(1)] == ["failed"]
        assert desk.failures.count() == 1
    last = desk.record()
    assert last.event_id != first
    assert last.announcement.causation_id not in (None, first)
    desk.bench.add_audio("simple/tiny/late.wav")
    desk.retry()
    assert [one.status for one in desk.bench.run(1)] == ["done"]
    assert desk.failures.count() == 0


def test_with_the_topics_gone_the_store_is_enough(desk: Desk) -> None:
    fails(desk, MISSING)
    desk.bench.renew_broker()
    desk.bench.add_audio("simple/tiny/late.wav")
    assert desk.retry(topic="lfk.audio.bulk").handled == 1
    assert [one.status for one in desk.bench.run(1)] == ["done"]
    assert (desk.failures.count(), desk.lookups) == (0, [])


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"{", "not_retryable"),
        (b"", "not_retryable"),
        (b'{"path_to_audio": "x.wav", "frames": "AAAA"}', "not_retryable"),
        (b'{"path_to_audio": "' + b"x" * 70_000 + b'"}', "not_retryable"),
        (b'{"path_to_audio": "../x.wav"}', "invalid_location"),
        (b'{"path_to_audio": "s3://elsewhere/x.wav"}', "forbidden_location"),
        (b'{"path_to_audio": "simple/gigantic/x.wav"}', "unknown_model"),
    ],
)
def test_what_would_fail_again_is_told_and_the_others_go(desk: Desk, value: bytes, code: str) -> None:
    fails(desk, value, MISSING)
    tally = desk.retry()
    assert (tally.handled, tally.failed, desk.errors) == (1, 1, [code])
    assert desk.failures.count() == 2


def test_another_approach_or_model_takes_the_place_of_what_was_asked(desk: Desk) -> None:
    fails(desk, b'{"path_to_audio": "simple/tiny/late.wav", "transcription_approach": "segmentation.base"}')

    def asked(**ask: str) -> str | None:
        desk.retry(dry_run=True, **ask)
        reference = desk.handled[0].reference
        return reference.transcription_approach if reference else None

    assert asked() == "segmentation.base"
    assert asked(model="tiny") == "segmentation.tiny"
    assert asked(approach="diarization") == "diarisation.base"
    assert asked(approach="simple", model="tiny") == "simple.tiny"
    assert len(desk.sent()) == 1


def test_a_model_that_is_not_offered_needs_both_halves(desk: Desk) -> None:
    fails(desk, b'{"path_to_audio": "simple/gigantic/x.wav"}')
    assert desk.retry(model="tiny").failed == 1
    assert "--approach" in (desk.handled[0].error or UsageError("")).hint
    assert desk.retry(model="tiny", approach="simple").handled == 1


def without_original(desk: Desk) -> str:
    """Make the only record one of an earlier version."""
    record = desk.record()
    desk.failures.save(replace(record, original=None))
    return record.event_id


def test_an_older_record_is_completed_from_the_dead_letter(desk: Desk) -> None:
    fails(desk, MISSING)
    event = without_original(desk)
    desk.bench.add_audio("simple/tiny/late.wav")
    assert desk.retry().handled == 1
    assert [list(events) for events in desk.lookups] == [[event]]
    assert [one.status for one in desk.bench.run(1)] == ["done"]


def test_an_older_record_whose_dead_letter_is_gone_says_what_to_do(desk: Desk) -> None:
    fails(desk, MISSING)
    event = without_original(desk)
    desk.bench.renew_broker()
    assert desk.retry().failed == 1
    error = desk.handled[0].error
    assert error is not None
    assert error.code == "not_retryable"
    assert f"lfk dlq discard {event}" in error.hint
    assert find_letters(None, "lfk.audio.dlq", [event], 0) == {}


def test_an_outage_while_dead_letters_are_looked_up_ends_it(desk: Desk) -> None:
    fails(desk, MISSING)
    without_original(desk)
    desk.bench.broker.reachable = False
    tally = desk.retry()
    assert isinstance(tally.outage, BrokerUnreachable)
    assert (tally.handled, tally.failed) == (0, 0)


def test_a_dry_run_changes_nothing(desk: Desk) -> None:
    fails(desk, MISSING)
    assert desk.retry(dry_run=True).handled == 1
    assert desk.discard(dry_run=True).handled == 1
    assert desk.failures.count() == len(desk.sent()) == 1


# --- choosing

IDS = [f"{number:032x}" for number in range(1, 6)]


@pytest.fixture
def five(desk: Desk) -> Desk:
    for number, event in enumerate(IDS, 1):
        original = OriginalRecord.of("lfk.audio", None, f'{{"path_to_audio": "{number}.wav"}}'.encode(), {})
        code = "object_missing" if number % 2 else "audio_empty"
        path = f"s3://bucket/audio/{number}.wav"
        desk.failures.save(failure_record(event, code=code, path=path, at=number * 1000, original=original))
    return desk


@pytest.mark.parametrize(
    ("choice", "newest", "expected"),
    [
        (Choice(), False, [1, 2, 3, 4, 5]),
        (Choice(), True, [1, 2, 3, 4, 5]),
        (Choice(limit=2), False, [1, 2]),
        (Choice(limit=2), True, [4, 5]),
        (Choice(only=FailureFilter(causes=frozenset({"audio_empty"})), limit=1), True, [4]),
        (Choice(only=FailureFilter(causes=frozenset({"audio_empty"}))), False, [2, 4]),
        (Choice(only=FailureFilter(since=2000, until=4000)), False, [2, 3]),
        (Choice(only=FailureFilter(key="3.wav")), False, [3]),
        (Choice((IDS[4], IDS[0], IDS[4])), False, [5, 1]),
    ],
)
def test_what_is_chosen_and_in_which_order(five: Desk, choice: Choice, newest: bool, expected: list[int]) -> None:
    chosen = [one.event_id for one in choose(five.failures, choice, ROOTS.audio, newest=newest)]
    assert chosen == [IDS[number - 1] for number in expected]


def test_a_name_that_is_none_stops_it_before_anything_is_done(five: Desk) -> None:
    with pytest.raises(UsageError):
        five.discard(Choice((IDS[0], "no")))
    with pytest.raises(UsageError):
        five.retry(Choice((IDS[0], "0000")))
    assert five.failures.count() == 5


def test_an_event_that_is_not_there_is_told_and_the_others_go(five: Desk) -> None:
    choice = Choice((IDS[0], "f" * 32, "ffff"))
    assert (five.retry(choice).handled, five.errors) == (1, ["failure_missing"] * 2)
    assert (five.discard(choice).handled, five.errors) == (1, ["failure_missing"] * 2)
    assert five.failures.events() == IDS[1:]


def test_many_are_sent_with_few_on_their_way(five: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(FakePublisher):
        """Confirms from another thread, and only once as many wait as may."""

        def send(self, record: Any, confirmed: Any) -> None:
            waiting.append(confirmed)
            most.append(len(waiting))
            if len(waiting) == 10:
                for one in waiting[:]:
                    waiting.remove(one)
                    threading.Timer(0.01, one, (None,)).start()

    waiting: list[Any] = []
    most: list[int] = []
    monkeypatch.setattr(dead_letters, "IN_FLIGHT", 10)
    original = OriginalRecord.of("lfk.audio", None, b'{"path_to_audio": "x.wav"}', {})
    for number in range(100, 495):
        five.failures.save(failure_record(f"{number:032x}", original=original))
    tally = five.retry(sender=ReferenceSender(Late(), five.codec, "lfk.audio", "lfk/dlq"))
    assert (tally.handled, tally.failed, tally.left) == (400, 0, 0)
    assert max(most) == 10


def test_an_outage_of_the_broker_ends_a_retry(five: Desk) -> None:
    five.bench.broker.reachable = False
    tally = five.retry()
    assert isinstance(tally.outage, BrokerUnreachable)
    assert (tally.handled, tally.failed, five.handled) == (0, 0, [])


def test_a_stop_ends_it(five: Desk) -> None:
    five.stop.set()
    assert (five.retry().handled, five.discard().handled) == (0, 0)
    assert five.failures.count() == 5


# --- discarding


def test_what_is_discarded_is_gone(five: Desk) -> None:
    tally = five.discard(Choice(only=FailureFilter(causes=frozenset({"object_missing"}))))
    assert (tally.handled, tally.failed) == (3, 0)
    assert [item.event_id for item in five.handled] == [IDS[0], IDS[2], IDS[4]]
    assert five.failures.events() == [IDS[1], IDS[3]]


def test_what_cannot_be_read_is_discarded_unless_a_filter_would_have_to_read_it(five: Desk) -> None:
    place = five.failures.location("d" * 32)
    five.bench.store.put(place, b"{", content_type="application/json")
    narrow = five.discard(Choice(only=FailureFilter(key="none.wav")))
    assert (narrow.handled, narrow.failed, five.errors) == (0, 1, ["failure_unreadable"])
    assert (five.retry(Choice(("dddd",))).failed, five.errors) == (1, ["failure_unreadable"])
    assert five.discard(Choice(("dddd",))).handled == 1
    five.bench.store.put(place, b"{", content_type="application/json")
    assert five.discard().handled == 6
    assert five.failures.count() == 0


@pytest.mark.parametrize("outage", [True, False])
def test_a_store_that_refuses_is_told(outage: bool) -> None:
    def fail(method: str, location: Location) -> None:
        if method == "delete":
            raise StoreUnreachable("gone") if outage else AccessDenied(f"not {location}")

    failures = Failures(MemoryStore(on_call=fail), ROOTS.records)
    for event in IDS:
        failures.save(failure_record(event))
    handled: list[Handled] = []
    tally = discard(failures, Choice(), ROOTS.audio, handled.append, threading.Event(), dry_run=False)
    assert (tally.outage is not None, tally.failed, len(handled)) == ((True, 0, 0) if outage else (False, 5, 5))
