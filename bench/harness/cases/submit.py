"""References to a real Kafka: `lfk submit` from a list, `lfk republish` from a listing, beside a bare producer loop."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench import republish
from bench.harness.case import Case, Clock, Measured, Size, alternate
from bench.harness.figures import Figure, Round, Target, ratio
from bench.harness.stand import kafka

COUNT = 100_000
LIST, LISTING, LOOP = "lfk submit, trusted list", "lfk republish, listing of a folder store", "bare producer loop"


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    count = size.of(COUNT, 2_000)
    with kafka(folder) as bootstrap, republish.topics(bootstrap) as names:
        environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("LFK_")},
            "BOOTSTRAP_SERVERS": bootstrap,
            "LFK_STORE": str(folder / "store"),
            **names,
        }
        listing = folder / "list.txt"
        listing.write_text("\n".join(republish.make_audio(folder / "store" / "audio", count)))
        subprocess.run([sys.executable, "-m", "lfk", "init"], cwd=folder, env=environ, check=True, capture_output=True)

        def lfk(*arguments: str) -> Round:
            summary, _wall, used = republish.run(environ, folder, *arguments)
            if summary["sent"] != count:
                raise RuntimeError(f"{summary['sent']} of {count} were sent")
            return Round(float(str(summary["seconds"])), used)

        def loop(_turn: int) -> Round:
            command = [sys.executable, "-m", "bench.harness.rivals.producer", bootstrap, names["LFK_TOPIC_AUDIO"]]
            with Clock() as clock:
                done = subprocess.run([*command, str(listing)], capture_output=True, text=True, check=True)
            return Round(float(done.stdout), clock.round.processor)

        done = alternate(
            {
                LIST: lambda _turn: lfk("submit", "--from-file", "list.txt", "--trust"),
                LISTING: lambda _turn: lfk("republish"),
                LOOP: loop,
            },
            size.turns(3),
        )
    rates = {side: [count / one.wall for one in rounds] for side, rounds in done.items()}
    return Measured(
        [
            Figure("references a second from a list, validated", "1/s", rates[LIST], Target(20_000)),
            Figure("references a second republished from a listing", "1/s", rates[LISTING], Target(20_000)),
            ratio("submit against a bare producer loop", done[LIST], done[LOOP]),
        ],
        done,
        {
            "audio": f"{count} recordings of a few bytes in a folder store",
            "clock": "from the first reference to the last that Kafka has confirmed, as the command's summary says",
            "load": "start of the commands not counted; their processor time is",
        },
    )


CASE = Case("submit", "submit from a list, republish from a listing", 1.2, run, smoke=0.1)
