"""One run: jobs are synced, hubs work, a fault acts, and what is left is judged. Its seed makes it again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok
from tests.chaos.hubs import Hubs
from tests.chaos.reading import Entry, Follower, Place, open_transactions, settled, snapshot
from tests.chaos.recordings import Recordings
from tests.chaos.verdict import Evidence, Reference, Verdict, judge
from tests.services.process import ServerProcess
from tests.services.s3 import S3Server
from tests.services.toxiproxy import Proxy

#: Between two looks at the hubs and the announcements.
_LOOK_SECONDS = 0.2
_READERS = 8


class OutOfTime(Exception):
    """The deadline has passed: the run is stuck."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a run takes place. Processes and proxies are there where the fault needs them."""

    lfk: Lfk
    bootstrap: str
    store: S3Server
    bucket: str
    prefix: str
    folder: Path
    broker_process: ServerProcess | None = None
    store_process: ServerProcess | None = None
    broker_proxy: Proxy | None = None
    store_proxy: Proxy | None = None

    def topic(self, name: str) -> str:
        """A topic of this run."""
        return f"{self.prefix}.{name}"


class Fault(Protocol):
    """What goes wrong."""

    def act(self, run: Run) -> int:
        """Go wrong while the hubs work, and be over in the end; returns how often it did."""


@dataclass(slots=True)
class Run:
    """A run in progress, as its fault sees it."""

    stage: Stage
    hubs: Hubs
    recordings: Recordings
    chance: random.Random
    deadline: float
    follower: Follower
    #: By (topic, partition, offset), as hubs trim what is answered: every reference, and every retry of one.
    references: dict[Place, Entry] = field(default_factory=dict)
    retries: dict[Place, Entry] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)

    def wait(self, seconds: float) -> None:
        """Let time pass, with an eye on the hubs.

        Raises:
            OutOfTime: the deadline has passed.
        """
        over = time.monotonic() + seconds
        self.wait_until(lambda: time.monotonic() >= over)

    def wait_until(self, over: Callable[[], bool], seconds: float = float("inf")) -> bool:
        """Wait until it is over, at most ``seconds``; whether it was.

        Raises:
            OutOfTime: the deadline has passed.
        """
        limit = time.monotonic() + seconds
        while not over():
            if time.monotonic() > self.deadline:
                raise OutOfTime
            if time.monotonic() > limit:
                return False
            self.hubs.watch()
            self._read_on()
        return True

    def _read_on(self) -> None:
        for entry in self.follower.read_on(_LOOK_SECONDS):
            if entry.topic == self.stage.topic("retry"):
                self.retries[entry.place] = entry
            else:
                self.answered.add(str(entry.data["event_id"]))

    def wait_for_answers(self, count: int) -> None:
        """Wait until so many references are answered.

        Raises:
            OutOfTime: the deadline has passed.
        """
        self.wait_until(lambda: len(self.answered) >= count)

    def late(self, limit: float) -> str:
        """What is to be said where a run was not over in time."""
        held_up = open_transactions(self.stage.bootstrap, self.stage.topic("transcripts"))
        return f"{len(self.answered)} of {len(self.references)} answers seen after {limit:.0f} s; {held_up}"

    def sync(self, count: int, poisons: int = 0) -> None:
        """More jobs."""
        self.recordings.make(count, poisons)
        expect_ok(self.stage.lfk("sync", str(self.recordings.folder)))
        self.references |= {entry.place: entry for entry in snapshot(self.stage.bootstrap, self.stage.topic("audio"))}
        assert len(self.references) == len(self.recordings), "one reference each"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is made of; ``limit`` is in seconds."""

    fault: Fault
    jobs: int
    poisons: int
    hubs: int
    attempts: int
    seed: int
    limit: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that is over."""

    verdict: Verdict
    faults: int
    jobs: int
    hubs: int
    seconds: float

    @property
    def counts(self) -> dict[str, int]:
        """How many cases there are of everything that can go wrong."""
        return {name: len(cases) for name, cases in asdict(self.verdict).items()}

    @property
    def told(self) -> str:
        """In one line."""
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return f"{self.faults} faults, {self.jobs} jobs, {self.hubs} hubs, {self.seconds:.0f} s: {counts}"


def perform(stage: Stage, plan: Plan, hubs: Hubs) -> Outcome:
    """Sync the jobs, start the hubs, let the fault act, and judge what is left."""
    expect_ok(stage.lfk("init"))
    recordings = Recordings(stage.folder / "recordings", plan.seed)
    follower = Follower(stage.bootstrap, [stage.topic("transcripts"), stage.topic("retry")])
    run = Run(stage, hubs, recordings, random.Random(plan.seed), float("inf"), follower)
    run.sync(plan.jobs, plan.poisons)
    began = time.monotonic()
    run.deadline = began + plan.limit
    faults = 0
    try:
        hubs.start(plan.hubs)
        try:
            faults = plan.fault.act(run)
            run.wait_for_answers(len(recordings))
        except OutOfTime:
            hubs.misbehaved.append(run.late(plan.limit))
        seconds = time.monotonic() - began
        hubs.end()
        verdict = judge(gather(run, plan.attempts))
    finally:
        hubs.kill_all()
        follower.close()
    return Outcome(verdict, faults, len(recordings), len(hubs.all), seconds)


def gather(run: Run, attempts: int) -> Evidence:
    """What is left in topics and store, and what was seen go through."""
    stage = run.stage
    retry, dead, announced = (snapshot(stage.bootstrap, stage.topic(name)) for name in ("retry", "dlq", "transcripts"))
    run.retries |= {entry.place: entry for entry in retry}
    return Evidence(
        references=[Reference(entry.event_id, _audio(entry)) for entry in run.references.values()],
        announcements=[entry.data for entry in announced],
        dead_letters=[_audio(entry) for entry in dead],
        settled=_settled(run),
        objects=_objects(stage),
        poisons={f"s3://{stage.bucket}/lfk/audio/{name}" for name in run.recordings.poisons},
        attempts=attempts,
        retried=[_audio(entry) for entry in run.retries.values()],
        misbehaved=run.hubs.misbehaved,
    )


def _audio(entry: Entry) -> str:
    return str(entry.data["path_to_audio"])


def _settled(run: Run) -> set[str]:
    """References of which no record is in the group's hands any more."""
    entries = [*run.references.values(), *run.retries.values()]
    done = settled(run.stage.bootstrap, f"{run.stage.prefix}.hub", entries)
    waiting = {entry.headers["lfk.retry.event"].decode() for entry in run.retries.values() if not done[entry.place]}
    return {entry.event_id for entry in run.references.values() if done[entry.place] and entry.event_id not in waiting}


def _objects(stage: Stage) -> Mapping[str, bytes]:
    """Every object below the transcripts."""
    client = stage.store.client()
    keys = [
        entry["Key"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=stage.bucket, Prefix="lfk/transcripts/")
        for entry in page.get("Contents", ())
    ]

    def read(key: str) -> bytes:
        return client.get_object(Bucket=stage.bucket, Key=key)["Body"].read()

    with ThreadPoolExecutor(_READERS) as pool:
        return {f"s3://{stage.bucket}/{key}": content for key, content in zip(keys, pool.map(read, keys), strict=True)}
