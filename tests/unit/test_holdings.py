"""What the hub has in hand, against a member whose commits succeed, fail, or get lost on the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from lfk.brokers.base import Delivered, Partition, Progress, Record
from lfk.core.errors import BrokerUnreachable, MessageTooLarge, SettlementLost, SettlementRefused
from lfk.core.messages import Announcement
from lfk.roles.hub.answers import receive
from lfk.roles.hub.holdings import Answer, Holdings
from lfk.roles.hub.job import Job

PARTITION = Partition("lfk.audio", 0)


class FakeMember:
    """A broker's memory: what it has committed and published. ``fate`` decides about the next commit."""

    transactional = True

    def __init__(self) -> None:
        self.progress: dict[Partition, Progress | None] = {}
        self.published: list[Record] = []
        self.fate = "well"
        self.reachable = True

    def settle(self, outgoing: Sequence[Record], progress: Mapping[Partition, Progress]) -> None:
        fate, self.fate = self.fate, "well"
        if fate == "refused":
            raise SettlementRefused("the group is being shared out")
        if fate == "lost":
            raise SettlementLost("no answer, and nothing counts")
        if fate == "large":
            raise MessageTooLarge("too large")
        self.published.extend(outgoing)
        self.progress.update(progress)
        if fate == "answer lost":
            raise SettlementLost("no answer")

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Progress | None]:
        if not self.reachable:
            raise BrokerUnreachable("no answer")
        return {partition: self.progress.get(partition) for partition in partitions}

    def poll(self, timeout: float) -> Delivered | None:
        raise AssertionError("the holdings do not poll")

    def pause(self, partitions: Sequence[Partition]) -> None:
        raise AssertionError("the holdings do not pause")

    def resume(self, partitions: Sequence[Partition]) -> None:
        raise AssertionError("the holdings do not resume")

    def close(self) -> None:
        raise AssertionError("the holdings do not close")


def delivered(offset: int, value: bytes = b"{}") -> Delivered:
    return Delivered(PARTITION, offset, 1, f"key-{offset}".encode(), value)


def announcement_of(job: Job) -> Answer:
    record = Record("lfk.transcripts", job.record.key, job.event_id.encode())
    return Answer(job, [record], Announcement(event_id=job.event_id, status="done", timestamp=1))


def make_holdings(member: FakeMember) -> tuple[Holdings, list[Answer]]:
    concluded: list[Answer] = []
    holdings = Holdings("lfk.audio.dlq", concluded.append)
    holdings.load(member.committed([PARTITION]))
    return holdings, concluded


def take_in(holdings: Holdings, offset: int) -> Job:
    record = delivered(offset)
    assert holdings.deliver(record)
    job, _due = receive(record, "lfk.audio.retry")
    holdings.keep(job)
    return job


def test_an_answer_counts_once_the_broker_has_it() -> None:
    member = FakeMember()
    holdings, concluded = make_holdings(member)
    first, second = take_in(holdings, 0), take_in(holdings, 1)
    holdings.answer(announcement_of(second))
    holdings.settle(member)
    assert [answer.job for answer in concluded] == [second]
    assert holdings.in_hand == 1
    holdings.answer(announcement_of(first))
    holdings.settle(member)
    assert member.progress[PARTITION] == Progress(2, "")
    assert not holdings.unsettled


@pytest.mark.parametrize("fate", ["lost", "answer lost"])
def test_a_lost_commit_is_looked_up_before_anything_else_is_committed(fate: str) -> None:
    member = FakeMember()
    holdings, concluded = make_holdings(member)
    job = take_in(holdings, 0)
    holdings.answer(announcement_of(job))
    member.fate, member.reachable = fate, False
    holdings.settle(member)
    holdings.settle(member)
    assert not concluded
    member.reachable = True
    holdings.settle(member)
    holdings.settle(member)
    assert [answer.job for answer in concluded] == [job]
    assert len(member.published) == 1
    assert member.progress[PARTITION] == Progress(1, "")


def test_a_refused_commit_is_simply_tried_again() -> None:
    member = FakeMember()
    holdings, concluded = make_holdings(member)
    job = take_in(holdings, 0)
    holdings.answer(announcement_of(job))
    member.fate, member.reachable = "refused", False
    holdings.settle(member)
    assert not concluded
    holdings.settle(member)
    assert [answer.job for answer in concluded] == [job]
    assert len(member.published) == 1


def test_attempts_are_recorded_before_they_begin_and_survive_the_hub() -> None:
    member = FakeMember()
    holdings, _ = make_holdings(member)
    job = take_in(holdings, 0)
    assert holdings.begin(member, [job])
    assert job.begun
    successor, _ = make_holdings(member)
    again = take_in(successor, 0)
    assert successor.attempts(again) == 1
    assert not again.begun


