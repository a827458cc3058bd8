"""A second sync of 20,000 files of which none has changed: `lfk sync`, rclone; whole commands."""

from __future__ import annotations

from pathlib import Path

from bench.harness.buckets import files, uploads
from bench.harness.case import Case, Measured, Size, alternate, say
from bench.harness.figures import Target, ratio

COUNT, BYTES = 20_000, 1_024


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    count = size.of(COUNT, 200)
    files(folder / "source", count, BYTES)
    with uploads(folder / "work", folder / "source") as work:
        ways = [way for way in work.ways() if way != "s5cmd"]
        for way in ways:
            first = work.run(way, way)
            say(f"first time: {way}: {first.wall:.1f} s")
        done = alternate({way: (lambda _turn, way=way: work.run(way, way)) for way in ways}, size.turns(3))
    return Measured(
        [
            ratio("second sync, 20,000 files unchanged, against rclone", done["lfk"], done[way], Target(1.0))
            for way in done
            if way != "lfk"
        ],
        done,
        {
            "audio": f"{count} files of 1 KiB, twenty folders",
            "clock": "whole commands, from start to end, after a first run that is not counted",
            "load": "each remembers in its own way: lfk by its state file and a listing, rclone by a listing",
        },
        [name for name in work.absent if name != "s5cmd"],
    )


CASE = Case("resync", "second sync, nothing changed, 20,000 files", 2.3, run, smoke=0.05)
