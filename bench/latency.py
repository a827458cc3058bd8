"""From the close of a file to its announcement: how long, and where the time goes.

    python -m bench.latency                                    # canned engine, idle hub, then under a backlog
    python -m bench.latency --engines whisperx --files 30 --backlog 0

`lfk sync --watch` and one hub with two engines on a real Kafka and a real S3 server. Files are written one by one at
random moments into the watched folder; somebody who follows the announcements in read_committed notes when each comes.
What the engine took is subtracted. With a backlog, thousands of references of the bulk topic wait while fresh files
come, and are worked on with a canned engine that takes so long that they never run out.

Parts: *sync* from close to the reference's time stamp, *queue* until the hub takes it up, *hub* the rest of the job
but for the engine, *settle* until the announcement is read.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.pipeline import STALL_SECONDS, RunningHub, ok, pipeline, tone, tones
from bench.soak import clips
from lfk.brokers.codec import JsonCodec
from lfk.brokers.kafka import KafkaBroker
from lfk.core.messages import Announcement
from tests.acceptance.command import Lfk

#: What engines do; the rest of a job's time is lfk's own.
ENGINE_STAGES = ("load", "decode", "transcribe", "align", "diarise")
TARGET_SECONDS = 1.0
#: What a job takes the canned engine: on an idle hub, and with a backlog, which it must not get through.
IDLE_JOB_SECONDS = 0.1
BACKLOG_JOB_SECONDS = 1.0
#: For so long the backlog is worked on before fresh files come.
ALONE_SECONDS = 20.0
#: What tells bulk audio by its name.
BULK = "bulk"
PARTS = ("sync", "queue", "hub", "settle")


@dataclass(frozen=True)
class Passage:
    """One file on its way; all in seconds."""

    total: float
    engine: float
    sync: float
    queue: float
    hub: float
    settle: float

    @property
    def overhead(self) -> float:
        """All but the engine."""
        return self.total - self.engine


@dataclass(frozen=True)
class Distribution:
    """Percentiles of seconds."""

    p50: float
    p95: float
    p99: float
    most: float


@dataclass(frozen=True)
class Measured:
    """One set-up."""

    engine: str
    #: What a job of the canned engine takes.
    job_seconds: float | None
    backlog: int
    files: int
    overhead: Distribution
    total: Distribution
    parts: Mapping[str, Distribution]
    #: Bulk jobs a second before fresh files came, and while they did.
    bulk_alone: float
    bulk_meanwhile: float
    passages: Sequence[Passage]


def distribution(values: Sequence[float]) -> Distribution:
    """Of at least two values."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return Distribution(*(round(value, 3) for value in (cuts[49], cuts[94], cuts[98], max(values))))


class Follower:
    """Reads announcements as they come, as any receiver does, and notes when."""

    def __init__(self, lfk: Lfk) -> None:
        self._broker = KafkaBroker({"bootstrap.servers": lfk.environ["BOOTSTRAP_SERVERS"]})
        self._topic = lfk.environ["LFK_TOPIC_TRANSCRIPTS"]
        self._codec = JsonCodec()
        self._over = threading.Event()
        #: Seconds since the epoch and announcement, in order of arrival.
        self.heard: list[tuple[float, Announcement]] = []
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def wait_for(self, names: set[str]) -> dict[str, tuple[float, Announcement]]:
        """Until the audio of all these names is answered.

        Raises:
            RuntimeError: it is not, for very long.
        """
        deadline = time.monotonic() + STALL_SECONDS
        while True:
            found = {name: item for item in list(self.heard) if (name := _name(item[1].path_to_audio)) in names}
            if len(found) == len(names):
                return found
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(found)} of {len(names)} announcements came within {STALL_SECONDS:.0f} s")
            time.sleep(0.1)

    def bulk_rate(self, begin: float, end: float) -> float:
        """Bulk jobs a second that were announced between two moments."""
        inside = [
            True for at, answer in self.heard if begin <= at < end and f"/{BULK}/" in (answer.path_to_audio or "")
        ]
        return round(len(inside) / max(end - begin, 1e-9), 2)

    def stop(self) -> None:
        """Read no more."""
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        # A busy broker tells of a new topic a moment after it was made.
        while not self._broker.partitions(self._topic):
            time.sleep(0.2)
        for record in self._broker.follow(self._topic):
            if self._over.is_set():
                return
            if record is not None:
                self.heard.append((time.time(), self._codec.decode_announcement(record.value)))


@contextmanager
def watching(lfk: Lfk, folder: Path) -> Iterator[None]:
    """`lfk sync --watch` on a folder, past its first scan."""
    first = folder / "simple" / "tiny" / "first.wav"
    first.parent.mkdir(parents=True, exist_ok=True)
    tone(first, 0xFFFF_FFFF)
    scanned = threading.Event()
    with lfk.running("sync", str(folder), "--watch", "--json") as process:

        def read() -> None:
            for line in process.stdout or ():
                if "first.wav" in line:
                    scanned.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        if not scanned.wait(STALL_SECONDS):
            raise RuntimeError("sync --watch uploads nothing")
        yield
        process.terminate()
        reader.join(STALL_SECONDS)


