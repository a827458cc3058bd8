"""The measure of a machine: turns, what counts, and what the figures mean."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfk.core.errors import AudioUndecodable
from lfk.core.measured import Timed
from lfk.engine.canned import CannedKind
from lfk.engine.pool import EnginePool
from lfk.roles.bench import measure


@pytest.fixture
def ways() -> Iterator[dict[str, EnginePool]]:
    made = {"one": EnginePool(CannedKind(0.05), 1), "three": EnginePool(CannedKind(0.05), 3)}
    yield made
    for pool in made.values():
        pool.close()


def test_a_ratio_is_taken_round_by_round() -> None:
    slow, quick = Timed("a", (2.0, 6.0, 2.0), 10.0), Timed("b", (1.0, 3.0, 0.5), 10.0)
    assert quick.times_as_fast(slow) == 2.0
    assert slow.times_as_fast(slow) == 1.0
    assert quick.speed == 10.0


def test_engines_work_side_by_side_and_take_turns_with_the_others(ways: dict[str, EnginePool]) -> None:
    order: list[tuple[str, int]] = []
    audio = [Path("x.wav")] * 6
    told = lambda name, turn, _seconds: order.append((name, turn))  # noqa: E731
    one, three = measure(ways, audio, "tiny.en", 3, threading.Event(), told)
    assert order == [("one", 1), ("three", 1), ("three", 2), ("one", 2), ("one", 3), ("three", 3)]
    assert len(one.seconds) == len(three.seconds) == 3
    assert one.audio == three.audio > 0
    # Six jobs of 50 ms: one after the other, and two each.
    assert min(one.seconds) >= 0.3
    assert min(three.seconds) < 0.3


def test_a_recording_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_asked: object) -> None:
        raise AudioUndecodable("no recording")

    monkeypatch.setattr("lfk.engine.canned.CannedEngine.run", refuse)
    pool = EnginePool(CannedKind(0.0), 1)
    try:
        with pytest.raises(AudioUndecodable, match=r"^notes\.wav: no recording$"):
            measure({"one": pool}, [Path("notes.wav")], "tiny.en", 1, threading.Event(), lambda *_turn: None)
    finally:
        pool.close()


def test_a_round_that_is_broken_off_does_not_count(ways: dict[str, EnginePool]) -> None:
    stop = threading.Event()

    def told(_name: str, turn: int, _seconds: float) -> None:
        if turn == 2:
            stop.set()

    timed = measure(ways, [Path("x.wav")], "tiny.en", 5, stop, told)
    assert [len(one.seconds) for one in timed] == [1, 1]
