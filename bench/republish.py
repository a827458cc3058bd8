"""How fast references are sent to a real Kafka: from a list of locations, and from the listing of a store.

The real command in a process of its own, over recordings of a few bytes in a folder store; nothing transcribes. Each
message is validated, and what has to be is recorded in the store before it is sent. Processor seconds tell what a busy
machine would otherwise hide. The broker comes from LFK_TEST_KAFKA or --kafka; topics are its own and are removed::

    python -m bench.republish [--count 100000] [--kafka HOST:PORT]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka.admin import AdminClient

#: What the project promises for a list, in references per second.
TARGET = 20_000
#: Recordings in one folder.
_FOLDER = 1000


def make_audio(root: Path, count: int) -> list[str]:
    """``count`` tiny files below ``root``; returns their names, one a line for a list."""
    names = []
    for number in range(count):
        name = f"simple/tiny/week{number // _FOLDER:04}/talk{number % _FOLDER:04}.wav"
        path = root / name
        if number % _FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"RIFF%d" % number)
        names.append(name)
    return names


@contextmanager
def topics(kafka: str) -> Iterator[Mapping[str, str]]:
    """Names of topics of this run's own, which are removed behind it."""
    prefix = f"bench{secrets.token_hex(4)}"
    names = {
        f"LFK_TOPIC_{name}": f"{prefix}.{name.lower()}"
        for name in ("AUDIO", "BULK", "CHUNKS", "TRANSCRIPTS", "RETRY", "DLQ")
    }
    yield names
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.delete_topics(list(names.values())).values():
        future.result(30)


def run(environ: Mapping[str, str], folder: Path, *arguments: str) -> tuple[dict[str, object], float, float]:
    """One command: its summary, wall seconds and processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [sys.executable, "-m", "lfk", *arguments, "--json", "-q"]
    done = subprocess.run(command, cwd=folder, env=dict(environ), capture_output=True, text=True, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout.splitlines()[-1]), wall, used


def main() -> int:
    """Measure and print a table; 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--kafka", default=os.environ.get("LFK_TEST_KAFKA", ""))
    options = parser.parse_args()
    if not options.kafka:
        parser.error("no broker: set LFK_TEST_KAFKA or --kafka")
    cases = {
        "list, trusted": ("submit", "--from-file", "list.txt", "--trust"),
        "list, looked up": ("submit", "--from-file", "list.txt"),
        "list, trusted, with an option": ("submit", "--from-file", "list.txt", "--trust", "--option", "language=en"),
        "listing: republish": ("republish",),
        "listing: republish --only missing": ("republish", "--only", "missing"),
    }
    missed = 0
    with tempfile.TemporaryDirectory() as name, topics(options.kafka) as names:
        folder = Path(name)
        keep = {key: value for key, value in os.environ.items() if not key.startswith("LFK_")}
        environ = {**keep, "BOOTSTRAP_SERVERS": options.kafka, "LFK_STORE": str(folder / "store"), **names}
        (folder / "list.txt").write_text("\n".join(make_audio(folder / "store" / "audio", options.count)))
        subprocess.run([sys.executable, "-m", "lfk", "init"], cwd=folder, env=environ, check=True, capture_output=True)
        print("| references from | sent | seconds sending | a second | processor seconds, whole command |")
        print("|---|---|---|---|---|")
        for case, arguments in cases.items():
            summary, _wall, used = run(environ, folder, *arguments)
            sent, seconds = int(str(summary["sent"])), float(str(summary["seconds"]))
            assert sent == options.count, summary
            missed += case == "list, trusted" and sent / seconds < TARGET
            print(f"| {case} | {sent:,} | {seconds:.1f} | {sent / seconds:,.0f} | {used:.1f} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
