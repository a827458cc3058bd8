"""Memory of the hub itself over 500 jobs."""

from __future__ import annotations

from pathlib import Path

from bench.harness.case import Case, Measured, Size
from bench.harness.figures import Figure, Target
from bench.pipeline import pipeline, tones
from bench.soak import soak

#: Half of them until the hub has found its size, and 500 that count.
COUNT = 1_000
#: MiB over 500 jobs: less than 4 kB a job, which is a page.
GROWTH = 2.0


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    recordings = folder / "recordings"
    tones(recordings, size.of(COUNT, 100))
    with pipeline(folder) as lfk:
        soaked = soak(lfk, folder, recordings, engine="canned", every=0.5, idle=4.0)
    return Measured(
        [
            Figure("memory of the hub's own process, at most", "MiB", [soaked.most["hub"]], Target(120, "at most")),
            Figure(
                "its growth over 500 jobs, once warm",
                "MiB",
                [soaked.hub.halves[1] / 2],
                Target(GROWTH, "at most"),
                note=f"all jobs but the first quarter: {soaked.hub.slope:+.2f} ± {soaked.hub.spread:.2f} per 1,000",
            ),
        ],
        set_up={
            "model": "canned engine, 0 s a job, two workers",
            "audio": f"{soaked.jobs} references, one in fifty of them no message",
            "clock": f"resident memory, {len(soaked.samples)} samples",
        },
        notes=soaked.complaints(),
    )


CASE = Case("memory", "memory of the hub over 500 jobs", 0.7, run)
