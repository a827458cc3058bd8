"""A whole hub on a broker and a store in memory, with the canned engine; each :meth:`HubRig.run` answers and stops."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from lfk.brokers.base import Delivered, Record
from lfk.brokers.codec import JsonCodec
from lfk.brokers.memory import MemoryBroker
from lfk.core.addressing import Roots
from lfk.core.manifest import Rendering
from lfk.core.messages import Announcement
from lfk.core.retry import RetryPolicy
from lfk.engine.canned import CannedKind
from lfk.engine.pool import EnginePool
from lfk.roles.failures import Failures
from lfk.roles.hub.answers import Topics, failure_record
from lfk.roles.hub.hub import Hub
from lfk.roles.hub.job import JobRunner, Limits
from lfk.roles.hub.plan import HubPlan
from lfk.roles.hub.scratch import Scratch
from lfk.roles.hub.threads import JobThreads
from lfk.roles.results import Results
from lfk.roles.sender import ReferenceSender
from lfk.stores.memory import MemoryStore
from tests.roles.roots import ROOTS

TOPICS = Topics("lfk.transcripts", "lfk.audio.retry", "lfk.audio.dlq")
LANES = {"fresh": "lfk.audio", "retry": TOPICS.retry, "bulk": "lfk.audio.bulk"}


class HubRig:
    """Everything that a hub works with."""

    def __init__(self, folder: Path, roots: Roots = ROOTS) -> None:
        self.folder = folder
        self.roots = roots
        self.store = MemoryStore()
        self.broker = MemoryBroker()
        self.codec = JsonCodec()
        self.failures = Failures(self.store, roots.records)

    def upload(self, key: str, content: bytes = b"speech") -> None:
        self.store.put(self.roots.audio.join(key), content, content_type="audio/wav")

    def send(self, *values: bytes, topic: str = "lfk.audio") -> None:
        """Messages as some sender wrote them."""
        publisher = self.broker.publisher()
        for number, value in enumerate(values):
            publisher.send(Record(topic, f"key {number}".encode(), value, {"traceparent": b"00-1"}), _expect_none)

    def sender(self, topic: str = "lfk.audio") -> ReferenceSender:
        return ReferenceSender(self.broker.publisher(), self.codec, topic, "lfk/dlq")

    def run(self, answers: int) -> Sequence[Announcement]:
        """One hub that stops after so many answers; what it announced, in order."""
        stop, announced = threading.Event(), list[Announcement]()
        scratch, pool = Scratch(self.folder, 1 << 20), EnginePool(CannedKind(0.0), 1)
        runner = JobRunner(
            store=self.store,
            roots=self.roots,
            codec=self.codec,
            results=Results(self.store, self.roots),
            kind=CannedKind(0.0),
            pool=pool,
            scratch=scratch,
            limits=Limits(audio_bytes=1000),
            rendering=Rendering(("txt", "json"), True, 0.5),
            fallbacks={},
            stop=stop,
        )
        threads = JobThreads(
            runner,
            2,
            probes={},
            record_failure=lambda job, told, error: self.failures.save(failure_record(told, error, job)),
        )
        plan = HubPlan(
            group="lfk-hub",
            lanes=LANES,
            weights=dict.fromkeys(LANES, 1),
            topics=TOPICS,
            retry=RetryPolicy(3, 0.0, 1.0),
            engines=1,
            slots=2,
            settle_interval=0.0,
            grace=5.0,
            max_jobs=answers,
        )
        try:
            Hub(
                broker=self.broker,
                codec=self.codec,
                threads=threads,
                plan=plan,
                stop=stop,
                stop_engines=pool.close,
                describe=runner.describe,
                report=announced.append,
                references_missed=lambda: None,
            ).run()
        finally:
            pool.close()
            scratch.close()
        return announced

    def records(self, topic: str) -> list[Delivered]:
        """What is on a topic."""
        return list(self.broker.snapshot(topic))


def _expect_none(error: Exception | None) -> None:
    assert error is None
