"""How the cost of a file grows with its length: 10 s to 4 h, one file at a time on a hub with two engines."""

from __future__ import annotations

from pathlib import Path

from bench.harness.case import Case, Measured, Size, say
from bench.harness.figures import Figure
from bench.harness.speech import record, stock
from bench.harness.stand import engine_seconds, stand, warm_up

SECONDS = (10.0, 60.0, 600.0, 3_600.0, 14_400.0)


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    have = stock()
    lengths = [length for length in SECONDS if length <= max(10.0, SECONDS[-1] * size.part)]
    figures, points = [], []
    with stand(folder / "stand") as one:
        warm_up(one, folder / "warm", have)
        for length in lengths:
            name = f"{length:.0f} s"
            (recording,) = record(folder / name, [length], have, seed=9, number=1)
            measured, answers = one.run(one.upload(folder / name, name), 1)
            say(f"{name}: {measured.wall:.1f} s")
            speed = recording.seconds / measured.wall
            note = f"{speed:.0f} × real time; engine's own stages {engine_seconds(answers[0]):.1f} s"
            figures.append(Figure(f"a file of {name}", "s", [measured.wall], note=note))
            points.append((recording.seconds, measured.wall))
    return Measured(
        figures,
        set_up={"model": "tiny.en, int8, no alignment; one hub, 2 engines of 1 thread", "audio": have.sources},
        curve={"x": "seconds of audio", "y": "seconds", "points": points},
    )


CASE = Case("growth-audio", "10 s to 4 h of audio", 14, run, growth=True)
