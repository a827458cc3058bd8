"""One file of half an hour, wall clock: a warm hub on Kafka and S3 beside the ``whisperx`` command on that file."""

from __future__ import annotations

from pathlib import Path

from bench.harness.case import Case, Measured, Size, alternate
from bench.harness.figures import Figure, Round, Target, ratio
from bench.harness.rival import command, whisperx_command
from bench.harness.speech import record, stock, wer
from bench.harness.stand import seconds_of, stand, warm_up

SECONDS = 1800.0
LFK, COMMAND = "lfk, 2 engines", "whisperx command"


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    have = stock()
    turns = size.turns(2)
    long = [max(60.0, SECONDS * size.part)]
    rounds = [record(folder / f"round {turn}", long, have, seed=4, number=turn + 1) for turn in range(turns)]
    said = {recording.path.name: recording.text for recording in rounds[0]}
    heard: dict[str, dict[str, str]] = {}
    absent = [] if command("whisperx") and command("ffmpeg") else ["the whisperx command (needs ffmpeg)"]
    with stand(folder / "stand") as one:
        warm_up(one, folder / "warm", have)
        roots = [one.upload(folder / f"round {turn}", f"round {turn}") for turn in range(turns)]

        def lfk(turn: int) -> Round:
            measured, answers = one.run(roots[turn], 1)
            heard[LFK] = one.texts(answers)
            return measured

        def rival(turn: int) -> Round:
            (folder / f"command {turn}").mkdir()
            measured, text = whisperx_command(rounds[turn][0], folder / f"command {turn}")
            heard[COMMAND] = {rounds[turn][0].path.name: text}
            return measured

        done = alternate({LFK: lfk} if absent else {LFK: lfk, COMMAND: rival}, turns)
    rates = {name: wer(said, texts) * 100 for name, texts in heard.items()}
    figures = []
    if not absent:
        note = "load counted for the command alone"
        figures = [
            ratio("one file of 30 min against the whisperx command", done[LFK], done[COMMAND], Target(1.5), note=note),
            Figure(
                "long file: word error rate less WhisperX's",
                "points",
                [rates[LFK] - rates[COMMAND]],
                Target(0.5, "at most"),
            ),
        ]
    return Measured(
        [*figures, Figure("one file of 30 min, wall", "s", [one.wall for one in done[LFK]])],
        done,
        {
            "model": "tiny.en, int8, beam 5, no alignment",
            "audio": f"one file of {seconds_of(rounds[0]):.0f} s: {have.sources}",
            "clock": "lfk: from the start of `lfk submit` to the announcement; the command: from start to end",
            "load": "not counted for the hub, which is warm; counted for the command, which has no other way",
        },
        absent,
        ["word error rates: " + ", ".join(f"{name} {rate:.1f} %" for name, rate in rates.items())],
    )


CASE = Case("long-file", "one long file", 4.5, run)
