"""RESULTS.md from what is recorded: the part between two marks is written anew, everything else stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness import plot

BEGIN = "<!-- made by `make bench` from results/harness/*.json: from here -->"
END = "<!-- to here -->"
RESULTS = Path(__file__).resolve().parents[1] / "RESULTS.md"


def write(records: Mapping[str, Mapping[str, Any]], order: Sequence[str], results: Path, pictures: Path) -> None:
    """The table, what each case was measured with, and the pictures.

    Raises:
        ValueError: RESULTS.md has lost its marks.
    """
    text = results.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{results.name} lacks the lines {BEGIN} and {END}")
    chosen = [records[name] for name in order if name in records]
    pictures.mkdir(parents=True, exist_ok=True)
    ratios = [figure for record in chosen for figure in record["figures"] if figure["unit"] == "×"]
    if ratios:
        (pictures / "ratios.svg").write_text(plot.bars("lfk beside what people would run instead", ratios), "utf-8")
    for record in chosen:
        if record["curve"]:
            named = record["curve"]
            drawn = plot.curve(record["title"], named["x"], named["y"], named["points"])
            (pictures / f"{record['case']}.svg").write_text(drawn, "utf-8")
    results.write_text(f"{before}{BEGIN}\n\n{_body(chosen)}\n{END}{after}", encoding="utf-8")


def _body(records: Sequence[Mapping[str, Any]]) -> str:
    parts = [_table([record for record in records if not record["growth"]])]
    parts.append("![ratios](results/harness/ratios.svg)")
    for record in records:
        if record["growth"]:
            parts.append(f"### How cost grows: {record['title']}\n\n{_growth(record)}")
            parts.append(f"![{record['title']}](results/harness/{record['case']}.svg)")
    parts.append("### What each case was measured with\n\n" + "\n".join(_set_up(record) for record in records))
    return "\n\n".join(parts) + "\n"


def _table(records: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| case | measured | least–most | rounds | by processor time | target | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for record in records:
        for figure in record["figures"]:
            unit = figure["unit"]
            spread = f"{number(figure['least'])}–{number(figure['most'])}" if len(figure["rounds"]) > 1 else "–"
            used = f"{figure['processor']:.2f}×" if figure["processor"] else "–"
            lines.append(
                f"| {figure['name']} | **{with_unit(figure['median'], unit)}** | {spread} | {len(figure['rounds'])} "
                f"| {used} | {target(figure)} | {_met(figure)} |"
            )
    return "\n".join(lines)


def _growth(record: Mapping[str, Any]) -> str:
    lines = [f"| {record['curve']['x']} | measured | |", "|---|---|---|"]
    lines += [
        f"| {figure['name']} | {with_unit(figure['median'], figure['unit'])} | {figure['note']} |"
        for figure in record["figures"]
    ]
    return "\n".join(lines)


def _set_up(record: Mapping[str, Any]) -> str:
    said = [f"{name}: {value}" for name, value in record["set_up"].items()]
    said.append(
        f"taken {record['at']}, load average {record['load']['before']} before and {record['load']['after']} after"
    )
    said += [
        f"{figure['name']}: {figure['note']}" for figure in record["figures"] if figure["note"] and not record["growth"]
    ]
    said += [f"not on that machine: {name}" for name in record["absent"]]
    said += record["notes"]
    where = record["machine"]
    said.append(
        f"{where['cores']} cores of {where['processor']}, {where['memory_gib']:g} GiB, Python {where['python']}"
    )
    return f"- **{record['case']}** — " + "; ".join(said) + "."


def target(figure: Mapping[str, Any]) -> str:
    if not figure["target"]:
        return "–"
    sign = "≥" if figure["target"]["direction"] == "at least" else "≤"
    return f"{sign} {with_unit(figure['target']['value'], figure['unit'])}"


def _met(figure: Mapping[str, Any]) -> str:
    return {True: "yes", False: "**no**", None: "–"}[figure["met"]]


def with_unit(value: float, unit: str) -> str:
    """A value as people write it."""
    return f"{number(value)}{unit}" if unit in ("×", "%") else f"{number(value)} {unit}"


def number(value: float) -> str:
    """Three digits that mean something."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
