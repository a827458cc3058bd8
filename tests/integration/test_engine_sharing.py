"""A long task with the help of engines that have nothing to do: real processes, pieces that say who did them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lfk.core.errors import EngineCrashed, StageFailed
from lfk.engine.base import ModelIdentity, Outcome, Task
from lfk.engine.child_process import Launch
from lfk.engine.limits import EngineLimits
from lfk.engine.pool import EnginePool
from lfk.engine.process import ProcessEngine
from lfk.engine.surroundings import engine_environment
from tests.integration.engine_sharing import PIECES
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
WITHIN = 30.0
SQUARES = [str(number * number) for number in range(PIECES)]


class Kind:
    """Engines that differ in what they do to others' pieces; the first is the one that a free pool lends first."""

    name = "sharing"

    def __init__(self, *assists: str, limits: EngineLimits | None = None) -> None:
        self._assists = iter(assists)
        self._limits = limits or EngineLimits(start_seconds=WITHIN)
        self.made: list[ProcessEngine] = []

    def identify(self, model: str) -> ModelIdentity:
        return ModelIdentity(model, "1")

    def start(self) -> ProcessEngine:
        environment = engine_environment({**os.environ, "PYTHONPATH": str(ROOT)}, 1)
        config = {"assist": next(self._assists)}
        launch = Launch("tests.integration.engine_sharing:build", environment, config)
        self.made.append(ProcessEngine(launch, self._limits))
        return self.made[-1]


@pytest.fixture
def pool() -> Iterator[Callable[..., EnginePool]]:
    made: list[EnginePool] = []

    def start(*assists: str, **limits: Any) -> EnginePool:
        one = EnginePool(Kind(*assists, limits=EngineLimits(start_seconds=WITHIN, **limits)), len(assists))
        made.append(one)
        wait_until(lambda: one.ready == len(assists))
        return one

    yield start
    for one in made:
        one.close()


def run(pool: EnginePool, tmp_path: Path, seconds: float = 0.1, **options: Any) -> Outcome:
    with pool.engine() as engine:
        return engine.run(
            Task(tmp_path / "x", "ab" * 32, ("align",), "tiny.en", {"seconds": seconds, **options}, tmp_path)
        )


def said(outcome: Outcome) -> list[str]:
    return [segment.text for segment in outcome.transcript.segments]


def test_engines_that_are_free_help_and_the_outcome_is_in_order(
    pool: Callable[..., EnginePool], tmp_path: Path
) -> None:
    outcome = run(pool("", "", ""), tmp_path)
    assert said(outcome) == SQUARES
    by = outcome.provenance["by"]
    assert len(set(by)) == 3
    # From the front here, from the back elsewhere.
    assert by[0] != by[-1]


def test_alone_it_does_everything_itself(pool: Callable[..., EnginePool], tmp_path: Path) -> None:
    outcome = run(pool(""), tmp_path, seconds=0.0)
    assert said(outcome) == SQUARES
    assert len(set(outcome.provenance["by"])) == 1


@pytest.mark.parametrize("fault", ["die", "refuse", "hang"])
def test_a_helper_that_fails_costs_nothing_but_time(
    pool: Callable[..., EnginePool], tmp_path: Path, fault: str
) -> None:
    helpers = pool("", fault, base_seconds=1.0, factor=0.1)
    outcome = run(helpers, tmp_path, seconds=0.05)
    assert said(outcome) == SQUARES
    assert len(set(outcome.provenance["by"])) == 1
    # Both are fit for the next task, the one that failed in another process if it had to be.
    wait_until(lambda: helpers.ready == 2 and not helpers.busy)


def test_a_job_that_waits_goes_before_pieces(pool: Callable[..., EnginePool], tmp_path: Path) -> None:
    two = pool("", "")
    others: list[float] = []

    def other() -> None:
        begun = time.monotonic()
        with two.engine():
            others.append(time.monotonic() - begun)
            time.sleep(2.0)

    with two.engine() as engine:
        thread = threading.Timer(0.5, other)
        thread.start()
        options = {"seconds": 0.2}
        outcome = engine.run(Task(tmp_path / "x", "ab" * 32, ("align",), "tiny.en", options, tmp_path))
        thread.join()
    assert said(outcome) == SQUARES
    # It waited for one piece at most, and had the engine for itself then.
    assert others[0] < 1.5
    assert len(set(outcome.provenance["by"])) == 2


def test_a_stage_that_fails_ends_the_sharing(pool: Callable[..., EnginePool], tmp_path: Path) -> None:
    two = pool("", "")
    with pytest.raises(StageFailed, match="as asked"):
        run(two, tmp_path, fail_at=2)
    # What a helper still had of it means nothing to the next task.
    assert said(run(two, tmp_path)) == SQUARES


def test_closing_the_pool_ends_a_shared_task(pool: Callable[..., EnginePool], tmp_path: Path) -> None:
    two = pool("", "")
    threading.Timer(0.5, two.close).start()
    with pytest.raises(EngineCrashed):
        run(two, tmp_path, seconds=5.0)
