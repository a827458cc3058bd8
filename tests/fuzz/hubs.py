"""Hostile messages to a real hub on a real Kafka, with good ones in between: what became of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Producer

from lfk.brokers.base import Delivered, TopicPlan
from lfk.brokers.codec import JsonCodec
from lfk.brokers.kafka import KafkaBroker
from lfk.core.identity import event_id
from lfk.core.messages import MAX_MESSAGE_BYTES, Announcement
from tests.acceptance.command import Lfk
from tests.fuzz.messages import Hostile

_ROLES = ("audio", "bulk", "retry", "dlq", "transcripts")
#: As `lfk init` makes the topic of dead letters, and more.
_MOST_BYTES = 8 << 20


@dataclass
class Sent:
    """A record that was sent, and all that came back for it."""

    message: Hostile
    event: str = ""
    announcements: list[Announcement] = field(default_factory=list)
    letters: list[Delivered] = field(default_factory=list)

    @property
    def wrong(self) -> Iterator[str]:
        """What should not have been."""
        if len(self.announcements) != 1:
            yield f"{len(self.announcements)} announcements"
            return
        one = self.announcements[0]
        code = one.error.code if one.error else one.status
        if code not in self.message.allowed:
            reason = one.error.message if one.error else "done"
            yield f"{code} ({reason}) is not one of {', '.join(sorted(self.message.allowed))}"
        if len(self.letters) != (code != "done"):
            yield f"{code} with {len(self.letters)} dead letters"
        for letter in self.letters:
            if letter.headers.get("lfk.error.code", b"").decode() != code:
                yield "another code in the dead letter"
            # An empty value and none at all are told apart by few clients.
            if (letter.value or b"") != (self.message.value or b"") or letter.key != self.message.key:
                yield "not byte for byte in the dead letter"


class Rig:
    """Topics of its own, a store in a folder with some good audio, and the command."""

    def __init__(self, folder: Path, bootstrap: str, prefix: str, **environ: str) -> None:
        self.topics = {role: f"{prefix}.{role}" for role in _ROLES}
        self.store = folder / "store"
        self.broker = KafkaBroker({"bootstrap.servers": bootstrap})
        large = {"max.message.bytes": str(_MOST_BYTES)}
        self.broker.ensure_topics(
            [TopicPlan(name, 3, 1, large if role in ("audio", "dlq") else {}) for role, name in self.topics.items()]
        )
        self._bootstrap = bootstrap
        self.lfk = Lfk(
            folder,
            LFK_STORE="store",
            BOOTSTRAP_SERVERS=bootstrap,
            LFK_GROUP=f"{prefix}.hub",
            **{f"LFK_TOPIC_{role.upper()}": name for role, name in self.topics.items()},
            **environ,
        )
        (self.store / "transcripts").mkdir(parents=True)

    def audio(self, key: str, content: bytes) -> None:
        """An audio object."""
        path = self.store / "audio" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def send(self, messages: Sequence[Hostile]) -> list[Sent]:
        """Send them as they are, header names twice and all."""
        producer = Producer({"bootstrap.servers": self._bootstrap, "message.max.bytes": _MOST_BYTES, "linger.ms": 20})
        sent = [Sent(message) for message in messages]
        for one in sent:

            def placed(error: object, record: object, one: Sent = one) -> None:
                assert error is None, (one.message.name, error)
                one.event = event_id(
                    record.topic(), record.partition(), record.offset(), record.timestamp()[1], one.message.key
                )

            message = one.message
            producer.produce(
                self.topics["audio"], message.value, message.key, headers=list(message.headers), on_delivery=placed
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        return sent

    def collect(self, sent: Sequence[Sent]) -> list[str]:
        """Sort out what came back; what belongs to nothing that was sent is told."""
        by_event = {one.event: one for one in sent}
        assert len(by_event) == len(sent)
        codec = JsonCodec()
        strangers = []
        for record in self.broker.snapshot(self.topics["transcripts"]):
            announcement = codec.decode_announcement(record.value)
            assert len(record.value or b"") < MAX_MESSAGE_BYTES
            if announcement.event_id in by_event:
                by_event[announcement.event_id].announcements.append(announcement)
            else:
                strangers.append(f"announcement {announcement.event_id}")
        for record in self.broker.snapshot(self.topics["dlq"]):
            event = record.headers.get("lfk.error.event", b"").decode()
            if event in by_event:
                by_event[event].letters.append(record)
            else:
                strangers.append(f"dead letter {event}")
        return strangers

    def failures(self) -> Mapping[str, str]:
        """Event to code, as the store keeps failures."""
        folder = self.store / ".lfk" / "failed"
        kept = [json.loads(path.read_bytes()) for path in folder.iterdir()] if folder.is_dir() else []
        return {one["event_id"]: one["error"]["code"] for one in kept}


def between(bad: Sequence[Hostile], good: Sequence[Hostile]) -> list[Hostile]:
    """The good ones evenly among the bad ones."""
    step = max(1, len(bad) // max(1, len(good)))
    mixed: list[Hostile] = []
    waiting = iter(good)
    for number, message in enumerate(bad):
        if number % step == 0:
            mixed.extend(one for one in (next(waiting, None),) if one is not None)
        mixed.append(message)
    return [*mixed, *waiting]
