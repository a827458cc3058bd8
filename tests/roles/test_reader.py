"""A reader of announcements and a Schema Registry that is away."""

from __future__ import annotations

import threading

import pytest

from lfk.brokers.codec import JsonCodec
from lfk.brokers.memory import MemoryBroker
from lfk.core.errors import RegistryUnreachable
from lfk.core.messages import Announcement, Failure
from lfk.roles import transcripts
from lfk.roles.transcripts import Reader, Wish
from lfk.stores.memory import MemoryStore
from tests.integration.transcripts import ROOTS, TOPIC, Memory, announce

FAILED = Announcement("event", "failed", 1, error=Failure("code", "message", "fetch", 1, False))


class AwayTwice(JsonCodec):
    """Cannot tell what a message says until it is asked for the third time."""

    def __init__(self) -> None:
        self.asked = 0

    def decode_announcement(self, value: bytes | None) -> Announcement:
        self.asked += 1
        if self.asked < 3:
            raise RegistryUnreachable("no answer")
        return super().decode_announcement(value)


def reader(audience: Memory, *, patient: bool) -> Reader:
    return Reader(MemoryStore(), AwayTwice(), ROOTS, Wish(), audience, threading.Event(), patient=patient)


def test_who_follows_waits_and_passes_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "_OUTAGE_SECONDS", 0.01)
    broker, audience = MemoryBroker(partitions=1), Memory()
    announce(broker, FAILED)
    reader(audience, patient=True).records(broker.snapshot(TOPIC))
    assert audience.announcements == ["event"]
    assert audience.problems == []


def test_who_looks_once_is_told() -> None:
    broker, audience = MemoryBroker(partitions=1), Memory()
    announce(broker, FAILED)
    with pytest.raises(RegistryUnreachable):
        reader(audience, patient=False).records(broker.snapshot(TOPIC))
    assert audience.announcements == []
