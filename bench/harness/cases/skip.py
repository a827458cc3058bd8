"""How many references a hub answers a second whose transcripts are there already, on a local S3 server."""

from __future__ import annotations

from pathlib import Path

from bench.harness.case import Case, Clock, Measured, Size, say
from bench.harness.figures import Figure, Round, Target
from bench.harness.stand import stand
from bench.pipeline import ok, tone

COUNT = 500


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    count = size.of(COUNT, 50)
    (folder / "audio").mkdir()
    for number in range(count):
        tone(folder / "audio" / f"{number}.wav", number)
    rounds: list[Round] = []
    with stand(folder / "stand", engine="canned") as one:
        root = one.upload(folder / "audio", "audio")
        first, _answers = one.run(root, count)
        say(f"the work itself: {count / first.wall:.0f} jobs a second")
        for _turn in range(size.turns(5)):
            before = len(one.hub.answers)
            with Clock(one.hub.pid) as clock:
                ok(one.lfk("submit", root))
                one.hub.wait_for(before + 1, every=0.001)
                begun = one.hub.heard
                some = len(one.hub.answers) - before
                one.hub.wait_for(before + count, every=0.005)
            answers = one.hub.answers[before:]
            if not all(answer["reused"] for answer in answers):
                raise RuntimeError("some were done anew")
            # From the first answers to the last, so that the start of `lfk submit` is not counted.
            seconds = (one.hub.heard - begun) * count / max(1, count - some)
            rounds.append(Round(seconds, clock.round.processor))
            say(f"{count / seconds:.0f} skips a second")
    return Measured(
        [
            Figure("skips a second", "1/s", [count / one.wall for one in rounds], Target(200)),
            Figure("processor time of a skip, `lfk submit` included", "ms", [_each(one, count) for one in rounds]),
        ],
        {"lfk": rounds},
        {
            "model": "canned engine; the manifest matches, so nothing is fetched",
            "audio": f"{count} recordings of 0.1 s",
            "clock": "from the first answers to the last",
            "load": "not counted: the hub is warm",
        },
    )


def _each(one: Round, count: int) -> float:
    return (one.processor or 0.0) / count * 1000


CASE = Case("skip", "the skip path on local S3", 0.7, run, smoke=0.3)
