"""The report's sums, and how they are written."""

from __future__ import annotations

import csv
from typing import Any

from lfk.core.messages import Announcement
from lfk.core.report import COLUMNS, Tally, as_csv, as_markdown


def announcement(job: str, pair: str = "simple.base", **more: Any) -> Announcement:
    told: dict[str, Any] = {
        "duration": 3600.0,
        "timings": {"decode": 10.0, "transcribe": 80.0, "fetch": 999.0},
        "provenance": {"engine": "whisperx", "model": "base", "device": "cpu"},
        **more,
    }
    return Announcement(f"e-{job}", "done", 1, job_id=job, transcription_approach=pair, **told)


def test_sums_by_approach_and_model() -> None:
    tally = Tally({"base": 145_000_000}.get)
    tally.take(announcement("a"))
    tally.take(announcement("b", timings={"transcribe": 90.0, "align": 20.0}))
    tally.take(announcement("c", "diarisation.tiny", provenance={"engine": "whisperx", "model": "tiny.en"}))
    diarised, simple, total = tally.lines()
    assert (diarised.approach, diarised.model, diarised.model_bytes) == ("diarisation", "tiny.en", None)
    assert (simple.files, simple.audio, simple.wall, simple.model_bytes) == (2, 7200.0, 200.0, 145_000_000)
    assert simple.rtfx == 36.0
    assert (total.files, total.audio, total.wall) == (3, 10800.0, 290.0)
    cells = simple.cells(price=1.8)
    assert cells["cost"] == 0.1
    assert cells["cost_per_audio_hour"] == 0.05
    assert simple.cells(price=0)["cost"] is None


def test_work_that_files_share_is_counted_once() -> None:
    tally = Tally(lambda _model: None)
    tally.take(announcement("same"))
    tally.take(announcement("same"))
    line, _total = tally.lines()
    assert (line.files, line.audio, line.wall, line.rtfx) == (2, 7200.0, 90.0, 40.0)


def test_transcripts_that_tell_little() -> None:
    tally = Tally(lambda _model: None)
    tally.take(Announcement("e", "done", 1))
    tally.take(Announcement("f", "done", 1, timings={"transcribe": -5.0}))
    line, total = tally.lines()
    assert line.rtfx is None
    assert total.cells(price=1)["cost_per_audio_hour"] is None
    assert Tally(lambda _model: None).lines()[-1].files == 0


def test_markdown() -> None:
    tally = Tally({"base": 145_000_000}.get)
    tally.take(announcement("a"))
    without = as_markdown(tally.lines(), 0.0, "EUR")
    assert "cost" not in without
    table = as_markdown(tally.lines(), 2.0, "EUR")
    assert table.splitlines() == [
        "| approach | model | engine | device | files | audio h | engine h | RTFx | model MB | cost (EUR) "
        "| cost per audio h (EUR) |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| simple | base | whisperx | cpu | 1 | 1 | 0.025 | 40 | 145 | 0.05 | 0.05 |",
        "| total |  |  |  | 1 | 1 | 0.025 | 40 | - | 0.05 | 0.05 |",
    ]


def test_csv_is_read_back_and_holds_no_formula() -> None:
    tally = Tally(lambda _model: None)
    tally.take(announcement("a", provenance={"engine": '=cmd|"x"', "model": "a,b", "device": "c|\nd"}))
    rows = list(csv.reader(as_csv(tally.lines(), 0.0).splitlines(keepends=True)))
    assert tuple(rows[0]) == COLUMNS
    assert rows[1][1] == "a,b"
    assert rows[1][2] == '\'=cmd|"x"'
    assert len(as_markdown(tally.lines(), 0.0, "").splitlines()) == 4
