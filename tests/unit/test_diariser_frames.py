from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the engine's libraries are not installed")

from lfk.engine.diariser.frames import Grid, levels, loudest, pauses, to_turns, without_pauses

GRID = Grid(first=0.03, step=0.017)


def speech_with_pause(pause: float, *, noise: float = 1e-4) -> np.ndarray:
    """Two seconds of loud noise, a pause, two seconds again, at 16 kHz."""
    rng = np.random.default_rng(4)
    loud = rng.standard_normal(32_000) * 0.1
    samples = np.concatenate((loud, np.zeros(round(pause * 16_000)), loud))
    return (samples + rng.standard_normal(len(samples)) * noise).astype(np.float32)


@pytest.mark.parametrize(("seconds", "is_pause"), [(0.1, False), (0.25, False), (0.4, True), (1.0, True)])
def test_a_silence_is_a_pause_from_three_tenths_of_a_second(seconds: float, is_pause: bool) -> None:
    samples = speech_with_pause(seconds)
    level = levels(samples)
    found = pauses(level, np.ones(len(level), dtype=np.bool_))
    assert found.sum() == pytest.approx(seconds * 100 if is_pause else 0, abs=4)


def test_in_a_noisy_room_nothing_is_called_a_pause() -> None:
    level = levels(speech_with_pause(1.0, noise=0.02))
    assert not pauses(level, np.ones(len(level), dtype=np.bool_)).any()


def test_nobody_speaks_in_a_pause() -> None:
    samples = speech_with_pause(1.0)
    frames = round(5 / GRID.step)
    active = without_pauses(np.ones((frames, 2), dtype=np.bool_), levels(samples), GRID)
    turns = to_turns(active, GRID, duration=5.0)
    assert [turn.speaker for turn in turns] == ["SPEAKER_00", "SPEAKER_01"] * 2
    assert [turn.start for turn in turns] == pytest.approx([0.02, 0.02, 3.0, 3.0], abs=0.04)
    assert [turn.end for turn in turns] == pytest.approx([2.0, 2.0, 5.0, 5.0], abs=0.04)


@pytest.mark.parametrize("length", [0, 1, 159])
def test_less_than_a_frame_of_audio_changes_nothing(length: int) -> None:
    active = np.ones((3, 1), dtype=np.bool_)
    assert without_pauses(active, levels(np.zeros(length, dtype=np.float32)), GRID).all()


def test_labels_follow_the_order_of_speaking() -> None:
    active = np.zeros((100, 3), dtype=np.bool_)
    active[50:70, 0] = True
    active[10:60, 2] = True
    turns = to_turns(active, GRID, duration=1.5)
    assert [(turn.speaker, turn.start) for turn in turns] == [
        ("SPEAKER_00", pytest.approx(0.03 - 0.0085 + 10 * 0.017, abs=1e-3)),
        ("SPEAKER_01", pytest.approx(0.03 - 0.0085 + 50 * 0.017, abs=1e-3)),
    ]
    assert turns[0].end > turns[1].start, "turns of different speakers may overlap"


def test_turns_stay_within_the_audio() -> None:
    (turn,) = to_turns(np.ones((200, 1), dtype=np.bool_), GRID, duration=1.0)
    assert (turn.start, turn.end) == (pytest.approx(0.0215, abs=1e-3), 1.0)


def test_as_many_speak_as_are_counted_and_the_loudest_of_them() -> None:
    activity = np.array([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [0.4, 0.2, 0.3]], dtype=np.float32)
    active = loudest(activity, np.array([0, 2, 1]))
    assert active.tolist() == [[False] * 3, [False, True, True], [True, False, False]]
