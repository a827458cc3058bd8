"""What a second engine brings on two cores: the same clips through a hub with one worker and one with two."""

from __future__ import annotations

from pathlib import Path

from bench.harness.case import Case, Measured, Size, alternate
from bench.harness.figures import Round, Target, ratio
from bench.harness.speech import lengths, record, stock
from bench.harness.stand import Stand, seconds_of, stand, warm_up

COUNT = 30
ONE, TWO = "lfk, 1 worker of 1 thread", "lfk, 2 workers of 1 thread"


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    have = stock()
    turns = size.turns(2)
    long = lengths(size.of(COUNT, 8), 3.0, 15.0, seed=7)
    rounds = [record(folder / f"round {turn}", long, have, seed=8, number=turn + 1) for turn in range(turns)]
    with stand(folder / "one", workers=1) as single, stand(folder / "two") as double:
        for name, one in (("warm one", single), ("warm two", double)):
            warm_up(one, folder / name, have)
        roots = {
            one: [one.upload(folder / f"round {turn}", f"round {turn}") for turn in range(turns)]
            for one in (single, double)
        }

        def through(one: Stand, turn: int) -> Round:
            return one.run(roots[one][turn], len(long))[0]

        done = alternate({ONE: lambda turn: through(single, turn), TWO: lambda turn: through(double, turn)}, turns)
    return Measured(
        [ratio("1 → 2 workers on 2 cores", done[TWO], done[ONE], Target(1.6))],
        done,
        {
            "model": "tiny.en, int8, beam 5, no alignment",
            "audio": f"{len(long)} clips, {seconds_of(rounds[0]):.0f} s in all: {have.sources}",
            "clock": "from the start of `lfk submit` to the last announcement",
            "load": "not counted: both hubs are warm, one of them idle while the other works",
        },
    )


CASE = Case("workers", "1 → 2 workers on 2 cores", 1.8, run, smoke=0.3)
