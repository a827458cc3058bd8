"""A whole hub on a broker and a store in memory, with faults on request: in its store, its engines, its disk."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lfk.brokers.base import Record
from lfk.brokers.codec import Codec, JsonCodec
from lfk.brokers.memory import MemoryBroker
from lfk.core.errors import LfkError, ModelMissing, Suspect
from lfk.core.location import Location
from lfk.core.manifest import Rendering
from lfk.core.messages import Announcement
from lfk.core.retry import RetryPolicy
from lfk.engine.base import ModelIdentity, Outcome, Recognised, StageProgress, Task
from lfk.engine.canned import CannedEngine, CannedKind
from lfk.engine.pool import EnginePool
from lfk.roles.demo import SAMPLE
from lfk.roles.expiring import Expiring
from lfk.roles.failures import Failures
from lfk.roles.hub.answers import Topics, failure_record
from lfk.roles.hub.hub import Hub
from lfk.roles.hub.job import Job
from lfk.roles.hub.plan import HubPlan, Summary
from lfk.roles.hub.probes import Probes
from lfk.roles.hub.runner import JobRunner, Limits
from lfk.roles.hub.scratch import Scratch
from lfk.roles.hub.threads import JobThreads
from lfk.roles.results import Results
from lfk.stores.memory import MemoryStore
from tests.roles.roots import ROOTS
from tests.waiting import wait_until

PATIENCE = 30.0
LANES = {"fresh": "lfk.audio", "retry": "lfk.audio.retry", "bulk": "lfk.audio.bulk"}
TOPICS = Topics("lfk.transcripts", "lfk.audio.retry", "lfk.audio.dlq")
_RENDERING = Rendering(("txt", "json"), True, 0.5)


class FaultyStore(MemoryStore):
    """``fault`` is called with the operation and the location, and may raise."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Callable[[str, Location], None] = lambda _operation, _location: None

    def check(self, prefix: Location) -> None:
        self.fault("check", prefix)
        super().check(prefix)

    def stat(self, location: Location) -> Any:
        self.fault("stat", location)
        return super().stat(location)

    def read(self, location: Location, *, limit: int) -> Any:
        self.fault("read", location)
        return super().read(location, limit=limit)

    def download(self, location: Location, path: Path, **options: Any) -> Any:
        self.fault("download", location)
        return super().download(location, path, **options)

    def put(self, location: Location, data: bytes, **options: Any) -> Any:
        self.fault("put", location)
        return super().put(location, data, **options)


