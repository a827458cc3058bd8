"""The arithmetic of the soak and latency measurements: lines through memory, and what counts as left over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.latency import distribution
from bench.soak import Sample, Soaked, growth, line

QUIET = Sample(seconds=1.0, jobs=500, hub=80.0, engines=0.0, files=28, threads=14, processes=2, scratch=2, others=6)
FLAT = growth([replace(QUIET, jobs=jobs) for jobs in range(500, 1000, 10)], lambda sample: sample.hub)
WELL = Soaked(
    engine="canned",
    jobs=1000,
    done=980,
    failed=20,
    seconds=100.0,
    hub=FLAT,
    engines=None,
    warm=QUIET,
    most={},
    idle=replace(QUIET, jobs=1000, scratch=0),
    status=1,
    processes_left=(),
    files_left=(),
    samples=(),
)


def test_a_line_has_the_slope_of_its_points() -> None:
    slope, error = line([0.0, 1.0, 2.0, 3.0], [5.0, 7.0, 9.0, 11.0])
    assert slope == pytest.approx(2.0)
    assert error == pytest.approx(0.0)


def test_the_error_of_a_slope_is_that_of_the_textbook() -> None:
    """The squared residuals add up to 1.8, over two degrees of freedom and a spread of 5 in x."""
    slope, error = line([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0])
    assert slope == pytest.approx(0.8)
    assert error == pytest.approx((1.8 / 2 / 5) ** 0.5)


@pytest.mark.parametrize("points", [0, 1, 2])
def test_too_few_points_say_nothing(points: int) -> None:
    assert line([1.0] * points, [1.0] * points)[1] == float("inf")


def test_growth_is_told_for_a_thousand_jobs() -> None:
    samples = [replace(QUIET, jobs=jobs, hub=80.0 + jobs / 100) for jobs in range(0, 2000, 10)]
    grown = growth(samples, lambda sample: sample.hub)
    assert grown.slope == pytest.approx(10.0)
    assert grown.halves == pytest.approx((10.0, 10.0))
    assert grown.most == pytest.approx(99.9)
    assert FLAT.slope == pytest.approx(0.0)


def test_a_hub_that_is_as_it_was_gives_no_cause_for_complaint() -> None:
    assert WELL.complaints() == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"done": 979}, "979 done"),
        ({"status": -9}, "ended with -9"),
        ({"processes_left": (7,)}, "left over"),
        ({"files_left": ("x",)}, "left over"),
        ({"idle": replace(WELL.idle, threads=15)}, "threads: 14"),
        ({"idle": replace(WELL.idle, files=60)}, "files: 28"),
        ({"idle": replace(WELL.idle, processes=3)}, "processes: 2"),
        ({"idle": replace(WELL.idle, scratch=1)}, "1 files in scratch"),
        ({"idle": replace(WELL.idle, others=7)}, "others: 6"),
    ],
)
def test_what_has_grown_or_is_left_is_told(changed: dict[str, object], says: str) -> None:
    (complaint,) = replace(WELL, **changed).complaints()  # type: ignore[arg-type]
    assert says in complaint


def test_percentiles_are_of_the_values_themselves() -> None:
    found = distribution([float(value) for value in range(101)])
    assert (found.p50, found.p95, found.p99, found.most) == (50.0, 95.0, 99.0, 100.0)
