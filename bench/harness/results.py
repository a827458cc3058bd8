"""What has been measured, on disk: one JSON file a case, written as soon as the case is through."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.harness.case import Case, Measured

FOLDER = Path(__file__).resolve().parents[1] / "results" / "harness"


def to_record(case: Case, measured: Measured, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything of one run of a case; ``about`` is where and when."""
    return {
        "case": case.name,
        "title": case.title,
        "growth": case.growth,
        **about,
        "set_up": dict(measured.set_up),
        "figures": [figure.to_dict() for figure in measured.figures],
        "sides": {side: [asdict(one) for one in rounds] for side, rounds in measured.sides.items()},
        "absent": measured.absent,
        "notes": measured.notes,
        "curve": measured.curve,
    }


def keep(record: Mapping[str, Any], folder: Path) -> Path:
    """Write it; what an earlier run said of the case is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record['case']}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def kept(folder: Path) -> dict[str, dict[str, Any]]:
    """All that is recorded, by case."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return {record["case"]: record for record in records}


def today() -> str:
    """For the record."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime()) + " UTC"
