"""The real ``lfk`` command under a death sentence: a named step kills it with SIGKILL, as no handler could prevent.

Started as a script in place of ``python -m lfk``; production code knows nothing of it. What to die of is told by:

``CHAOS_POINT``, ``CHAOS_PASS``
    the step of :data:`POINTS` and which pass of it is the last.
``CHAOS_POISON``
    ``hub``: audio that holds :data:`POISON` kills the whole process group while the engine is at it; ``engine``: it
    kills the engine, which then is a child process, as the real one is.
``CHAOS_FLAKY``, ``CHAOS_SEED``
    the part of all tasks, 0–1, in which the engine fails.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import confluent_kafka

from lfk.brokers import kafka_member
from lfk.brokers.base import Partition, Progress, Record
from lfk.brokers.kafka_member import KafkaMember
from lfk.core.errors import EngineCrashed
from lfk.engine.base import Task
from lfk.engine.canned import CannedEngine, CannedKind
from lfk.engine.child_process import Launch
from lfk.engine.limits import EngineLimits
from lfk.engine.process import ProcessEngine
from lfk.engine.surroundings import engine_environment
from lfk.stores.s3 import S3Store

#: In the bytes of an audio: whoever transcribes it dies.
POISON = b"poison to whoever hears it"

#: Every step at which a hub can be killed, in the order in which a reference passes them.
POINTS = (
    "fetch",
    "attempt-recorded",
    "decode",
    "transcribe",
    "result-kept",
    "write",
    "before-manifest",
    "after-manifest",
    "before-transaction",
    "in-transaction",
    "after-commit",
)

#: What a transaction's records may take to reach the broker before the hub dies in it.
_FLUSH_SECONDS = 10.0

_ROOT = Path(__file__).resolve().parents[2]


class Sentence:
    """Counts the passes of one point and carries out the sentence at the last; any thread may pass."""

    def __init__(self, point: str, passes: int) -> None:
        if point not in POINTS:
            raise SystemExit(f"CHAOS_POINT: {point!r} is none of {', '.join(POINTS)}")
        self._point = point
        self._left = passes
        self._lock = threading.Lock()

    def passes(self, point: str) -> bool:
        """A point is passed; True where that is the end."""
        if point != self._point:
            return False
        with self._lock:
            self._left -= 1
            return self._left == 0

    def at(self, point: str) -> None:
        """A point is passed, and this may be the end."""
        if self.passes(point):
            die(f"killed at {point}")


def die(why: str, *, group: bool = False) -> NoReturn:
    """End this process, or its whole group, as ``kill -9`` does."""
    print(why, file=sys.stderr, flush=True)
    if group:
        os.killpg(os.getpgid(0), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL came back")


# --- the store


def watch_store(sentence: Sentence) -> None:
    """Let the store's calls pass the points of fetching and writing."""
    download, put = S3Store.download, S3Store.put

    def watched_download(store: S3Store, *args: Any, **named: Any) -> Any:
        done = download(store, *args, **named)
        sentence.at("fetch")
        return done

    def watched_put(store: S3Store, location: Any, *args: Any, **named: Any) -> Any:
        before, after = _points_of(str(location))
        sentence.at(before)
        done = put(store, location, *args, **named)
        sentence.at(after)
        return done

    S3Store.download = watched_download  # type: ignore[method-assign]
    S3Store.put = watched_put  # type: ignore[method-assign]


def _points_of(location: str) -> tuple[str, str]:
    """The points before and after an object is written."""
    if "/.lfk/results/" in location and "/recognition-" not in location:
        return "", "result-kept"
    if "/transcripts/" not in location:
        return "", ""
    if location.endswith(".json"):
        return "before-manifest", "after-manifest"
    # The text comes first, so one rendering is there and others are not.
    return ("write" if location.endswith(".srt") else ""), ""


# --- the broker


def watch_broker(sentence: Sentence) -> None:
    """Let the member pass the points of settling: with announcements, or with nothing but progress."""
    settle = KafkaMember.settle

    def watched_settle(member: KafkaMember, outgoing: Sequence[Record], progress: Mapping[Partition, Progress]) -> None:
        if outgoing:
            sentence.at("before-transaction")
        settle(member, outgoing, progress)
        sentence.at("after-commit" if outgoing else "attempt-recorded")

    class WatchedProducer(confluent_kafka.Producer):
        announces = False

        def produce(self, *args: Any, **named: Any) -> None:
            self.announces = True
            super().produce(*args, **named)

        def commit_transaction(self, *args: Any) -> None:
            if self.announces and sentence.passes("in-transaction"):
                # All of it is with the broker, offsets included; only the last word is missing.
                self.flush(_FLUSH_SECONDS)
                die("killed at in-transaction")
            super().commit_transaction(*args)
            self.announces = False

    KafkaMember.settle = watched_settle  # type: ignore[method-assign]
    kafka_member.Producer = WatchedProducer  # type: ignore[misc]


# --- the engine


def change_engine(before: Callable[[Task], None], after: Callable[[Task], None] = lambda _task: None) -> None:
    """Have something happen before and after every task of the canned engine."""
    run = CannedEngine.run

    def changed(engine: CannedEngine, task: Task, *args: Any) -> Any:
        before(task)
        outcome = run(engine, task, *args)
        after(task)
        return outcome

    CannedEngine.run = changed  # type: ignore[method-assign]


def is_poison(task: Task) -> bool:
    """Whether the audio of a task kills."""
    return POISON in task.audio.read_bytes()


def poison_hub() -> None:
    """Poison ends the process group of the hub."""

    def hear(task: Task) -> None:
        if is_poison(task):
            die("killed by poison, with the whole group", group=True)

    change_engine(hear)


def poison_engine() -> None:
    """Poison ends the engine, a child process (see :mod:`tests.chaos.poisoned_engine`)."""
    environment = engine_environment({**os.environ, "PYTHONPATH": str(_ROOT)}, threads=1)

    def start(kind: CannedKind) -> ProcessEngine:
        launch = Launch("tests.chaos.poisoned_engine:build", environment, {"seconds": kind._seconds})
        return ProcessEngine(launch, EngineLimits())

    CannedKind.start = start  # type: ignore[assignment,method-assign]


def flaky_engine(part: float, seed: str) -> None:
    """The engine fails in a part of all tasks."""
    chance = random.Random(f"{seed} {os.getpid()}")

    def hear(_task: Task) -> None:
        if chance.random() < part:
            raise EngineCrashed("a rehearsed crash")

    change_engine(hear)


def main() -> int:
    """Arm what the environment asks for, then be the command."""
    told = os.environ
    if point := told.get("CHAOS_POINT"):
        sentence = Sentence(point, int(told.get("CHAOS_PASS", "1")))
        watch_store(sentence)
        watch_broker(sentence)
        change_engine(lambda _task: sentence.at("decode"), lambda _task: sentence.at("transcribe"))
    if poison := told.get("CHAOS_POISON"):
        {"hub": poison_hub, "engine": poison_engine}[poison]()
    if part := told.get("CHAOS_FLAKY"):
        flaky_engine(float(part), told.get("CHAOS_SEED", "0"))
    from lfk.cli.main import main as lfk

    return lfk()


if __name__ == "__main__":
    sys.exit(main())
