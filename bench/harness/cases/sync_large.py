"""4 files of 1 GiB into a local S3 server: `lfk sync`, rclone, s5cmd; whole commands, and the memory they take."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import psutil

from bench.harness.buckets import NOT_CHECKED, Uploads, files, uploads
from bench.harness.case import Case, Clock, Measured, Size, alternate
from bench.harness.cases.sync_small import TARGETS
from bench.harness.figures import Figure, Round, Target, ratio

COUNT, BYTES = 4, 1 << 30


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    files(folder / "source", COUNT, size.of(BYTES, 64 << 20))
    with uploads(folder / "work", folder / "source") as work:

        def through(way: str, turn: int) -> Round:
            measured = _watched(work, way, f"{way}-{turn}")
            work.forget(f"{way}-{turn}")
            return measured

        sides = {way: (lambda turn, way=way: through(way, turn)) for way in work.ways()}
        done = alternate(sides, size.turns(2))
    memory = [one.more["megabytes"] for one in done["lfk"]]
    return Measured(
        [
            *(
                ratio(f"sync of 4 × 1 GiB against {way}", done["lfk"], done[way], Target(TARGETS[way]))
                for way in done
                if way != "lfk"
            ),
            Figure("memory of that sync, at most", "MB", memory, Target(200, "at most")),
        ],
        done,
        {
            "audio": f"{COUNT} files of {size.of(BYTES, 64 << 20) >> 20} MiB",
            "clock": "whole commands, from start to end; the server's disk is the source's",
            "load": NOT_CHECKED,
        },
        work.absent,
    )


def _watched(work: Uploads, way: str, prefix: str) -> Round:
    """One command, and the most memory that it held."""
    most = 0.0
    with Clock() as clock:
        process = subprocess.Popen(
            work.arguments(way, prefix),
            env=work.environ(prefix),
            cwd=work.lfk.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        over = threading.Event()

        def look() -> None:
            nonlocal most
            while not over.wait(0.1):
                try:
                    most = max(most, psutil.Process(process.pid).memory_info().rss / 1e6)
                except psutil.NoSuchProcess:
                    return

        watch = threading.Thread(target=look)
        watch.start()
        said = process.communicate()[1]
        over.set()
        watch.join()
    if process.returncode:
        raise RuntimeError(f"{way} ended with {process.returncode}: {said[-1000:].decode('utf-8', 'replace')}")
    return Round(clock.round.wall, clock.round.processor, {"megabytes": most})


CASE = Case("sync-large", "sync of 4 × 1 GiB", 2, run)
