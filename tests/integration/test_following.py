"""Followers of announcements on a real Kafka that is killed and comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lfk.brokers.base import Delivered, Record, TopicPlan
from lfk.brokers.kafka import KafkaBroker
from lfk.roles.place_keeper import PlaceKeeper
from tests.conftest import StartServer
from tests.services import kafka as kafka_server
from tests.services.process import Running
from tests.waiting import wait_until

TOPIC = "lfk.transcripts"
#: Kafka is killed, comes back in up to half a minute, and clients find it again.
_PATIENCE = 120.0

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def server(own_server: StartServer) -> Running[kafka_server.KafkaServer]:
    return own_server(kafka_server)


@pytest.fixture
def broker(server: Running[kafka_server.KafkaServer]) -> Iterator[KafkaBroker]:
    opened = KafkaBroker({"bootstrap.servers": server.address.bootstrap, "reconnect.backoff.max.ms": 500})
    opened.ensure_topics([TopicPlan(TOPIC, 2, 1)])
    yield opened
    opened.close()


def publish(broker: KafkaBroker, first: int, count: int) -> None:
    publisher = broker.publisher()
    outcomes: list[Exception | None] = []
    for number in range(first, first + count):
        publisher.send(Record(TOPIC, b"%d" % number, b"%d" % number), outcomes.append)
    assert publisher.flush(_PATIENCE) == 0
    publisher.close()
    assert outcomes == [None] * count


def test_a_kept_place_survives_the_broker(server: Running[kafka_server.KafkaServer], broker: KafkaBroker) -> None:
    applied: list[int] = []
    stop = threading.Event()

    def apply(record: Delivered) -> None:
        applied.append(int(record.value or b""))

    keeper = threading.Thread(target=PlaceKeeper(apply, stop.is_set).run, args=(broker, "readers", TOPIC))
    keeper.start()
    publish(broker, 0, 10)
    wait_until(lambda: len(applied) == 10, seconds=_PATIENCE)
    server.process.kill()
    server.process.start()
    publish(broker, 10, 10)
    wait_until(lambda: len(set(applied)) == 20, seconds=_PATIENCE)
    stop.set()
    keeper.join(_PATIENCE)
    assert not keeper.is_alive()
    assert set(applied) == set(range(20))

    again: list[int] = []
    stop.clear()

    def apply_again(record: Delivered) -> None:
        again.append(int(record.value or b""))
        stop.set()

    publish(broker, 20, 1)
    PlaceKeeper(apply_again, stop.is_set).run(broker, "readers", TOPIC)
    assert again == [20]


def test_a_follower_without_a_group_survives_the_broker(
    server: Running[kafka_server.KafkaServer], broker: KafkaBroker
) -> None:
    seen: list[int] = []
    stop = threading.Event()

    def follow() -> None:
        for record in broker.follow(TOPIC):
            if stop.is_set():
                return
            if record is not None:
                seen.append(int(record.value or b""))

    follower = threading.Thread(target=follow)
    follower.start()
    publish(broker, 0, 10)
    wait_until(lambda: len(seen) == 10, seconds=_PATIENCE)
    server.process.kill()
    server.process.start()
    publish(broker, 10, 10)
    wait_until(lambda: len(seen) == 20, seconds=_PATIENCE)
    stop.set()
    follower.join(_PATIENCE)
    assert sorted(seen) == list(range(20))
