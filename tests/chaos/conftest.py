"""Which runs, how large and from which seed: options of the chaos suite, told best by ``make chaos ARGS=…``."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    options = parser.getgroup("chaos")
    options.addoption("--full", action="store_true", help="the full runs, recorded in tests/chaos/results")
    options.addoption("--seed", type=int, default=1, help="seed of the first run of each row")
    options.addoption("--scale", type=float, default=1.0, help="part of the jobs and faults of the full runs")