def test_an_attempt_that_could_not_be_recorded_has_not_begun() -> None:
    member = FakeMember()
    holdings, _ = make_holdings(member)
    job = take_in(holdings, 0)
    member.fate = "answer lost"
    assert not holdings.begin(member, [job])
    assert not job.begun
    assert not holdings.begin(member, [job])
    assert holdings.begin(member, [job])
    assert holdings.attempts(job) == 1


def test_an_attempt_taken_back_does_not_count() -> None:
    member = FakeMember()
    holdings, _ = make_holdings(member)
    job = take_in(holdings, 0)
    holdings.begin(member, [job])
    holdings.take_back(job)
    assert holdings.unsettled
    holdings.settle(member)
    successor, _ = make_holdings(member)
    assert successor.attempts(take_in(successor, 0)) == 0


def test_dropped_partitions_answer_nothing() -> None:
    member = FakeMember()
    holdings, concluded = make_holdings(member)
    job = take_in(holdings, 0)
    holdings.answer(announcement_of(job))
    assert holdings.drop([PARTITION]) == {id(job)}
    assert job.orphaned
    holdings.settle(member)
    assert not member.published
    assert not concluded


def test_a_dead_letter_that_is_too_large_goes_without_its_value() -> None:
    member = FakeMember()
    holdings, concluded = make_holdings(member)
    record = delivered(0, b"x" * 2_000_000)
    holdings.deliver(record)
    job, _due = receive(record, "lfk.audio.retry")
    holdings.keep(job)
    letter = Record("lfk.audio.dlq", record.key, record.value, {"lfk.error.code": b"message_too_large"})
    holdings.answer(Answer(job, [letter], None))
    member.fate = "large"
    holdings.settle(member)
    holdings.settle(member)
    holdings.settle(member)
    assert len(concluded) == 1
    assert member.published[0].value is None
    assert member.published[0].headers["lfk.error.value.omitted"] == b"2000000"
    assert member.published[0].headers["lfk.error.code"] == b"message_too_large"


@pytest.mark.parametrize("topic", ["lfk.audio.dlq", "lfk.transcripts", "lfk.audio.retry"])
@pytest.mark.parametrize(
    ("key", "padding"), [(b"k" * 1_000_000, b""), (b"k", b"p" * 1_000_000)], ids=["key", "headers"]
)
def test_what_a_sender_has_blown_up_does_not_end_the_hub(topic: str, key: bytes, padding: bytes) -> None:
    if padding and topic != "lfk.audio.dlq":
        pytest.skip("no other answer carries a sender's headers")
    member = FakeMember()
    holdings, concluded = make_holdings(member)
    job = take_in(holdings, 0)
    headers = {"padding": padding, "lfk.error.code": b"malformed_message"}
    holdings.answer(Answer(job, [Record(topic, key, b"{", headers)], None))
    member.fate = "large"
    for _settlement in range(3):
        holdings.settle(member)
    assert len(concluded) == 1
    (letter,) = member.published
    assert letter.value == b"{"
    assert letter.headers["lfk.error.code"] == b"malformed_message"
    part = "headers" if padding else "key"
    assert int(letter.headers[f"lfk.error.{part}.omitted"]) >= 1_000_000
    assert letter.key == (b"k" if padding else None)
    assert ("padding" in letter.headers) == (not padding)


class Delivery(RuleBasedStateMachine):
    """Hubs come and go, commits fail or lose their answer: every reference is announced exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.member = FakeMember()
        self.total = 12
        self._new_hub()

    def _new_hub(self) -> None:
        self.holdings, _ = make_holdings(self.member)
        committed = self.member.progress.get(PARTITION)
        self.unread = list(range(committed.offset if committed else 0, self.total))
        self.jobs: list[Job] = []

    @precondition(lambda self: self.unread)
    @rule()
    def deliver(self) -> None:
        record = delivered(self.unread.pop(0))
        if self.holdings.deliver(record):
            job, _due = receive(record, "lfk.audio.retry")
            self.holdings.keep(job)
            self.jobs.append(job)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.holdings.begin(self.member, [data.draw(st.sampled_from(self.jobs))])

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        self.jobs.remove(job)
        self.holdings.answer(announcement_of(job))

    @rule(fate=st.sampled_from(["well", "well", "refused", "lost", "answer lost"]), reachable=st.booleans())
    def settle(self, fate: str, reachable: bool) -> None:
        self.member.fate, self.member.reachable = fate, reachable
        self.holdings.settle(self.member)
        self.member.fate, self.member.reachable = "well", True

    @rule()
    def kill(self) -> None:
        self._new_hub()

    def teardown(self) -> None:
        while self.unread:
            self.deliver()
        for job in self.jobs:
            self.holdings.answer(announcement_of(job))
        for _attempt in range(3):
            self.holdings.settle(self.member)
        keys = sorted(record.key or b"" for record in self.member.published)
        assert keys == sorted(f"key-{offset}".encode() for offset in range(self.total))
        assert self.member.progress[PARTITION] == Progress(self.total, "")


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
