"""What a second engine brings on two cores: the same clips through a hub with one worker and one with two.

Beside it what the two cores themselves allow: a bare WhisperX loop of one thread, and two of them at once.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.harness.case import Case, Clock, Measured, Size, alternate
from bench.harness.figures import Round, Target, ratio
from bench.harness.rival import Loop
from bench.harness.speech import Recording, lengths, record, stock
from bench.harness.stand import Stand, seconds_of, stand, warm_up

COUNT = 30
ONE, TWO = "lfk, 1 worker of 1 thread", "lfk, 2 workers of 1 thread"
BARE_ONE, BARE_TWO = "a WhisperX loop of 1 thread", "two WhisperX loops of 1 thread at once"


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    have = stock()
    turns = size.turns(2)
    long = lengths(size.of(COUNT, 8), 3.0, 15.0, seed=7)
    rounds = [record(folder / f"round {turn}", long, have, seed=8, number=turn + 1) for turn in range(turns)]
    with contextlib.ExitStack() as stack:
        single = stack.enter_context(stand(folder / "one", workers=1))
        double = stack.enter_context(stand(folder / "two"))
        loops = [stack.enter_context(Loop("whisperx", threads=1)) for _ in range(2)]
        for name, one in (("warm one", single), ("warm two", double)):
            warm_up(one, folder / name, have)
        roots = {
            one: [one.upload(folder / f"round {turn}", f"round {turn}") for turn in range(turns)]
            for one in (single, double)
        }

        def through(one: Stand, turn: int) -> Round:
            return one.run(roots[one][turn], len(long))[0]

        for loop in loops:
            loop.run(rounds[0][:2])
        done = alternate(
            {
                ONE: lambda turn: through(single, turn),
                TWO: lambda turn: through(double, turn),
                BARE_ONE: lambda turn: loops[0].run(rounds[turn]),
                BARE_TWO: lambda turn: _at_once(loops, rounds[turn]),
            },
            turns,
        )
    return Measured(
        [
            ratio("1 → 2 workers on 2 cores", done[TWO], done[ONE], Target(1.6)),
            ratio("1 → 2 bare WhisperX loops on the same cores", done[BARE_TWO], done[BARE_ONE]),
        ],
        done,
        {
            "model": "tiny.en, int8, beam 5, no alignment",
            "audio": f"{len(long)} clips, {seconds_of(rounds[0]):.0f} s in all: {have.sources}",
            "clock": "from the start of `lfk submit` to the last announcement",
            "load": "not counted: hubs and loops are warm; those whose turn it is not are idle",
        },
    )


def _at_once(loops: list[Loop], recordings: list[Recording]) -> Round:
    """Each hears its share of the recordings."""
    with Clock() as clock, ThreadPoolExecutor(len(loops)) as pool:
        shares = [recordings[place :: len(loops)] for place in range(len(loops))]
        parts = list(pool.map(lambda one: one[0].run(one[1]), zip(loops, shares, strict=True)))
    return Round(clock.round.wall, sum(part.processor or 0.0 for part in parts))


CASE = Case("workers", "1 → 2 workers on 2 cores", 3.5, run)
