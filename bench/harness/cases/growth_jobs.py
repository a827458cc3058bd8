"""How the cost of a job grows with how many wait: 1, 10, 100, 1,000 on one hub with engines that take no time."""

from __future__ import annotations

from pathlib import Path

from bench.harness.case import Case, Measured, Size, say
from bench.harness.figures import Figure
from bench.harness.stand import stand
from bench.pipeline import tone

COUNTS = (1, 10, 100, 1_000)


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    counts = [count for count in COUNTS if count <= size.of(COUNTS[-1])]
    points = []
    used = []
    with stand(folder / "stand", engine="canned") as one:
        for count in (4, *counts):
            source = folder / f"{count} jobs"
            source.mkdir()
            for number in range(count):
                tone(source / f"{number}.wav", count * 10_000 + number)
            measured, _answers = one.run(one.upload(source, f"{count} jobs"), count)
            say(f"{count} jobs: {measured.wall:.2f} s")
            if count in counts:
                points.append((count, measured.wall))
                used.append((measured.processor or 0.0) / count * 1000)
    return Measured(
        [
            Figure(
                f"{count} queued jobs",
                "s",
                [wall],
                note=f"{wall / count * 1000:.0f} ms a job, {each:.0f} ms of processor",
            )
            for (count, wall), each in zip(points, used, strict=True)
        ],
        set_up={"model": "canned engine, 0 s a job; one hub, 2 workers", "clock": "`lfk submit` to last announcement"},
        curve={"x": "queued jobs", "y": "seconds", "points": points},
    )


CASE = Case("growth-jobs", "1 to 1,000 queued jobs", 1.5, run, growth=True)
