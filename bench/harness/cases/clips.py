"""100 short clips through a warm hub on Kafka and S3, beside warm loops with no Kafka and no S3, and the command."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bench.harness.case import Case, Measured, Size, alternate, say
from bench.harness.figures import Figure, Round, Target, ratio
from bench.harness.rival import Loop, command, whisperx_command
from bench.harness.speech import Recording, lengths, record, stock, wer
from bench.harness.stand import busy_part, seconds_of, stand, warm_up

COUNT, SHORTEST, LONGEST = 100, 3.0, 15.0
#: The command is run on so many of them a round; it starts anew for each, so more would only take longer.
COMMANDS = 2
#: Batches that the tuned loop is tried with, on one thread; a clip is one region, so they hardly differ.
BATCHES = (1, 8)
LFK = "lfk, 2 engines"
DEFAULT, ONE_THREAD, BATCHED, COMMAND = (
    "WhisperX loop, default threads",
    "WhisperX loop, one thread, best batch",
    "faster-whisper batched, best threads",
    "whisperx command per file",
)


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    have = stock()
    long = lengths(size.of(COUNT, 4), SHORTEST, LONGEST, seed=1)
    heard: dict[str, dict[str, str]] = {}
    busy: list[float] = []
    absent: list[str] = []
    turns = size.turns(2)
    rounds = [record(folder / f"round {turn}", long, have, seed=2, number=turn + 1) for turn in range(turns)]
    said = {one.path.name: one.text for one in rounds[0]}
    with ExitStack() as stack:
        one = stack.enter_context(stand(folder / "stand"))
        warm_up(one, folder / "warm", have)
        roots = [one.upload(folder / f"round {turn}", f"round {turn}") for turn in range(turns)]
        few = rounds[0][: max(2, len(long) // 10)]
        default = stack.enter_context(Loop("whisperx"))
        tuned = stack.enter_context(_best("whisperx", few, [(1, batch) for batch in BATCHES]))
        batched = stack.enter_context(_best("batched", few, [(1, 8), (None, 8)]))

        def lfk(turn: int) -> Round:
            measured, answers = one.run(roots[turn], len(long))
            busy.append(busy_part(answers, one.workers) * 100)
            heard[LFK] = one.texts(answers)
            return measured

        def loop(name: str, rival: Loop, turn: int) -> Round:
            measured = rival.run(rounds[turn])
            heard[name] = rival.texts
            return measured

        sides = {
            LFK: lfk,
            DEFAULT: lambda turn: loop(DEFAULT, default, turn),
            ONE_THREAD: lambda turn: loop(ONE_THREAD, tuned, turn),
            BATCHED: lambda turn: loop(BATCHED, batched, turn),
        }
        if command("whisperx") and command("ffmpeg"):
            sides[COMMAND] = lambda turn: _commands(rounds[turn], folder / f"command {turn}")
        else:
            absent.append("the whisperx command (needs ffmpeg)")
        done = alternate(sides, turns)
    ours = done[LFK]
    figures = [
        ratio(f"100 clips against a {DEFAULT}", ours, done[DEFAULT], Target(2.0)),
        ratio(f"100 clips against a {ONE_THREAD}", ours, done[ONE_THREAD], Target(1.5)),
        ratio(f"100 clips against {BATCHED}", ours, done[BATCHED], Target(1.5)),
    ]
    if COMMAND in done:
        note = f"load counted for the command; {COMMANDS} files a round, times {len(long)}"
        each = len(long) / min(COMMANDS, len(long))
        figures.append(
            ratio(f"100 clips against the {COMMAND}", ours, done[COMMAND], Target(35), scale=each, note=note)
        )
    figures.append(Figure("engines busy while clips wait", "%", busy, Target(95)))
    rates = {name: wer(said, texts) * 100 for name, texts in heard.items()}
    rivals = min(rate for name, rate in rates.items() if name != LFK and name != BATCHED)
    figures.append(
        Figure("100 clips: word error rate less WhisperX's", "points", [rates[LFK] - rivals], Target(0.5, "at most"))
    )
    return Measured(
        figures,
        done,
        {
            "model": "tiny.en, int8, beam 5, no alignment",
            "audio": f"{len(long)} clips of {SHORTEST:g}–{LONGEST:g} s, {seconds_of(rounds[0]):.0f} s in all: "
            + have.sources,
            "clock": "lfk: from the start of `lfk submit` to the last announcement; loops: their own time, from files",
            "load": "not counted for hub and loops, which are warm; counted for the command",
        },
        absent,
        ["word error rates: " + ", ".join(f"{name} {rate:.1f} %" for name, rate in rates.items())],
    )


def _best(library: str, few: list[Recording], ways: list[tuple[int | None, int]]) -> Loop:
    """The quickest of several ways to set up a loop, by a few clips; the others are ended."""
    found: list[tuple[float, Loop]] = []
    for threads, batch in ways:
        loop = Loop(library, threads=threads, batch=batch)
        loop.run(few[:2])
        seconds = loop.run(few).wall
        say(f"{library}: threads {threads or 'default'}, batch {batch}: {seconds:.2f} s for {len(few)} clips")
        found.append((seconds, loop))
    found.sort(key=lambda pair: pair[0])
    for _seconds, loop in found[1:]:
        loop.__exit__()
    return found[0][1]


def _commands(recordings: list[Recording], folder: Path) -> Round:
    folder.mkdir()
    chosen = recordings[:: max(1, len(recordings) // COMMANDS)][:COMMANDS]
    done = [whisperx_command(one, folder)[0] for one in chosen]
    return Round(sum(one.wall for one in done), sum(one.processor or 0.0 for one in done))


CASE = Case("clips", "100 short clips, end to end", 9, run, smoke=0.06)
