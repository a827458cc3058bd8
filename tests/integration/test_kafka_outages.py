"""A broker that falls silent is an outage to whoever asks it, never a surprise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lfk.brokers import kafka as kafka_module
from lfk.brokers import kafka_contact
from lfk.brokers.base import Partition, TopicPlan
from lfk.brokers.kafka import KafkaBroker
from lfk.core.errors import BrokerUnreachable
from tests.conftest import StartServer
from tests.services import kafka as kafka_server

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
