"""See the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import harness
from bench.harness import report, results, smoke
from bench.harness.case import Case, Size, say
from bench.harness.cases import cases
from bench.harness.machine import load, machine

#: Ratios at the sizes of the gate.
SMOKE_FOLDER = results.FOLDER / "smoke"


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 if a case failed, a target was missed, or the gate found a loss."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.harness",
        description=harness.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = cases()
    parser.add_argument("--case", nargs="+", metavar="NAME", choices=list(known), help="these alone")
    parser.add_argument("--growth", action="store_true", help="how cost grows, instead of the target table")
    parser.add_argument("--smoke", action="store_true", help="small sizes, held against what is recorded")
    parser.add_argument("--record", action="store_true", help="with --smoke: record its ratios instead")
    parser.add_argument("--rounds", type=int, help="turns of each side, instead of what each case thinks best")
    parser.add_argument("--part", type=float, default=1.0, help="this part of the full size, to try a case out")
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="where results go")
    parser.add_argument("--list", action="store_true", help="the cases, and about how many minutes each takes")
    parser.add_argument("--report", action="store_true", help="write RESULTS.md and its pictures and measure nothing")
    options = parser.parse_args(argv)
    if options.list:
        for case in known.values():
            print(f"{case.name:<15} {case.minutes:5.1f} min  {case.title}{' (growth)' if case.growth else ''}")
        return 0
    if options.report:
        _report(known)
        return 0
    if options.smoke:
        return _smoke([case for case in known.values() if case.smoke], record=options.record)
    chosen = [
        case
        for case in known.values()
        if (case.name in options.case if options.case else case.growth == options.growth)
    ]
    size = Size(options.part, options.rounds)
    failed = 0
    for case in chosen:
        record = _run(case, size)
        if record is None:
            failed += 1
            continue
        results.keep(record, options.out)
        if options.out == results.FOLDER and size.part == 1.0:
            _report(known)
    return 1 if failed else 0


def _run(case: Case, size: Size) -> dict[str, Any] | None:
    """One case; None if it failed, which costs no other case its turn."""
    print(f"{case.name}: {case.title} (about {case.minutes * size.part:.1f} min)", flush=True)
    before, began = load(), time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="lfk-bench-") as folder:
            measured = case.run(Path(folder), size)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other cases are to be measured
        traceback.print_exc()
        print(f"  FAILED: {error}", flush=True)
        return None
    about = {
        "at": results.today(),
        "part": size.part,
        "minutes": round((time.monotonic() - began) / 60, 2),
        "machine": machine(),
        "load": {"before": before, "after": load()},
    }
    record = results.to_record(case, measured, about)
    for figure in record["figures"]:
        shown, target = report.with_unit(figure["median"], figure["unit"]), report.target(figure)
        verdict = {True: "met", False: "MISSED", None: ""}[figure["met"]]
        say(f"{figure['name']}: {shown} {target} {verdict} {figure['note']}")
    for note in (*record["notes"], *(f"not here: {name}" for name in record["absent"])):
        say(note)
    return record


def _smoke(chosen: Sequence[Case], *, record: bool) -> int:
    """The gate; with ``record`` its measure is taken anew."""
    recorded = results.kept(SMOKE_FOLDER)
    found: list[str] = []
    for case in chosen:
        now = _run(case, Size(case.smoke, 1))
        if now is None:
            found.append(f"{case.name}: failed")
        elif record:
            results.keep(now, SMOKE_FOLDER)
        elif case.name in recorded:
            found += smoke.losses(now, recorded[case.name])
        else:
            found.append(f"{case.name}: nothing is recorded; run with --smoke --record once")
    for loss in found:
        print(f"LOSS: {loss}")
    print("no clear loss" if not found else f"{len(found)} losses")
    return 1 if found else 0


def _report(known: dict[str, Case] | Any) -> None:
    report.write(results.kept(results.FOLDER), list(known), report.RESULTS, results.FOLDER)


if __name__ == "__main__":
    sys.exit(main())
