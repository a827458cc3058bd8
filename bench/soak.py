"""A day's work for one hub, compressed: does anything grow that should not?

    python -m bench.soak                                  # 5,000 jobs of the canned engine, then 200 of the real one
    python -m bench.soak --canned 20000 --real 0

One hub with two engines on a real Kafka and a real S3 server works through that many recordings of different content
in all approaches; one reference in fifty is no message at all. Every few seconds what the hub holds is looked at:
memory of the hub and of its engines, open files, threads, child processes, files in scratch. Afterwards the hub waits
with nothing to do, is looked at again, and is told to stop: no process and no temporary file may be left.

Growth is a least-squares line through the memory after a warm-up, in MiB per 1,000 jobs, with twice its standard error;
as neighbouring samples are alike, the lines through both halves are given, too. The exit status is 1 if anything is
left over, or if open files, threads, processes or scratch files have grown.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Producer

from bench.pipeline import RunningHub, ok, pipeline, tones
from tests.acceptance.command import Lfk

SPEECH = Path(__file__).resolve().parents[1] / "lfk" / "demo" / "speech"
SAMPLE_SECONDS = 2.0
#: A hub that has nothing to do is looked at after so long: engines give memory back, connections are let go.
IDLE_SECONDS = 12.0
#: This part of the jobs is warm-up: caches, pools and the allocator find their size.
WARM_UP = 0.25
#: One reference in so many is not a message at all.
BAD_ONE_IN = 50
#: Samples that are kept on record for each run.
KEPT_SAMPLES = 100
#: Open files may differ by what is under way when a sample is taken: connections to store and broker come and go.
FILES_SLACK = 8


@dataclass(frozen=True)
class Sample:
    """What a hub holds at one moment. Memory in MiB, resident."""

    seconds: float
    jobs: int
    hub: float
    engines: float
    files: int
    threads: int
    processes: int
    #: Files that jobs have in scratch, and others: libraries of engines leave some as long as they run.
    scratch: int
    others: int


@dataclass(frozen=True)
class Growth:
    """MiB per 1,000 jobs: the line through all samples, twice its standard error, and the lines through both halves."""

    slope: float
    spread: float
    halves: tuple[float, float]
    most: float


@dataclass(frozen=True)
class Soaked:
    """What a run has shown."""

    engine: str
    jobs: int
    done: int
    failed: int
    seconds: float
    hub: Growth
    engines: Growth | None
    #: When the warm-up was over, the most at any time, and idle after the last job.
    warm: Sample
    most: Mapping[str, float]
    idle: Sample
    status: int
    processes_left: Sequence[int]
    files_left: Sequence[str]
    samples: Sequence[Sample]

    def complaints(self) -> list[str]:
        """What is not as it should be."""
        said = []
        if self.done + self.failed != self.jobs or self.failed != self.jobs // BAD_ONE_IN:
            said.append(f"{self.jobs} references, {self.done} done, {self.failed} failed")
        if self.status not in (0, 1):
            said.append(f"the hub ended with {self.status}")
        if self.processes_left or self.files_left:
            said.append(f"left over: processes {list(self.processes_left)}, files {list(self.files_left)}")
        for name, slack in (("files", FILES_SLACK), ("threads", 0), ("processes", 0), ("others", 0)):
            before, after = getattr(self.warm, name), getattr(self.idle, name)
            if after > before + slack:
                said.append(f"{name}: {before} after the warm-up, {after} idle at the end")
        if self.idle.scratch:
            said.append(f"{self.idle.scratch} files in scratch of an idle hub")
        return said


def line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Slope of the least-squares line and its standard error; infinite where there are too few points for one."""
    if len(xs) < 3 or len(set(xs)) < 2:
        return 0.0, math.inf
    slope, intercept = statistics.linear_regression(xs, ys)
    middle = statistics.fmean(xs)
    residual = sum((y - intercept - slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    return slope, math.sqrt(residual / (len(xs) - 2) / sum((x - middle) ** 2 for x in xs))


def growth(samples: Sequence[Sample], memory: Callable[[Sample], float]) -> Growth:
    """Of the samples after the warm-up."""

    def through(some: Sequence[Sample]) -> tuple[float, float]:
        return line([sample.jobs / 1000 for sample in some], [memory(sample) for sample in some])

    slope, error = through(samples)
    half = len(samples) // 2
    halves = through(samples[:half])[0], through(samples[half:])[0]
    return Growth(slope, 2 * error, halves, max(map(memory, samples), default=0.0))


class Watch:
    """Looks at a hub every few seconds."""

    def __init__(self, hub: RunningHub, every: float) -> None:
        self._hub = hub
        self._every = every
        self._process = psutil.Process(hub.pid)
        self._begun = time.monotonic()
        self._over = threading.Event()
        self.samples: list[Sample] = []
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def sample(self) -> Sample:
        """How things are now."""
        children = self._process.children(recursive=True)
        in_scratch = remains(self._hub.temporary / "scratch")
        return Sample(
            seconds=round(time.monotonic() - self._begun, 2),
            jobs=len(self._hub.answers),
            hub=_mebibytes([self._process]),
            engines=_mebibytes(children),
            files=self._process.num_fds(),
            threads=self._process.num_threads(),
            processes=len(children),
            scratch=len(in_scratch),
            others=len(remains(self._hub.temporary)) - len(in_scratch),
        )

    def _look(self) -> None:
        while not self._over.wait(self._every):
            try:
                self.samples.append(self.sample())
            except psutil.NoSuchProcess:
                return


def _mebibytes(processes: Iterable[psutil.Process]) -> float:
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return round(total / (1 << 20), 2)


def remains(temporary: Path) -> list[str]:
    """Files below a hub's temporary folder, except the lock that says whose it is."""
    return [
        str(Path(folder, name)) for folder, _folders, names in os.walk(temporary) for name in names if name != "lock"
    ]


def soak(
    lfk: Lfk, folder: Path, recordings: Path, *, engine: str, every: float = SAMPLE_SECONDS, idle: float = IDLE_SECONDS
) -> Soaked:
    """Send all recordings below a folder and watch one hub with two engines work through them."""
    files = sum(path.is_file() for path in recordings.rglob("*"))
    ok(lfk("sync", str(recordings), timeout=1800.0))
    bad = round(files / (BAD_ONE_IN - 1))
    send_nonsense(lfk, bad)
    jobs = files + bad
    hub = RunningHub(lfk, folder / f"hub-{engine}", "--workers", "2", LFK_ENGINE=engine, LFK_CANNED_SECONDS="0")
    watch = Watch(hub, every)
    begun = time.monotonic()
    try:
        hub.wait_for(jobs)
        seconds = time.monotonic() - begun
        time.sleep(idle)
        watch.stop()
        last = watch.sample()
    finally:
        status, processes = hub.stop()
    samples = [sample for sample in watch.samples if sample.jobs >= jobs * WARM_UP]
    working = [sample for sample in samples if sample.jobs < jobs]
    names = ("hub", "engines", "files", "threads", "processes", "scratch", "others")
    return Soaked(
        engine=engine,
        jobs=jobs,
        done=sum(answer["status"] == "done" for answer in hub.answers),
        failed=sum(answer["status"] == "failed" for answer in hub.answers),
        seconds=round(seconds, 1),
        hub=growth(working, lambda sample: sample.hub),
        engines=growth(working, lambda sample: sample.engines) if any(s.processes for s in working) else None,
        warm=samples[0],
        most={name: max(getattr(sample, name) for sample in watch.samples) for name in names},
        idle=last,
        status=status,
        processes_left=processes,
        files_left=[*remains(hub.temporary), *map(str, (hub.temporary / "scratch").glob("*"))],
        samples=watch.samples,
    )


def send_nonsense(lfk: Lfk, count: int) -> None:
    """Records on the topic of audio that are no references."""
    producer = Producer({"bootstrap.servers": lfk.environ["BOOTSTRAP_SERVERS"]})
    for number in range(count):
        producer.produce(lfk.environ["LFK_TOPIC_AUDIO"], f"nonsense {number}", f"key {number}")
    producer.flush(30)


def clips(folder: Path, count: int) -> None:
    """Human speech in pieces of 3 to 6 s, no two the same, in four containers and all approaches."""
    from lfk.engine.media import decode

    with tempfile.TemporaryDirectory() as scratch:
        speech = [decode(path, Path(scratch), 3600.0).samples.copy() for path in sorted(SPEECH.glob("*.flac"))]
    for number in range(count):
        samples = speech[number % len(speech)]
        length = (48_000, 64_000, 96_000)[number % 3]
        begin = number * 1_237 % (len(samples) - length)
        approach = ("simple", "segmentation", "simple", "diarisation")[number % 4]
        suffix, codec = (("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame"), ("ogg", "libopus"))[number % 4]
        target = folder / approach / "tiny.en"
        target.mkdir(parents=True, exist_ok=True)
        _encode(target / f"{number:05d}.{suffix}", codec, samples[begin : begin + length])


def _encode(path: Path, codec: str, samples: Any) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        track: Any = container.add_stream(codec, rate=16_000, layout="mono")
        whole = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
        resampler = av.AudioResampler(track.codec_context.format, "mono", track.codec_context.rate)
        waiting = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(whole.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        for one in (*resampler.resample(frame), *resampler.resample(None)):
            waiting.write(one)
        size = track.codec_context.frame_size or 4096
        for ready in (*waiting.read_many(size), *filter(None, [waiting.read(0, partial=True)])):
            container.mux(track.encode(ready))
        container.mux(track.encode(None))


def thinned(run: Soaked) -> Soaked:
    """With fewer samples: enough to draw a line."""
    step = max(1, len(run.samples) // KEPT_SAMPLES)
    return replace(run, samples=run.samples[::step])


def show(run: Soaked) -> None:
    """As a reader wants it."""
    print(f"{run.engine}: {run.jobs} jobs in {run.seconds:.0f} s ({run.jobs / run.seconds:.1f} a second)")
    for name, grown in (("hub", run.hub), ("engines", run.engines)):
        if grown is not None:
            halves = " then ".join(f"{half:+.2f}" for half in grown.halves)
            print(
                f"  {name:<8} {grown.slope:+.2f} ± {grown.spread:.2f} MiB per 1,000 jobs ({halves}); "
                f"{getattr(run.warm, name):.0f} warm, {grown.most:.0f} most, {getattr(run.idle, name):.0f} idle"
            )
    for name in ("files", "threads", "processes", "scratch", "others"):
        print(f"  {name:<9} {getattr(run.warm, name)} warm, {run.most[name]:.0f} most, {getattr(run.idle, name)} idle")
    print(f"  left over: {len(run.processes_left)} processes, {len(run.files_left)} files")
    for complaint in run.complaints():
        print(f"  NOT WELL: {complaint}")


def main() -> int:
    """Soak with each engine and show what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canned", type=int, default=5000, help="recordings for the canned engine")
    parser.add_argument("--real", type=int, default=200, help="recordings for the real engine")
    parser.add_argument("--json", type=Path, help="write everything that was measured into this file")
    arguments = parser.parse_args()
    runs = []
    for engine, count, make in (("canned", arguments.canned, tones), ("whisperx", arguments.real, clips)):
        if count:
            with tempfile.TemporaryDirectory(prefix="lfk-soak-") as name, pipeline(Path(name)) as lfk:
                recordings = Path(name) / "recordings"
                make(recordings, count)
                runs.append(soak(lfk, Path(name), recordings, engine=engine))
            show(runs[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(thinned(run)) for run in runs]) + "\n", encoding="utf-8")
    return 1 if any(run.complaints() for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