def drop(source: Path, folder: Path, chance: random.Random) -> dict[str, float]:
    """Write files into the watched folder one by one, as a recorder does; returns when each was closed, by name."""
    closed = {}
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        target = folder / path.relative_to(source)
        time.sleep(chance.uniform(0.5, 1.5))
        with path.open("rb") as content, target.open("wb") as file:
            shutil.copyfileobj(content, file)
        closed[target.relative_to(folder).as_posix()] = time.time()
    return closed


def passages(lfk: Lfk, closed: Mapping[str, float], heard: Mapping[str, tuple[float, Announcement]]) -> list[Passage]:
    """What each file's way was made of."""
    broker = KafkaBroker({"bootstrap.servers": lfk.environ["BOOTSTRAP_SERVERS"]})
    codec = JsonCodec()
    references = [codec.decode_reference(record.value) for record in broker.snapshot(lfk.environ["LFK_TOPIC_AUDIO"])]
    made = {_name(reference.path_to_audio): (reference.timestamp or 0) / 1000 for reference in references}
    found = []
    for name, close in closed.items():
        arrived, answer = heard[name]
        if answer.status != "done":
            raise RuntimeError(f"{name} failed: {answer.error}")
        engine = sum(answer.timings.get(stage, 0.0) for stage in ENGINE_STAGES)
        queue, ended = answer.timings["queued"], answer.timestamp / 1000
        found.append(
            Passage(
                total=arrived - close,
                engine=engine,
                sync=made[name] - close,
                queue=queue,
                hub=ended - made[name] - queue - engine,
                settle=arrived - ended,
            )
        )
    return found


def _name(location: str | None) -> str:
    """Of a file, as it lies below the folder of recordings."""
    return (location or "").partition("/audio/")[2]


def send_bulk(lfk: Lfk, folder: Path, count: int) -> None:
    """References to so many recordings on the bulk topic."""
    tones(folder, count, first=1_000_000)
    fresh = lfk.environ
    lfk.environ = {**fresh, "LFK_TOPIC_AUDIO": fresh["LFK_TOPIC_BULK"]}
    ok(lfk("sync", str(folder), "--prefix", BULK, timeout=1800.0))
    lfk.environ = fresh


def measure(folder: Path, engine: str, files: int, backlog: int) -> Measured:
    """One set-up from start to end."""
    source, watched = folder / "source", folder / "watched"
    (tones if engine == "canned" else clips)(source, files)
    for path in source.rglob("*"):
        if path.is_dir():
            (watched / path.relative_to(source)).mkdir(parents=True, exist_ok=True)
    seconds = BACKLOG_JOB_SECONDS if backlog else IDLE_JOB_SECONDS
    with pipeline(folder) as lfk:
        if backlog:
            send_bulk(lfk, folder / BULK, backlog)
        follower = Follower(lfk)
        hub = RunningHub(lfk, folder / "hub", "--workers", "2", LFK_ENGINE=engine, LFK_CANNED_SECONDS=str(seconds))
        try:
            with watching(lfk, watched):
                follower.wait_for({"simple/tiny/first.wav"})
                begun = time.time()
                time.sleep(ALONE_SECONDS if backlog else 0.0)
                between = time.time()
                closed = drop(source, watched, random.Random(7))
                heard = follower.wait_for(set(closed))
                ended = time.time()
            ways = passages(lfk, closed, heard)
        finally:
            hub.stop()
            follower.stop()
    return Measured(
        engine=engine,
        job_seconds=seconds if engine == "canned" else None,
        backlog=backlog,
        files=len(ways),
        overhead=distribution([way.overhead for way in ways]),
        total=distribution([way.total for way in ways]),
        parts={part: distribution([getattr(way, part) for way in ways]) for part in PARTS},
        bulk_alone=follower.bulk_rate(begun, between),
        bulk_meanwhile=follower.bulk_rate(between, ended),
        passages=ways,
    )


def show(one: Measured) -> None:
    """As a reader wants it."""
    print(f"{one.engine}, {one.files} files, " + (f"backlog of {one.backlog}" if one.backlog else "idle hub"))
    rows = {"without engine": one.overhead, "in all": one.total, **one.parts}
    for name, seconds in rows.items():
        print(f"  {name:<15} p50 {seconds.p50:7.3f}  p95 {seconds.p95:7.3f}  p99 {seconds.p99:7.3f} s")
    if one.backlog:
        print(f"  bulk jobs a second: {one.bulk_alone:.2f} alone, {one.bulk_meanwhile:.2f} while fresh files came")
    elif one.overhead.p95 > TARGET_SECONDS:
        print(f"  NOT WELL: the target is {TARGET_SECONDS} s at p95")


def main() -> int:
    """Measure each set-up and show what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="*", default=["canned", "whisperx"], help="on an idle hub")
    parser.add_argument("--files", type=int, default=100, help="fresh files")
    parser.add_argument("--backlog", type=int, default=10_000, help="bulk references; 0 leaves that part out")
    parser.add_argument("--json", type=Path, help="write everything that was measured into this file")
    arguments = parser.parse_args()
    runs = []
    setups = [(engine, 0) for engine in arguments.engines]
    for engine, backlog in [*setups, ("canned", arguments.backlog)] if arguments.backlog else setups:
        with tempfile.TemporaryDirectory(prefix="lfk-latency-") as name:
            runs.append(measure(Path(name), engine, arguments.files, backlog))
        show(runs[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(run) for run in runs]) + "\n", encoding="utf-8")
    return 1 if any(not run.backlog and run.overhead.p95 > TARGET_SECONDS for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
