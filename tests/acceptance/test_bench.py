"""``lfk bench`` from outside: figures that fit each other, and what it refuses before it loads anything."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from lfk.roles.demo import SAMPLE
from tests.acceptance.command import Lfk
from tests.acceptance.test_bad_input import one_line
from tests.acceptance.test_pipeline import expect_ok

#: Loading three sets of engines is what takes time; how rounds are weighed is asked of the role itself.
ROUNDS = 1
FILES = 2
#: Of the sample, to a tenth.
SECONDS = 7.1
#: Figures are rounded to three places where seconds are, and to two or three where they are divided.
ROUNDING = 0.02


@pytest.mark.engine
@pytest.mark.slow
def test_every_way_hears_the_same_and_its_figures_fit(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path)
    options = ("--rounds", str(ROUNDS), "--recordings", str(FILES), "--workers", "2", "--threads", "1")
    done = expect_ok(lfk("bench", str(SAMPLE), *options, "--json"))
    bare, one, two = ways = done.of("way")
    assert ways == done.events
    assert "WhisperX" in bare["way"]
    assert "1 engine," in one["way"]
    assert "2 engines," in two["way"]
    assert {way["model"] for way in ways} == {"tiny.en"}
    for way in ways:
        assert len(way["seconds"]) == ROUNDS
        assert min(way["seconds"]) > 0
        # Nobody skips a recording, and nobody counts the job that only warms up.
        assert way["audio_seconds"] == pytest.approx(FILES * SECONDS, abs=0.1)
        assert way["speed"] == pytest.approx(way["audio_seconds"] / statistics.median(way["seconds"]), rel=ROUNDING)
        assert way["ratio"] == pytest.approx(round_by_round(bare, way), rel=ROUNDING)
    assert bare["ratio"] == 1.0
    # Nothing is kept where it was run.
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "state" not in path.parts] == []


def round_by_round(first: dict[str, Any], way: dict[str, Any]) -> float:
    """How many times as fast, each round against the same round of the first way."""
    return statistics.median(theirs / own for theirs, own in zip(first["seconds"], way["seconds"], strict=True))


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("nowhere.wav",), 2, "usage"),
        (("--model", "gigantic"), 2, "usage"),
        (("--model", "large-v3"), 1, "model_missing"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path: Path, arguments: tuple[str, ...], code: int, error: str) -> None:
    assert arguments[-1] in one_line(Lfk(tmp_path)("bench", *arguments), code, error)


def test_a_bench_of_no_rounds_is_none(tmp_path: Path) -> None:
    assert "from 1 on" in one_line(Lfk(tmp_path, LFK_BENCH_ROUNDS="0")("bench"), 2, "usage")


def test_the_canned_engine_is_no_measure(tmp_path: Path) -> None:
    refused = one_line(Lfk(tmp_path, LFK_ENGINE="canned")("bench"), 2, "usage")
    assert "unset LFK_ENGINE" in refused
