"""lfk end to end on a real Kafka and a real S3 server, with one warm hub, as the cases need it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.harness.case import Clock
from bench.harness.figures import Round
from bench.harness.speech import Recording, Stock, record
from bench.pipeline import RunningHub, ok, pipeline
from lfk.core.location import parse_location
from lfk.stores.s3 import S3Store
from tests.acceptance.command import Lfk
from tests.services.programs import cache_folder
from tests.services.provide import SERVICES, provide

MODEL = "tiny.en"
ENGINE_STAGES = ("load", "decode", "transcribe", "align", "diarise")


@dataclass(eq=False)
class Stand:
    """A pipeline with a hub that waits for work."""

    lfk: Lfk
    hub: RunningHub
    workers: int

    def upload(self, folder: Path, prefix: str, approach: str = "simple", model: str = MODEL) -> str:
        """Recordings into the bucket without references; returns the location they lie below."""
        store = store_of(self.lfk)
        root = f"{self.lfk.environ['LFK_STORE']}/audio/{approach}/{model}/{prefix}/"
        at = parse_location(root)
        for path in sorted(folder.iterdir()):
            store.upload(path, at.join(path.name), content_type="audio/wav", metadata={"lfk-source": path.name})
        return root

    def run(self, root: str, count: int) -> tuple[Round, list[dict[str, Any]]]:
        """From the start of `lfk submit` to the last announcement; the announcements."""
        before = len(self.hub.answers)
        with Clock(self.hub.pid) as clock:
            ok(self.lfk("submit", root))
            self.hub.wait_for(before + count, every=0.01)
            clock.stop(self.hub.heard)
        answers = self.hub.answers[before:]
        failed = [answer for answer in answers if answer["status"] != "done"]
        if failed or any(answer["reused"] for answer in answers):
            raise RuntimeError(f"not all was done anew: {failed[:1] or answers[:1]}")
        return clock.round, answers

    def texts(self, answers: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """What each transcript says, by the name of its audio."""
        store = store_of(self.lfk)
        found = {}
        for answer in answers:
            content = json.loads(store.read(parse_location(answer["path_to_transcript"]), limit=64 << 20)[0])
            name = answer["path_to_audio"].rpartition("/")[2]
            found[name] = " ".join(segment["text"].strip() for segment in content["segments"])
        return found


def store_of(lfk: Lfk) -> S3Store:
    """The bucket of a pipeline."""
    environ = lfk.environ
    return S3Store(
        endpoint_url=environ["AWS_ENDPOINT_URL_S3"],
        access_key=environ["AWS_ACCESS_KEY_ID"],
        secret_key=environ["AWS_SECRET_ACCESS_KEY"],
    )


@contextlib.contextmanager
def stand(folder: Path, *, workers: int = 2, engine: str = "whisperx", seconds: float = 0.0) -> Iterator[Stand]:
    """A hub on topics and a bucket of its own, which go afterwards."""
    folder.mkdir(parents=True)
    with pipeline(folder) as lfk:
        hub = RunningHub(
            lfk,
            folder / "hub",
            *("--workers", str(workers), "--threads", "1"),
            LFK_ENGINE=engine,
            LFK_DEFAULT_MODEL=MODEL,
            LFK_CANNED_SECONDS=str(seconds),
        )
        try:
            yield Stand(lfk, hub, workers)
        finally:
            hub.stop()


def warm_up(one: Stand, folder: Path, have: Stock) -> None:
    """A few jobs for each engine, which nobody counts."""
    clips = record(folder, [5.0] * (2 * one.workers), have, seed=99, number=1)
    one.run(one.upload(folder, folder.name), len(clips))


def engine_seconds(answer: Mapping[str, Any]) -> float:
    """What an engine took for a job, loading included."""
    return float(sum(answer["timings"].get(stage, 0.0) for stage in ENGINE_STAGES))


def busy_part(answers: Sequence[Mapping[str, Any]], workers: int) -> float:
    """The part of the engines' time that they worked, from the first job's start until the last one has begun."""
    spans = []
    for answer in answers:
        end = answer["timestamp"] / 1000 - answer["timings"].get("write", 0.0)
        spans.append((end - engine_seconds(answer), end))
    first, last = min(start for start, _ in spans), max(start for start, _ in spans)
    if last <= first:
        return 0.0
    worked = sum(max(0.0, min(end, last) - start) for start, end in spans)
    return worked / workers / (last - first)


def seconds_of(recordings: Sequence[Recording]) -> float:
    """Length of all audio."""
    return sum(one.seconds for one in recordings)


@contextlib.contextmanager
def kafka(folder: Path) -> Iterator[str]:
    """The address of a real Kafka, for cases that need no S3 server."""
    (folder / "kafka").mkdir(parents=True)
    with provide(SERVICES["kafka"], os.environ, folder=folder / "kafka", cache=cache_folder(os.environ)) as served:
        yield served.bootstrap
