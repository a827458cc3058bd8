"""Results of the full runs: one JSON file a row, kept with the code, and the table that docs/RELIABILITY.md shows.

``python -m tests.chaos.results`` writes the table into the page anew. A run takes the place of an earlier one of the
same row and seed, so that single rows can be run again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.chaos.rows import ROWS, Row
from tests.chaos.run import Outcome

_ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).with_name("results")
PAGE = _ROOT / "docs" / "RELIABILITY.md"

#: What stands between these in the page is written from the results.
_BEGIN, _END = "<!-- results: written by `make chaos` -->\n", "<!-- end of results -->\n"
#: Column by count of a verdict, in the order of the table.
_COLUMNS = {
    "lost": "lost",
    "duplicate": "duplicate",
    "torn": "torn",
    "stuck": "stuck",
    "dead_healthy": "healthy dead-lettered",
    "misbehaved": "other",
}


def record(row: Row, outcome: Outcome, seed: int, scale: float) -> None:
    """Keep the outcome of a full run."""
    path = FOLDER / f"{row.name}.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else []
    run = {
        "seed": seed,
        "scale": scale,
        "date": time.strftime("%Y-%m-%d"),
        "faults": outcome.faults,
        "jobs": outcome.jobs,
        "hubs": outcome.hubs,
        "seconds": round(outcome.seconds),
        **outcome.counts,
    }
    runs = sorted([*(other for other in kept if other["seed"] != seed), run], key=lambda one: one["seed"])
    FOLDER.mkdir(exist_ok=True)
    path.write_text(json.dumps({"row": row.name, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    write_page()


def table() -> str:
    """Every row that has results, in Markdown."""
    head = ["fault", "faults", "runs", "jobs", "hubs", *_COLUMNS.values(), "made by"]
    lines = [_line(head), _line(["---", *["--:"] * (len(head) - 2), "---"])]
    return "\n".join([*lines, *_lines()]) + "\n"


def page(text: str) -> str:
    """The page with its table as the results have it."""
    before, _, rest = text.partition(_BEGIN)
    _old, found, after = rest.partition(_END)
    assert found, f"{PAGE} has lost the place of its table"
    return f"{before}{_BEGIN}\n{table()}\n{_END}{after}"


def _lines() -> Iterator[str]:
    for row in ROWS:
        path = FOLDER / f"{row.name}.json"
        if not path.exists():
            continue
        runs: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"]
        sums = [sum(run[name] for run in runs) for name in ("faults", "jobs", "hubs", *_COLUMNS)]
        cells = [f"{count:,}" for count in (sums[0], len(runs), *sums[1:])]
        yield _line([row.title, *cells, f"`{_command(row, runs)}`"])


def _command(row: Row, runs: list[Mapping[str, Any]]) -> str:
    scale = next((f" --scale {run['scale']:g}" for run in runs if run["scale"] != 1), "")
    seed = f" --seed {runs[0]['seed']}" if runs[0]["seed"] != 1 else ""
    return f'make chaos ARGS="-k {row.name}{scale}{seed}"'


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def write_page() -> None:
    """Bring the table of the page up to date; whole at any moment, as rows may be run side by side."""
    fresh = PAGE.with_suffix(f".{os.getpid()}")
    fresh.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    fresh.replace(PAGE)


if __name__ == "__main__":
    write_page()
