"""Aligners of torchaudio, as whisperx names them for some languages, load from a file and from nowhere else.

Their weights cannot be fetched where these tests run: a network of the same kind with small random weights stands
in, so what is tested is the way through, not the times.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfk.core.errors import ModelInvalid
from lfk.core.model_manifest import Form, Pin
from lfk.engine.models.base import Weights

pytestmark = pytest.mark.engine

FILE = "wav2vec2_small.pth"


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A network of torchaudio's kind, a thousandth of the size, in the place of the one for English."""
    monkeypatch.setenv("NLTK_DATA", str(Path(__file__).parents[2] / "models" / "nltk"))
    import nltk
    import torchaudio

    monkeypatch.setattr(nltk.data, "path", [str(Path(__file__).parents[2] / "models" / "nltk")])
    real = torchaudio.pipelines.WAV2VEC2_ASR_BASE_960H
    small = {
        **real._params,
        "extractor_conv_layer_config": [(8, 10, 5), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 2, 2), (8, 2, 2)],
        "encoder_embed_dim": 16,
        "encoder_pos_conv_kernel": 4,
        "encoder_pos_conv_groups": 2,
        "encoder_num_layers": 1,
        "encoder_num_heads": 2,
        "encoder_ff_interm_features": 16,
    }
    made = torchaudio.pipelines.Wav2Vec2ASRBundle(
        FILE, small, _labels=real._labels, _sample_rate=16000, _normalize_waveform=False, _model_type="Wav2Vec2"
    )
    monkeypatch.setattr(torchaudio.pipelines, "WAV2VEC2_ASR_BASE_960H", made)
    yield made


def weights(folder: Path, name: str = FILE) -> Weights:
    return Weights(
        "alignment/en", folder, {name: Pin(1, "a" * 64)}, Form.TORCHAUDIO, "r", "models folder", "t", None, "MIT"
    )


def saved(folder: Path, bundle: Any, name: str = FILE) -> Path:
    import torch
    import torchaudio

    torch.manual_seed(1)
    # As in the real files there are three letters more, which torchaudio takes out.
    as_stored = {**bundle._params, "aux_num_out": bundle._params["aux_num_out"] + 3}
    torch.save(torchaudio.models.wav2vec2_model(**as_stored).state_dict(), folder / name)
    return folder


def device() -> Any:
    from lfk.engine.device import Device

    return Device("cpu", 0, "int8", 1, 1)


def test_words_get_times(tmp_path: Path, bundle: Any) -> None:
    from lfk.core.transcript import Segment
    from lfk.engine.alignment import Aligner

    aligner = Aligner(weights(saved(tmp_path, bundle)), "en", device())
    noise = np.random.default_rng(1).standard_normal(32_000).astype(np.float32) * 0.1
    segments, failed = aligner.align(noise, [Segment(0.0, 2.0, "hello there")], lambda _: None)
    words = [word for segment in segments for word in segment.words]
    assert [word.text for word in words] == ["hello", "there"]
    assert all(word.start is not None and word.end is not None and 0 <= word.start < word.end <= 2 for word in words)
    assert failed == 0


def test_a_file_of_another_name_is_refused_and_nothing_is_downloaded(
    tmp_path: Path, bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from lfk.engine.alignment import Aligner

    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_: pytest.fail("it went to the network"))
    with pytest.raises(ModelInvalid):
        Aligner(weights(saved(tmp_path, bundle, "other.pth"), "other.pth"), "en", device())


def test_a_truncated_file_is_refused(tmp_path: Path, bundle: Any) -> None:
    from lfk.engine.alignment import Aligner

    path = saved(tmp_path, bundle) / FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelInvalid):
        Aligner(weights(tmp_path), "en", device())
