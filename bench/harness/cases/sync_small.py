"""2,000 files of 256 KiB into a local S3 server: `lfk sync`, rclone, s5cmd; whole commands."""

from __future__ import annotations

from pathlib import Path

from bench.harness.buckets import NOT_CHECKED, files, uploads
from bench.harness.case import Case, Measured, Size, alternate
from bench.harness.figures import Target, ratio

COUNT, BYTES = 2_000, 256 << 10
TARGETS = {"rclone": 1.0, "s5cmd": 0.9}


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    count = size.of(COUNT, 50)
    files(folder / "source", count, BYTES)
    with uploads(folder / "work", folder / "source") as work:
        sides = {way: (lambda turn, way=way: work.run(way, f"{way}-{turn}")) for way in work.ways()}
        done = alternate(sides, size.turns(5))
    return Measured(
        [
            ratio(f"sync of 2,000 × 256 KiB against {way}", done["lfk"], done[way], Target(TARGETS[way]))
            for way in done
            if way != "lfk"
        ],
        done,
        {
            "audio": f"{count} files of random bytes, 256 KiB each",
            "clock": "whole commands, from start to end",
            "load": NOT_CHECKED,
        },
        work.absent,
    )


CASE = Case("sync-small", "sync of 2,000 × 256 KiB", 1, run, smoke=0.25)
