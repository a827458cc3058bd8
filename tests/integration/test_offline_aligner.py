"""The weights under models/aligner-en with whisperx as it is: they load, and words come out where they are spoken.

The recording is one line by flite with the exact times that it was spoken at, made for this test.
"""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import pytest

whisperx = pytest.importorskip("whisperx", reason="comes with the hub extra")
np = pytest.importorskip("numpy")

pytestmark = [
    pytest.mark.engine,
    # whisperx and what it imports warn about themselves.
    pytest.mark.filterwarnings("ignore"),
]

MODELS = Path(__file__).parents[2] / "models"
DATA = Path(__file__).parent / "data"
RATE = 16_000


@pytest.fixture(scope="module")
def align() -> Any:
    import nltk

    nltk.data.path.insert(0, str(MODELS / "nltk"))
    model, metadata = whisperx.load_align_model("en", "cpu", model_name=str(MODELS / "aligner-en"))
    yield lambda segments, sound: whisperx.align(segments, model, metadata, sound, "cpu")
    nltk.data.path.remove(str(MODELS / "nltk"))


@pytest.fixture(scope="module")
def sound() -> Any:
    with wave.open(str(DATA / "flite-rms.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


@pytest.fixture(scope="module")
def spoken() -> list[tuple[str, float, float]]:
    return [tuple(word) for word in json.loads((DATA / "flite-rms.json").read_text(encoding="utf-8"))["words"]]


def off_by(result: dict[str, Any], spoken: list[tuple[str, float, float]], shift: float = 0.0) -> float:
    words = result["word_segments"]
    assert [word["word"].strip(",.").lower() for word in words] == [text for text, _, _ in spoken]
    return max(
        max(abs(word["start"] - shift - start), abs(word["end"] - shift - end))
        for word, (_, start, end) in zip(words, spoken, strict=True)
    )


def test_words_are_within_100_ms_of_their_exact_times(align, sound, spoken) -> None:
    text = " ".join(word for word, _, _ in spoken)
    assert off_by(align([{"text": text, "start": 0.0, "end": len(sound) / RATE}], sound), spoken) <= 0.1


def test_punctuation_case_and_a_later_segment_change_nothing(align, sound, spoken) -> None:
    text = " The captain measured seven wooden bridges near the harbour, and wrote a letter home."
    long = np.concatenate([np.zeros(2 * RATE, np.float32), sound, np.zeros(RATE, np.float32)])
    segment = {"text": text, "start": 2.0, "end": 2.0 + len(sound) / RATE}
    assert off_by(align([segment], long), spoken, shift=2.0) <= 0.1


def test_level_does_not_matter(align, sound, spoken) -> None:
    text = " ".join(word for word, _, _ in spoken)
    segment = {"text": text, "start": 0.0, "end": len(sound) / RATE}
    assert off_by(align([segment], sound * np.float32(0.02)), spoken) <= 0.1


def test_a_segment_too_short_for_its_text_keeps_the_text(align, sound) -> None:
    result = align([{"text": "hm", "start": 0.0, "end": 0.01}], sound)
    assert [segment["text"] for segment in result["segments"]] == ["hm"]
    assert result["word_segments"] == []


def test_no_weight_is_anything_but_a_finite_half_precision_number() -> None:
    from safetensors.torch import load_file

    state = load_file(str(MODELS / "aligner-en" / "model.safetensors"))
    assert 2_000_000 < sum(tensor.numel() for tensor in state.values()) < 4_000_000
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert {str(tensor.dtype) for tensor in state.values()} == {"torch.float16"}
