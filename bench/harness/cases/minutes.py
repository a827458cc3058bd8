"""Eight files of four minutes through a warm hub on Kafka and S3, beside a warm WhisperX loop."""

from __future__ import annotations

from pathlib import Path

from bench.harness.case import Case, Measured, Size, alternate
from bench.harness.figures import Figure, Round, Target, ratio
from bench.harness.rival import Loop
from bench.harness.speech import record, stock, wer
from bench.harness.stand import seconds_of, stand, warm_up

COUNT, SECONDS = 8, 240.0
LFK, LOOP = "lfk, 2 engines", "WhisperX loop, default threads"


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    have = stock()
    turns = size.turns(2)
    long = [max(20.0, SECONDS * size.part)] * COUNT
    rounds = [record(folder / f"round {turn}", long, have, seed=3, number=turn + 1) for turn in range(turns)]
    heard: dict[str, dict[str, str]] = {}
    with stand(folder / "stand") as one, Loop("whisperx") as rival:
        warm_up(one, folder / "warm", have)
        roots = [one.upload(folder / f"round {turn}", f"round {turn}") for turn in range(turns)]
        rival.run(rounds[0][:1])

        def lfk(turn: int) -> Round:
            measured, answers = one.run(roots[turn], COUNT)
            heard[LFK] = one.texts(answers)
            return measured

        def loop(turn: int) -> Round:
            measured = rival.run(rounds[turn])
            heard[LOOP] = rival.texts
            return measured

        done = alternate({LFK: lfk, LOOP: loop}, turns)
    said = {recording.path.name: recording.text for recording in rounds[0]}
    rates = {name: wer(said, texts) * 100 for name, texts in heard.items()}
    return Measured(
        [
            ratio(f"8 files of 4 min against a {LOOP}", done[LFK], done[LOOP], Target(1.6)),
            Figure(
                "8 files: word error rate less WhisperX's", "points", [rates[LFK] - rates[LOOP]], Target(0.5, "at most")
            ),
        ],
        done,
        {
            "model": "tiny.en, int8, beam 5, no alignment",
            "audio": f"{COUNT} files, {seconds_of(rounds[0]):.0f} s in all: {have.sources}",
            "clock": "lfk: from the start of `lfk submit` to the last announcement; loop: its own time, files on disk",
            "load": "not counted: hub and loop are warm",
        },
        notes=["word error rates: " + ", ".join(f"{name} {rate:.1f} %" for name, rate in rates.items())],
    )


CASE = Case("minutes", "8 files of 4 minutes, end to end", 5.5, run)
