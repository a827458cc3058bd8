"""Engines in stock: lent in turn, counted, stopped together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfk.core.errors import EngineCrashed
from lfk.engine.base import Engine, ModelIdentity, Outcome, Recognised, StageProgress, Task
from lfk.engine.canned import CannedKind
from lfk.engine.pool import PASSES, EnginePool

WITHIN = 10.0


class Spare:
    """An engine that notes what happens to it."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    @property
    def ready(self) -> bool:
        return not self.closed.is_set()

    def run(self, task: Task, progress: StageProgress | None = None, recognised: Recognised | None = None) -> Outcome:
        self.closed.wait(WITHIN)
        raise EngineCrashed("the engine was stopped")

    def close(self) -> None:
        self.closed.set()


class Kind:
    """Starts them, until it may not any more."""

    name = "spare"

    def __init__(self, most: int = 10) -> None:
        self.made: list[Spare] = []
        self._most = most

    def identify(self, model: str) -> ModelIdentity:
        return ModelIdentity(model, "1")

    def start(self) -> Engine:
        if len(self.made) == self._most:
            raise EngineCrashed("no more")
        self.made.append(Spare())
        return self.made[-1]


@pytest.fixture
def kind() -> Kind:
    return Kind()


@pytest.fixture
def pool(kind: Kind) -> Iterator[EnginePool]:
    made = EnginePool(kind, 2)
    yield made
    made.close()


def test_all_are_started_at_once(kind: Kind, pool: EnginePool) -> None:
    assert len(kind.made) == pool.size == pool.ready == 2
    assert pool.busy == 0


def test_each_is_lent_to_one(pool: EnginePool) -> None:
    with pool.engine() as one, pool.engine() as two:
        assert one is not two
        assert pool.busy == 2
    assert pool.busy == 0


def test_given_back_after_an_error(pool: EnginePool) -> None:
    with pytest.raises(ZeroDivisionError), pool.engine():
        raise ZeroDivisionError
    assert pool.busy == 0


def served_in_order(pool: EnginePool, ranks: list[int]) -> list[int]:
    """The numbers of jobs of these ranks, which came in this order, in the order in which they get an engine."""
    served: list[int] = []

    def wait_in_line(number: int) -> None:
        with pool.engine(ranks[number]):
            served.append(number)

    waiting = []
    with pool.engine():
        for number in range(len(ranks)):
            thread = threading.Thread(target=wait_in_line, args=(number,))
            thread.start()
            waiting.append(thread)
            # Each in line before the next one comes.
            while len(pool._waiters) <= number:
                thread.join(0.001)
    for thread in waiting:
        thread.join(WITHIN)
    pool.close()
    return served


def test_first_come_first_served(kind: Kind) -> None:
    assert served_in_order(EnginePool(kind, 1), [0] * 8) == list(range(8))


def test_a_lower_rank_goes_first(kind: Kind) -> None:
    assert served_in_order(EnginePool(kind, 1), [2, 1, 2, 0, 1, 0]) == [3, 5, 1, 4, 0, 2]


def test_nobody_is_passed_for_ever(kind: Kind) -> None:
    ranks = [2, *[0] * (PASSES + 3)]
    assert served_in_order(EnginePool(kind, 1), ranks).index(0) == PASSES


def test_closing_sends_those_in_line_away(kind: Kind) -> None:
    pool = EnginePool(kind, 1)
    refused: list[str] = []

    def wait_in_line() -> None:
        try:
            with pool.engine():
                refused.append("served")
        except EngineCrashed as error:
            refused.append(error.code)

    with pool.engine():
        thread = threading.Thread(target=wait_in_line)
        thread.start()
        while not pool._waiters:
            thread.join(0.001)
        pool.close()
        thread.join(WITHIN)
    assert refused == ["engine_crashed"]
    assert kind.made[0].closed.is_set()
    assert pool.ready == 0
    with pytest.raises(EngineCrashed), pool.engine():
        pass


def test_what_was_started_is_stopped_where_one_does_not_start() -> None:
    kind = Kind(most=2)
    with pytest.raises(EngineCrashed, match="no more"):
        EnginePool(kind, 3)
    assert all(spare.closed.is_set() for spare in kind.made)


def test_canned_engines_say_what_they_are(tmp_path: Path) -> None:
    task = Task(tmp_path / "never opened.wav", "ab" * 32, ("transcribe", "align", "diarise"), "large-v3")
    heard: list[str] = []
    outcome = CannedKind().start().run(task, recognised=lambda found: heard.append(found.segments[0].text))
    assert outcome.provenance["engine"] == "canned"
    assert outcome.provenance["model"] == "large-v3"
    assert outcome.transcript.segments[0].text.startswith("canned abababab")
    assert len(outcome.transcript.speakers) == 2
    assert outcome.recognised is not None
    assert heard == [outcome.recognised.segments[0].text]
    other = CannedKind().start().run(Task(tmp_path / "x", "cd" * 32, ("transcribe",), "large-v3"))
    assert other.transcript.segments[0].text != outcome.transcript.segments[0].text
