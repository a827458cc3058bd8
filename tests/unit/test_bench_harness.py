"""The harness's own arithmetic: ratios, targets, the gate, and the report between its marks."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from bench.harness import plot, report, results, smoke
from bench.harness.case import Case, Measured, alternate
from bench.harness.cases import cases
from bench.harness.figures import Figure, Round, Target, ratio


def rounds(*walls: float, processor: float | None = None) -> list[Round]:
    return [Round(wall, processor) for wall in walls]


def test_a_ratio_is_taken_round_by_round_and_its_median_counts() -> None:
    # The machine was three times as slow in the second round, for both.
    found = ratio("x", rounds(1.0, 3.0, 1.0), rounds(2.0, 6.0, 2.5), Target(2.0))
    assert found.rounds == [2.0, 2.0, 2.5]
    assert found.median == 2.0
    assert found.met is True
    assert ratio("x", rounds(1.0), rounds(1.9), Target(2.0)).met is False
    assert ratio("x", rounds(1.0), rounds(1.9)).met is None


def test_a_rival_that_did_a_part_is_scaled_up() -> None:
    found = ratio("x", rounds(10.0, processor=8.0), rounds(3.0, processor=4.0), scale=10.0)
    assert found.median == pytest.approx(3.0)
    assert found.processor == pytest.approx(5.0)


def test_targets_point_both_ways() -> None:
    assert Target(60, "at most").met(60)
    assert not Target(60, "at most").met(61)
    assert Target(200).met(200)
    assert not Target(200).met(199)


def test_sides_take_turns_in_turned_order() -> None:
    order: list[str] = []

    def side(name: str) -> Any:
        return lambda turn: order.append(f"{name}{turn}") or Round(1.0)

    done = alternate({"a": side("a"), "b": side("b")}, 3)
    assert order == ["a0", "b0", "b1", "a1", "a2", "b2"]
    assert [len(one) for one in done.values()] == [3, 3]


def test_every_row_of_the_table_is_a_case_with_a_name_of_its_own() -> None:
    known = cases()
    assert {name for name, case in known.items() if case.growth} == {"growth-jobs", "growth-audio", "growth-hubs"}
    assert sum(case.minutes for case in known.values() if not case.growth) <= 40
    assert any(case.smoke for case in known.values())


def record(name: str, *figures: Figure, curve: Any = None) -> dict[str, Any]:
    case = Case(name, f"title of {name}", 1.0, lambda _folder, _size: Measured([]), growth=curve is not None)
    about = {
        "at": "today",
        "load": {"before": 0.1, "after": 0.2},
        "machine": {"cores": 2, "processor": "a <processor>", "memory_gib": 8, "python": "3"},
    }
    return results.to_record(case, Measured(list(figures), curve=curve, absent=["rclone"]), about)


def test_the_gate_tells_a_clear_loss_from_a_busy_machine() -> None:
    was = record("c", ratio("r", rounds(1.0, processor=1.0), rounds(2.0, processor=2.0)))
    slow = record("c", ratio("r", rounds(2.0, processor=2.0), rounds(2.0, processor=2.0)))
    busy = record("c", ratio("r", rounds(2.0, processor=1.0), rounds(2.0, processor=2.0)))
    assert len(list(smoke.losses(slow, was))) == 1
    assert list(smoke.losses(busy, was)) == []
    assert list(smoke.losses(was, was)) == []
    # Seconds and megabytes have targets, not ratios.
    assert list(smoke.losses(record("c", Figure("s", "s", [1.0])), record("c", Figure("s", "s", [9.0])))) == []


def test_the_report_keeps_what_is_around_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    records = {
        "one": record("one", ratio("a ratio", rounds(1.0, 1.0), rounds(2.0, 3.0), Target(2.0))),
        "two": record("two", Figure("10", "s", [3.0]), curve={"x": "jobs", "y": "s", "points": [[1, 0.5], [1000, 30]]}),
    }
    for _again in range(2):
        report.write(records, ["two", "one", "three"], page, tmp_path / "pictures")
        text = page.read_text(encoding="utf-8")
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "old" not in text
        assert "| a ratio | **2.50×** | 2.00–3.00 | 2 | – | ≥ 2.00× | yes |" in text
        assert "not on that machine: rclone" in text
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"ratios.svg", "two.svg"}
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks"):
        report.write(records, ["one"], page, tmp_path)


def test_pictures_are_well_formed_and_show_every_row() -> None:
    figures = [
        ratio("a < b & c", rounds(1.0), rounds(0.4), Target(2.0)).to_dict(),
        ratio("far", rounds(1.0), rounds(70.0)).to_dict(),
    ]
    drawn = ElementTree.fromstring(plot.bars("title", figures))  # noqa: S314 - drawn above
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b & c", "far", "0.40× (≥ 2)", "70.00×"} <= set(texts)
    ElementTree.fromstring(plot.curve("t", "x", "y", [(1, 0.2), (1000, 90.0)]))  # noqa: S314
