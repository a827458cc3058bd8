from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the bench needs the engine's libraries")

from bench.quality import conversations, rooms, voices
from bench.quality.diarisation import Score, summary, table


def test_the_halves_share_no_seed_voice_or_sentence() -> None:
    dev, test = conversations.plans("dev"), conversations.plans("test")
    assert not {plan.seed for plan in dev} & {plan.seed for plan in test}
    assert not {voice.name for voice in voices.DEV_VOICES} & {voice.name for voice in voices.TEST_VOICES}
    lines = conversations.SENTENCES.read_text(encoding="utf-8").splitlines()
    assert not set(lines[0::2]) & set(lines[1::2])


def test_at_least_twenty_composed_conversations_of_two_to_four_voices_are_judged() -> None:
    composed = [plan for plan in conversations.plans("test") if plan.set_name == "composed"]
    assert len(composed) >= 20
    assert {plan.speakers for plan in composed} == {2, 3, 4}
    assert len({plan.name for plan in conversations.PLANS}) == len(conversations.PLANS)


def test_short_pauses_belong_to_the_speech() -> None:
    tone = np.sin(np.arange(8_000)).astype(np.float32)
    clip = np.concatenate((np.zeros(1_600), tone, np.zeros(3_200), tone, np.zeros(8_000), tone)).astype(np.float32)
    assert voices.speech_regions(clip) == [
        (pytest.approx(0.1, abs=0.02), pytest.approx(1.3, abs=0.02)),
        (pytest.approx(1.8, abs=0.02), pytest.approx(2.3, abs=0.02)),
    ]


def test_a_room_answers_with_the_direct_sound_first_and_dies_away() -> None:
    room = rooms.Room(size=(5.0, 4.0, 3.0), rt60=0.5, microphone=(2.5, 2.0, 0.8))
    response = rooms.impulse_response(room, (1.5, 2.0, 0.8))
    assert response[0] == pytest.approx(1.0), "one metre away"
    energy = np.cumsum(response[::-1] ** 2)[::-1] / np.sum(response**2)
    fallen = int(np.argmax(energy < 1e-3)) / voices.SAMPLE_RATE
    assert 0.15 < fallen < 0.45, "30 dB take about half of rt60"


def score(**changes: float | str | bool) -> Score:
    fields: dict[str, float | str | bool] = {
        "name": "a", "set_name": "composed", "given": False, "speakers": 2, "found": 2, "speech": 100.0, "missed": 1.0,
        "false_alarm": 2.0, "confusion": 3.0, "collar_speech": 80.0, "collar_errors": 2.0, "audio_seconds": 120.0,
        "compute_seconds": 4.0,
    }  # fmt: skip
    return Score(**{**fields, **changes})  # type: ignore[arg-type]


def test_rates_are_weighted_by_speech() -> None:
    row = summary([score(), score(speech=300.0, missed=9.0, false_alarm=0.0, confusion=9.0, found=3)])
    assert row["der"] == 6.0
    assert (row["missed"], row["false_alarm"], row["confusion"]) == (2.5, 0.5, 3.0)
    assert row["der_collar"] == 2.5
    assert (row["count_right"], row["count_under"], row["count_over"]) == (1, 0, 1)
    assert row["seconds_per_minute"] == 2.0
    low, high = row["der_interval_95"]
    assert low == 6.0 == high, "both conversations have the same rate"


def test_one_conversation_has_no_interval() -> None:
    row = summary([score()])
    assert row["der_interval_95"] is None
    assert "| composed | 1 | unknown | 6.0 |" in table([row])
