"""How long commands take to start: `lfk --help`, and `lfk sync` of an empty folder, next to Python alone.

Whole processes, alternating, several rounds; medians with the least and the most. Nothing is loaded beforehand but
the disk cache. Run it on an idle machine::

    python -m bench.startup [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

#: What the project promises, in seconds on an idle core.
TARGETS: Mapping[str, float] = {"lfk --help": 0.25, "lfk sync (folder store)": 0.6}


def measure(cases: Mapping[str, Sequence[str]], rounds: int, folder: Path) -> Mapping[str, list[float]]:
    """Wall seconds of each case in each round; the first, uncounted round fills the disk cache."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    environ = {**os.environ, "LFK_STORE": str(folder / "store"), "LFK_STATE_HOME": str(folder / "state")}
    for counted in range(-1, rounds):
        for name, command in cases.items():
            began = time.perf_counter()
            subprocess.run(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, check=True)
            if counted >= 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def main() -> int:
    """Measure and print a table; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    lfk = [sys.executable, "-m", "lfk"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "recordings").mkdir()
        cases = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "lfk --help": [*lfk, "--help"],
            "lfk sync (folder store)": [*lfk, "sync", "recordings"],
        }
        seconds = measure(cases, rounds, folder)
    base = statistics.median(seconds["python -c pass"])
    print("| command | median s | least–most s | over Python alone | target |\n|---|---|---|---|---|\n", end="")
    missed = 0
    for case, times in seconds.items():
        median = statistics.median(times)
        target = TARGETS.get(case)
        missed += target is not None and median > target
        shown = f"< {target} s" if target else "–"
        print(f"| `{case}` | {median:.3f} | {min(times):.3f}–{max(times):.3f} | {median / base:.1f}× | {shown} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
