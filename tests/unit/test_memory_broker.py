"""What the broker in memory does beyond the contract: gaps, faults, and members that are thrown out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from lfk.brokers.base import Partition, Progress, Record
from lfk.brokers.memory import MemoryBroker, MemoryMember
from lfk.core.errors import BrokerUnreachable, SettlementLost

TOPIC = "t"
ONLY = Partition(TOPIC, 0)


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, list[Partition]]] = []

    def assigned(self, committed: Mapping[Partition, Progress | None]) -> Mapping[Partition, int | None]:
        self.events.append(("assigned", sorted(committed)))
        return {partition: None if place is None else place.offset for partition, place in committed.items()}

    def revoked(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        self.events.append(("lost" if lost else "revoked", sorted(partitions)))


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(partitions=1, clock=lambda: 5.0)


def send(broker: MemoryBroker, *values: bytes) -> None:
    outcomes: list[Exception | None] = []
    for value in values:
        broker.publisher().send(Record(TOPIC, b"k", value), outcomes.append)
    assert outcomes == [None] * len(values)


def join(broker: MemoryBroker) -> tuple[MemoryMember, Told]:
    told = Told()
    return broker.member("g", [TOPIC], told), told


def test_a_transaction_leaves_a_gap(broker: MemoryBroker) -> None:
    member, _told = join(broker)
    member.settle([Record(TOPIC, b"k", b"1"), Record(TOPIC, b"k", b"2")], {ONLY: Progress(0)})
    send(broker, b"3")
    assert [(record.offset, record.value) for record in broker.snapshot(TOPIC)] == [(0, b"1"), (1, b"2"), (3, b"3")]
    assert {record.timestamp for record in broker.snapshot(TOPIC)} == {5000}


@pytest.mark.parametrize(
    ("after", "published", "committed"),
    [("nothing", 0, None), ("records", 1, None), ("everything", 1, Progress(7))],
)
def test_a_settlement_may_fail_anywhere(
    broker: MemoryBroker, after: str, published: int, committed: Progress | None
) -> None:
    member, _told = join(broker)
    broker.fail_next_settlement(SettlementLost("lost"), after=after)  # type: ignore[arg-type]
    with pytest.raises(SettlementLost):
        member.settle([Record(TOPIC, b"k", b"1")], {ONLY: Progress(7)})
    assert len(list(broker.snapshot(TOPIC))) == published
    assert member.committed([ONLY]) == {ONLY: committed}
    member.settle([], {ONLY: Progress(8)})
    assert member.committed([ONLY]) == {ONLY: Progress(8)}


def test_a_member_that_was_thrown_out_learns_of_it_and_joins_again(broker: MemoryBroker) -> None:
    send(broker, b"1", b"2")
    first, told = join(broker)
    assert first.poll(0) is not None
    broker.evict(first)
    with pytest.raises(SettlementLost):
        first.settle([Record(TOPIC, b"k", b"late")], {ONLY: Progress(1)})
    assert len(list(broker.snapshot(TOPIC))) == 2
    again = first.poll(0)
    assert again is not None
    assert again.value == b"1"
    assert told.events == [("assigned", [ONLY]), ("lost", [ONLY]), ("assigned", [ONLY])]


def test_a_partition_moves_only_once_its_owner_has_let_go(broker: MemoryBroker) -> None:
    send(broker, b"1")
    first, told = join(broker)
    assert first.poll(0) is not None
    broker.ensure_topics([])
    second, second_told = join(broker)
    first.poll(0)
    # One partition for two: it stays where it is.
    assert second.poll(0) is None
    assert second_told.events == []
    # As Kafka's own broker, it lets a member commit what it does not own.
    second.settle([], {ONLY: Progress(1)})
    first.close()
    assert second.poll(0) is None
    assert second_told.events == [("assigned", [ONLY])]
    assert told.events[-1] == ("revoked", [ONLY])


def test_a_broker_that_does_not_answer(broker: MemoryBroker) -> None:
    send(broker, b"1")
    member, _told = join(broker)
    assert member.poll(0) is not None
    broker.reachable = False
    # Reading goes on trying; everything else says so.
    assert member.poll(0) is None
    with pytest.raises(BrokerUnreachable):
        member.settle([], {ONLY: Progress(1)})
    with pytest.raises(BrokerUnreachable):
        list(broker.snapshot(TOPIC))
    outcomes: list[Exception | None] = []
    broker.publisher().send(Record(TOPIC, b"k", b"2"), outcomes.append)
    assert [type(outcome) for outcome in outcomes] == [BrokerUnreachable]
    broker.reachable = True
    assert [record.value for record in broker.snapshot(TOPIC)] == [b"1"]


def test_records_without_a_key_go_round() -> None:
    broker = MemoryBroker(partitions=3)
    for number in range(6):
        broker.publisher().send(Record(TOPIC, None, b"%d" % number), lambda _outcome: None)
    assert sorted(record.partition.number for record in broker.snapshot(TOPIC)) == [0, 0, 1, 1, 2, 2]
