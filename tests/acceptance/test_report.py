"""``lfk report`` from outside."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings


def test_what_transcribing_has_taken(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned", LFK_CANNED_SECONDS="0.2")
    expect_ok(lfk("init"))
    assert "| total |" in expect_ok(lfk("report")).out
    make_recordings(tmp_path / "recordings", 2)
    make_recordings(tmp_path / "recordings", 1, "diarisation", "base")
    expect_ok(lfk("sync", "recordings"))
    expect_ok(lfk("hub", "--max-jobs", "3"))
    table = expect_ok(lfk("report", "--price", "0.5", "--currency", "EUR", "--image-bytes", "2G")).out
    assert "cost per audio h (EUR)" in table
    assert "Container image" in table
    as_json = expect_ok(lfk("report", "--json", "--price", "0.5"))
    assert {(one["approach"], one["files"]) for one in as_json.of("line")} == {("simple", 2), ("diarisation", 1)}
    total = as_json.of("summary")[0]
    assert total["files"] == 3
    assert total["engine_hours"] > 0
    assert total["cost"] is not None
    rows = list(csv.DictReader(expect_ok(lfk("report", "--style", "csv")).out.splitlines()))
    assert [row["approach"] for row in rows] == ["diarisation", "simple", "total"]
    assert rows[0]["cost"] == ""
    assert expect_ok(lfk("report", "--from", "end", "--json")).of("summary")[0]["files"] == 0
    assert lfk("report", "--price", "cheap").code == 2
    assert lfk("report", "--store", "nowhere").code == 2
