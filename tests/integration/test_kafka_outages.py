"""A broker that falls silent is an outage to whoever asks it, never a surprise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import pytest

from lfk.brokers import kafka as kafka_module
from lfk.brokers import kafka_contact, kafka_member
from lfk.brokers.base import Partition, Progress, TopicPlan
from lfk.brokers.kafka import KafkaBroker
from lfk.brokers.kafka_reader import TopicReader
from lfk.core.errors import BrokerUnreachable
from tests.conftest import StartServer
from tests.services import kafka as kafka_server
from tests.services.process import free_ports
from tests.waiting import wait_until

TOPIC = "silent.audio"

QUESTIONS: list[Callable[[KafkaBroker], object]] = [
    lambda broker: broker.trim({Partition(TOPIC, 0): 0}),
    lambda broker: broker.ensure_topics([TopicPlan("silent.other", 1, 1)]),
    lambda broker: broker.describe([TOPIC]),
    lambda broker: broker.standing("group", TOPIC),
    lambda broker: broker.positions(TOPIC, 0),
    lambda broker: list(broker.snapshot(TOPIC)),
]


@pytest.mark.kafka
@pytest.mark.slow
def test_a_silent_broker_is_an_outage(own_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (kafka_module, kafka_contact):
        monkeypatch.setattr(module, "REQUEST_SECONDS", 2.0)
    server = own_server(kafka_server)
    broker = KafkaBroker({"bootstrap.servers": server.address.bootstrap})
    broker.ensure_topics([TopicPlan(TOPIC, 1, 1)])
    assert broker.partitions(TOPIC) == 1
    server.process.pause()
    try:
        for ask in QUESTIONS:
            with pytest.raises(BrokerUnreachable):
                ask(broker)
    finally:
        server.process.resume()


@pytest.mark.kafka
@pytest.mark.slow
def test_a_broker_that_sends_its_clients_astray_is_caught_at_it(
    own_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, and advertises an address that leads nowhere: the commonest fault where machines are several."""
    for module in (kafka_module, kafka_contact):
        monkeypatch.setattr(module, "REQUEST_SECONDS", 2.0)
    (astray,) = free_ports(1)
    server = own_server(kafka_server, advertised=astray)
    broker = KafkaBroker({"bootstrap.servers": server.address.bootstrap})
    # Where it is slow, it is caught while it is still asked about itself.
    with pytest.raises(BrokerUnreachable, match=f"127.0.0.1:{astray}/1: Connect to .* failed") as caught:
        broker.ensure_topics([TopicPlan(TOPIC, 1, 1)])
    assert "advertises" in caught.value.hint


class _Nobody:
    """A listener that wants nothing."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def assigned(self, committed: Mapping[Partition, Progress | None]) -> Mapping[Partition, int | None]:
        self.told.append("assigned")
        return dict.fromkeys(committed)

    def revoked(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        self.told.append("revoked")

    def missed(self, partition: Partition, first: int) -> None:
        self.told.append("missed")


@pytest.mark.kafka
def test_a_reader_that_cannot_leave_its_group_keeps_nobody(
    kafka: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a commit that never comes to its end."""
    broker = KafkaBroker({"bootstrap.servers": kafka})
    broker.ensure_topics([TopicPlan(f"{topic_prefix}.audio", 1, 1)])
    listener = _Nobody()
    member = broker.member(f"{topic_prefix}.group", [f"{topic_prefix}.audio"], listener)
    wait_until(lambda: listener.told, "no partition comes", step=lambda: member.poll(0.1))
    stuck = threading.Event()
    leave = TopicReader.close

    def close(reader: TopicReader) -> None:
        stuck.wait(60)
        leave(reader)

    monkeypatch.setattr(TopicReader, "close", close)
    monkeypatch.setattr(kafka_member, "_LEAVE_SECONDS", 0.2)
    member.close()
    assert "leaving the group has no end" in caplog.text
    stuck.set()
    for thread in threading.enumerate():
        if thread.name == "lfk-settle":
            thread.join(30)
    assert listener.told == ["assigned"], "nobody waits for what comes so late"
