"""1 to 12 hubs on one real Kafka and one S3 server, with engines that wait and compute nothing: what gives in first?"""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

from bench.harness.case import Case, Clock, Measured, Size, say
from bench.harness.figures import Figure
from bench.harness.stand import MODEL
from bench.pipeline import RunningHub, ok, pipeline, tone

HUBS = (1, 2, 4, 8, 12)
WORKERS = 4
#: What a job takes the canned engine.
JOB_SECONDS = 1.0
JOBS_A_WORKER = 12
PARTITIONS = 4 * WORKERS * max(HUBS)


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    points, figures = [], []
    for hubs in [count for count in HUBS if count <= size.of(max(HUBS))]:
        rate, busy, own = _with(folder / f"{hubs} hubs", hubs, size.of(JOBS_A_WORKER, 3))
        ideal = hubs * WORKERS / JOB_SECONDS
        note = f"{rate / ideal:.0%} of what their engines could do; the machine {busy:.0%} busy, hubs {own:.0%} of that"
        say(f"{hubs} hubs: {rate:.1f} jobs a second, {note}")
        figures.append(Figure(f"{hubs} hubs of {WORKERS} workers", "jobs/s", [rate], note=note))
        points.append((hubs, rate))
    return Measured(
        figures,
        set_up={
            "model": f"canned engine, {JOB_SECONDS:g} s a job; {WORKERS} workers a hub, {PARTITIONS} partitions",
            "clock": "from the first announcement to the last, all hubs started and the group shared out",
        },
        curve={"x": "hubs", "y": "jobs a second", "points": points},
    )


def _with(folder: Path, count: int, jobs_each: int) -> tuple[float, float, float]:
    """Jobs a second, the part of the machine that is busy meanwhile, and the part of that which hubs take."""
    folder.mkdir()
    jobs = count * WORKERS * jobs_each
    source = folder / "recordings" / "simple" / MODEL
    source.mkdir(parents=True)
    for number in range(jobs + 8 * count):
        tone(source / f"{number}.wav", number)
    with pipeline(folder, LFK_PARTITIONS=str(PARTITIONS)) as lfk:
        settings = {"LFK_ENGINE": "canned", "LFK_CANNED_SECONDS": str(JOB_SECONDS)}
        hubs = [
            RunningHub(lfk, folder / f"hub {number}", "--workers", str(WORKERS), **settings) for number in range(count)
        ]
        try:
            ok(lfk("sync", str(folder / "recordings"), timeout=600.0))
            begun = time.perf_counter()
            cores = os.cpu_count() or 1
            before = _answers(hubs)
            with Clock(*(hub.pid for hub in hubs)) as clock:
                total = psutil.cpu_times()
                while (now := _answers(hubs)) < jobs:
                    if time.perf_counter() - begun > 600:
                        raise RuntimeError(f"{now} of {jobs} after 600 s")
                    time.sleep(0.05)
            after = psutil.cpu_times()
        finally:
            for hub in hubs:
                hub.stop()
    busy = (sum(after) - after.idle - after.iowait) - (sum(total) - total.idle - total.iowait)
    wall = clock.round.wall
    return (jobs - before) / wall, busy / wall / cores, (clock.round.processor or 0.0) / max(busy, 1e-9)


def _answers(hubs: list[RunningHub]) -> int:
    return sum(len(hub.answers) for hub in hubs)


CASE = Case("growth-hubs", "1 to 12 hubs with the canned engine", 6, run, growth=True)
