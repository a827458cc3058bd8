"""The network: a Wav2Vec2ForCTC of 2.7 million parameters that transformers and whisperx load as any other.

One convolution of 15 ms windows, started as a mel-spaced filter bank, replaces wav2vec2's seven; with it and two
short ones a frame spans exactly the 400 samples that whisperx pads a short segment to. The group norm over time makes
the model indifferent to level, which matters because whisperx does not normalise; saved weights of the first layer
are scaled up so that the norm's epsilon does not undo this for faint recordings.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from training.aligner.speech import SAMPLE_RATE
from training.aligner.targets import BLANK, VOCABULARY

_FILTERS = 64
_QUADRATURE = 4  # each filter as +cos, +sin, -cos, -sin: after GELU and averaging, roughly its magnitude
_KERNEL = 240
_LOWEST_HZ, _HIGHEST_HZ = 80.0, 7600.0
# The norm divides by sqrt(variance + 1e-5); a faint recording's bands have a variance of 1e-6. Its output is the same
# for scaled weights, but for the epsilon, which is as if divided by the square of this.
_SAVED_SCALE = 32.0
_FIRST_LAYER = "wav2vec2.feature_extractor.conv_layers.0.conv"
_DROPOUTS = ("hidden", "attention", "activation", "feat_proj", "final")


def build() -> Wav2Vec2ForCTC:
    """An untrained model with the filter bank in its first layer; other weights come from torch's generator."""
    config = Wav2Vec2Config(
        vocab_size=len(VOCABULARY),
        hidden_size=192,
        num_hidden_layers=5,
        num_attention_heads=4,
        intermediate_size=768,
        conv_dim=(_FILTERS * _QUADRATURE, 256, 192),
        conv_kernel=(_KERNEL, 3, 1),
        conv_stride=(80, 4, 1),
        conv_bias=True,
        feat_extract_norm="group",
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        do_stable_layer_norm=True,
        layerdrop=0.0,
        apply_spec_augment=False,
        ctc_loss_reduction="mean",
        pad_token_id=BLANK,
        bos_token_id=VOCABULARY["<s>"],
        eos_token_id=VOCABULARY["</s>"],
        **{f"{place}_dropout": 0.0 for place in _DROPOUTS},
    )
    model = Wav2Vec2ForCTC(config)
    # torch's fused attention is twice as slow as plain products in bfloat16 on a CPU.
    model.set_attn_implementation("eager")
    first, second = (layer.conv for layer in model.wav2vec2.feature_extractor.conv_layers[:2])
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(_filter_bank())[:, None])
        first.bias.zero_()
        second.weight.copy_(_gathering(second.weight.shape))
        second.bias.zero_()
    return model


def _filter_bank() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """(filters, samples): windowed cosines and sines at mel-spaced frequencies, unit norm (mel after O'Shaughnessy)."""
    time = (np.arange(_KERNEL) - (_KERNEL - 1) / 2) / SAMPLE_RATE
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (_LOWEST_HZ, _HIGHEST_HZ))
    window = np.hanning(_KERNEL)
    bank = []
    for hertz in 700 * (10 ** (np.linspace(lowest, highest, _FILTERS) / 2595) - 1):
        cosine, sine = (wave(2 * np.pi * hertz * time) * window for wave in (np.cos, np.sin))
        cosine -= cosine.mean()
        bank += [phase / np.linalg.norm(phase) for phase in (cosine, sine, -cosine, -sine)]
    return np.array(bank, np.float32)


def _gathering(shape: torch.Size) -> torch.Tensor:
    """Second layer: every output starts as the sum over one filter's four phases and the kernel's three places."""
    weight = torch.randn(shape) * 0.01
    for out in range(shape[0]):
        first = out * _FILTERS // shape[0] * _QUADRATURE
        weight[out, first : first + _QUADRATURE] += 0.35
    return weight


def save(model: Wav2Vec2ForCTC, folder: Path) -> None:
    """Writes weights (half precision), config, vocabulary and processor files, so that `from_pretrained` loads them."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        vocabulary = Path(scratch) / "vocab.json"
        vocabulary.write_text(json.dumps(VOCABULARY), encoding="utf-8")
        tokenizer = Wav2Vec2CTCTokenizer(str(vocabulary), do_lower_case=True)
    extractor = Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=SAMPLE_RATE, padding_value=0.0, do_normalize=False, return_attention_mask=False
    )
    Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    for name in ("weight", "bias"):
        state[f"{_FIRST_LAYER}.{name}"] *= _SAVED_SCALE
    saved = Wav2Vec2ForCTC(model.config)
    saved.load_state_dict(state)
    saved.half().save_pretrained(folder, safe_serialization=True)