class FaultyKind(CannedKind):
    """The canned engine; ``fault`` is called with each task and may raise, ``lacks`` are models it has not."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.fault: Callable[[Task], None] = lambda _task: None
        self.lacks: set[str] = set()
        self.tasks: list[Task] = []

    def identify(self, model: str) -> ModelIdentity:
        if model in self.lacks:
            raise ModelMissing(f"no weights for {model}")
        return super().identify(model)

    def start(self) -> CannedEngine:
        return _FaultyEngine(self)


class _FaultyEngine(CannedEngine):
    def __init__(self, kind: FaultyKind) -> None:
        super().__init__(0.0)
        self._kind = kind

    def run(self, task: Task, progress: StageProgress | None = None, recognised: Recognised | None = None) -> Outcome:
        self._kind.tasks.append(task)
        self._kind.fault(task)
        return super().run(task, progress, recognised)


class RunningHub:
    """One hub on a thread of its own."""

    def __init__(self, hub: Hub, stop: threading.Event, parts: Sequence[Callable[[], None]]) -> None:
        self.hub = hub
        self.stop = stop
        self._parts = parts
        self.outcome: Summary | BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def end(self) -> Summary:
        """Stop it and return its summary; raises what it ended with."""
        self.stop.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome

    def _run(self) -> None:
        try:
            self.outcome = self.hub.run()
        except BaseException as error:  # noqa: BLE001 - raised again by `end`
            self.outcome = error
        finally:
            for close in self._parts:
                close()


class HubBench:
    """Broker and store with everything that hubs need; hubs are started by :meth:`hub`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = FaultyStore()
        self.store.ensure(ROOTS.audio)
        self.failures = Failures(self.store, ROOTS.records)
        self.codec: Codec = JsonCodec()
        self.missed = 0
        #: Set: audio is noted as to be deleted in time.
        self.expiring: Expiring | None = None
        self.renew_broker()

    def renew_broker(self) -> None:
        """A broker whose topics hold nothing."""
        self.broker = MemoryBroker(partitions=2)
        for topic in (*LANES.values(), TOPICS.transcripts, TOPICS.dlq):
            self.broker.cluster.topic(topic)

    def add_audio(self, *names: str) -> None:
        """Objects below the audio root."""
        for name in names:
            self.store.put(ROOTS.audio.join(name), f"speech of {name}".encode(), content_type="audio/wav")

    def refer(self, *names: str, lane: str = "fresh", headers: dict[str, bytes] | None = None) -> None:
        """A reference for each."""
        publisher = self.broker.publisher()
        for name in names:
            value = json.dumps({"path_to_audio": name}).encode()
            key = str(ROOTS.audio.join(name)).encode()
            publisher.send(Record(LANES[lane], key, value, headers or {}), _must_be_sent)

    def send(self, *values: bytes) -> None:
        """Messages as some sender wrote them, with a key each and a header."""
        publisher = self.broker.publisher()
        for number, value in enumerate(values):
            record = Record(LANES["fresh"], f"key {number}".encode(), value, {"traceparent": b"00-1"})
            publisher.send(record, _must_be_sent)

    def run(self, answers: int) -> list[Announcement]:
        """A hub for as long as it takes to answer so many more; what it announced."""
        before = {one.event_id for one in self.announcements()}
        with self.hub():
            wait_until(self.answered(len(before) + answers))
        return [one for one in self.announcements() if one.event_id not in before]

    @contextmanager
    def hub(
        self, kind: FaultyKind | None = None, *, workers: int = 2, attempts: int = 3, breaker: int = 3
    ) -> Iterator[RunningHub]:
        """A hub that runs for as long as the block."""
        kind = kind or FaultyKind()
        stop = threading.Event()
        pool = EnginePool(kind, workers)
        scratch = Scratch(self.folder, 1 << 20)
        codec = self.codec
        runner = JobRunner(
            store=self.store,
            roots=ROOTS,
            codec=codec,
            results=Results(self.store, ROOTS),
            kind=kind,
            pool=pool,
            scratch=scratch,
            limits=Limits(audio_bytes=1000),
            rendering=_RENDERING,
            fallbacks={"tiny": "tiny.en"},
            stop=stop,
            expiring=self.expiring,
        )

        def record_failure(job: Job, announcement: Announcement, error: LfkError) -> None:
            self.failures.save(failure_record(announcement, error, job))
            runner.confirm_failure(job)

        probes = Probes(
            store=self.store,
            roots=ROOTS,
            scratch=scratch,
            kind=kind,
            pool=pool,
            models=("tiny", "tiny.en"),
            speech=SAMPLE,
            rendering=_RENDERING,
            stop=stop,
            registry_answers=codec.check,
        )
        slots = workers + 1
        looks = {**probes.by_suspect(), **self.looks()}
        plan = HubPlan(
            group="hubs",
            lanes=LANES,
            weights={"fresh": 8, "retry": 4, "bulk": 1},
            topics=TOPICS,
            retry=RetryPolicy(attempts, 0.05, 1.0),
            engines=workers,
            slots=slots,
            settle_interval=0.0,
            grace=1.0,
            breaker=breaker,
        )
        hub = Hub(
            broker=self.broker,
            codec=codec,
            threads=JobThreads(runner, slots, probes=looks, record_failure=record_failure),
            plan=plan,
            stop=stop,
            stop_engines=pool.close,
            describe=runner.describe,
            report=lambda _announcement: None,
            references_missed=self._miss,
        )
        running = RunningHub(hub, stop, [pool.close, scratch.close])
        try:
            yield running
        finally:
            stop.set()
            running.thread.join(PATIENCE)

    def looks(self) -> dict[Suspect, Callable[[], None]]:
        """Probes in place of the usual ones."""
        return {}

    def announcements(self) -> list[Announcement]:
        """Everything announced so far."""
        codec = JsonCodec()
        return [codec.decode_announcement(record.value) for record in self.broker.snapshot(TOPICS.transcripts)]

    def answered(self, count: int) -> Callable[[], bool]:
        """For :func:`wait_until`: so many references have been answered."""
        return lambda: len(self.announcements()) >= count

    def outcomes(self) -> Counter[str]:
        """How many were done, and how many failed by code."""
        return Counter(one.error.code if one.error else one.status for one in self.announcements())

    def dead_letters(self) -> Counter[str]:
        """Dead letters by code."""
        return Counter(record.headers["lfk.error.code"].decode() for record in self.broker.snapshot(TOPICS.dlq))

    def _miss(self) -> None:
        self.missed += 1


def _must_be_sent(error: Exception | None) -> None:
    assert error is None
