"""One file of half an hour, aligned and diarised: a warm hub beside a plain WhisperX script with the same weights."""

from __future__ import annotations

from pathlib import Path

from bench.harness.case import Case, Measured, Size, alternate
from bench.harness.figures import Figure, Round, Target, ratio
from bench.harness.rival import Loop
from bench.harness.speech import record, stock, wer
from bench.harness.stand import seconds_of, stand, warm_up

SECONDS = 1800.0
LFK, SCRIPT = "lfk, 2 engines", "WhisperX script, default threads"


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    have = stock()
    turns = size.turns(1)
    long = [max(60.0, SECONDS * size.part)]
    rounds = [record(folder / f"round {turn}", long, have, seed=5, number=turn + 1) for turn in range(turns)]
    said = {recording.path.name: recording.text for recording in rounds[0]}
    heard: dict[str, dict[str, str]] = {}
    with stand(folder / "stand") as one, Loop("script") as script:
        warm_up(one, folder / "warm", have)
        record(folder / "first", [10.0, 10.0, 10.0], have, seed=6, number=1)
        one.run(one.upload(folder / "first", "first", "diarisation"), 3)
        roots = [one.upload(folder / f"round {turn}", f"round {turn}", "diarisation") for turn in range(turns)]

        def lfk(turn: int) -> Round:
            measured, answers = one.run(roots[turn], 1)
            heard[LFK] = one.texts(answers)
            return measured

        def rival(turn: int) -> Round:
            measured = script.run(rounds[turn])
            heard[SCRIPT] = script.texts
            return measured

        done = alternate({LFK: lfk, SCRIPT: rival}, turns)
    rates = {name: wer(said, texts) * 100 for name, texts in heard.items()}
    return Measured(
        [
            ratio("one file of 30 min, aligned and diarised, against a script", done[LFK], done[SCRIPT], Target(1.5)),
            Figure(
                "long file, diarised: word error rate less WhisperX's",
                "points",
                [rates[LFK] - rates[SCRIPT]],
                Target(0.5, "at most"),
            ),
        ],
        done,
        {
            "model": "tiny.en, int8, beam 5; lfk's aligner and diariser on both sides",
            "audio": f"one file of {seconds_of(rounds[0]):.0f} s: {have.sources}",
            "clock": "lfk: from the start of `lfk submit` to the announcement; script: its own time, file on disk",
            "load": "not counted: hub and script are warm",
        },
        notes=["word error rates: " + ", ".join(f"{name} {rate:.1f} %" for name, rate in rates.items())],
    )


CASE = Case("long-diarised", "one long file, aligned and diarised", 5, run)
