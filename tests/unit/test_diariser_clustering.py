from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="the engine's libraries are not installed")

from lfk.engine.diariser.clustering import Bounds, Voices, assign, find_speakers

DIMENSION = 256


def conversation(
    people: int, *, seconds: int = 120, scatter: float = 0.3, turn: int = 8, seed: int = 1
) -> tuple[Voices, np.ndarray]:
    """One row a second, turns of ``turn`` seconds in rotation, two rows where a turn changes; and who each row is.

    Voices lie about 0.4 apart, as human voices do for the real encoder; ``scatter`` is the length of the noise.
    """
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(DIMENSION)
    own = rng.standard_normal((people, DIMENSION))
    centres = 1.2 * common / np.linalg.norm(common) + own / np.linalg.norm(own, axis=1, keepdims=True)
    vectors, clean, starts, truth = [], [], [], []
    for second in range(seconds):
        speaker = second // turn % people
        changes = second % turn == turn - 1
        for who in {speaker, (speaker + 1) % people} if changes else {speaker}:
            noise = rng.standard_normal(DIMENSION)
            vector = centres[who] + scatter * np.linalg.norm(centres[who]) * noise / np.linalg.norm(noise)
            vectors.append(vector / np.linalg.norm(vector))
            clean.append(2.4 if changes else 4.5)
            starts.append(float(second))
            truth.append(who)
    return Voices(np.array(vectors, dtype=np.float32), np.array(clean), np.array(starts)), np.array(truth)


@pytest.mark.parametrize("people", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("scatter", [0.1, 0.3, 0.5])
def test_the_number_of_people_is_found_however_noisy_the_voices(people: int, scatter: float) -> None:
    voices, truth = conversation(people, scatter=scatter, seconds=60 * people)
    speakers = find_speakers(voices, Bounds())
    assert len(speakers) == people
    labels = assign(voices, speakers)
    assert {len(set(labels[truth == who])) for who in range(people)} == {1}


@pytest.mark.parametrize("given", [1, 2, 3, 4])
def test_a_given_number_is_obeyed(given: int) -> None:
    voices, _ = conversation(3, seconds=180)
    assert len(find_speakers(voices, Bounds(given, given))) == given


def test_bounds_hold_on_either_side() -> None:
    voices, _ = conversation(4, seconds=240)
    assert len(find_speakers(voices, Bounds(1, 2))) == 2
    assert len(find_speakers(voices, Bounds(6, 9))) == 6
    assert len(find_speakers(voices, Bounds(2, 5))) == 4


def test_a_cough_is_no_speaker() -> None:
    voices, _ = conversation(2)
    odd = np.zeros((1, DIMENSION), dtype=np.float32)
    odd[0, 0] = 1.0
    with_cough = Voices(
        np.concatenate((voices.vectors, odd)), np.append(voices.seconds, 1.2), np.append(voices.starts, 200.0)
    )
    assert len(find_speakers(with_cough, Bounds())) == 2
    assert len(find_speakers(with_cough, Bounds(3, 3))) == 3


def test_hours_are_compared_in_blocks_and_give_the_same_people() -> None:
    voices, truth = conversation(3, seconds=4_000, turn=20)
    speakers = find_speakers(voices, Bounds())
    assert len(speakers) == 3
    labels = assign(voices, speakers)
    assert all(len(set(labels[truth == who])) == 1 for who in range(3))


def test_nothing_heard_is_nobody() -> None:
    nothing = Voices(np.zeros((0, DIMENSION), dtype=np.float32), np.zeros(0), np.zeros(0))
    assert find_speakers(nothing, Bounds()).shape == (0, DIMENSION)


def test_only_scraps_of_speech_still_have_a_speaker() -> None:
    voices, _ = conversation(1, seconds=5)
    scraps = Voices(voices.vectors, np.full(len(voices.seconds), 0.2), voices.starts)
    assert len(find_speakers(scraps, Bounds())) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 4), st.integers(1, 4))
def test_whatever_is_heard_the_bounds_hold_and_a_chunk_never_has_one_speaker_twice(
    seed: int, rows: int, least: int, more: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((rows, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    starts = np.sort(rng.integers(0, max(1, rows // 2), rows)).astype(np.float64)
    voices = Voices(vectors, rng.uniform(0, 5, rows), starts)
    speakers = find_speakers(voices, Bounds(least, least + more))
    assert 1 <= len(speakers) <= least + more
    labels = assign(voices, speakers)
    taken = [(start, label) for start, label in zip(starts, labels, strict=True) if label >= 0]
    assert len(taken) == len(set(taken))
    assert (labels >= 0).any()
