"""The speaker encoder: what somebody sounds like, as a vector.

The network is that of GE2E (Wan et al., "Generalized end-to-end loss for speaker verification", 2018) with the
weights of the package Resemblyzer. That package is never imported, as it pulls in a voice activity detector and a
second audio library that its weights do not need; the features are computed here as it does: power (not log) mel
spectrum of 25 ms windows every 10 ms, 40 bands, speech raised to -30 dBFS if it is softer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torchaudio

from lfk.core.errors import ModelInvalid
from lfk.engine.diariser.checkpoints import read_checkpoint, read_converted

SAMPLE_RATE = 16_000
HOP_SAMPLES = 160
MEL_BANDS = 40
# The network was trained on windows of exactly 1.6 s.
WINDOW_FRAMES = 160
WINDOW_HOP_FRAMES = 80
DIMENSION = 256
SOFTEST_SPEECH_DBFS = -30.0
_LAYERS = ("lstm", "linear")


class SpeakerEncoder(torch.nn.Module):
    """GE2E speaker encoder: 3 LSTM layers of 256, a linear layer, ReLU, unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(MEL_BANDS, DIMENSION, num_layers=3, batch_first=True)
        self.linear = torch.nn.Linear(DIMENSION, DIMENSION)
        self.mel: Any = torchaudio.transforms.MelSpectrogram(
            SAMPLE_RATE,
            n_fft=400,
            hop_length=HOP_SAMPLES,
            n_mels=MEL_BANDS,
            norm="slaney",
            mel_scale="slaney",
            pad_mode="constant",
        )

    def features(self, waveform: torch.Tensor) -> torch.Tensor:
        """Mel power spectrum, shape (frames, 40), one frame every 10 ms, of a waveform of shape (samples,)."""
        features: torch.Tensor = self.mel(waveform).T
        return features

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Unit vectors, shape (windows, 256), of features of shape (windows, 160, 40)."""
        _, (hidden, _) = self.lstm(windows)
        return torch.nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


def load_encoder(path: Path) -> SpeakerEncoder:
    """Build the encoder from Resemblyzer's checkpoint, converted or not (CPU, evaluation mode).

    Raises as ``read_checkpoint``, and ModelInvalid if the tensors are not those of this network.
    """
    converted = path.suffix == ".safetensors"
    checkpoint = {"model_state": read_converted(path)[1]} if converted else read_checkpoint(path)
    encoder = SpeakerEncoder()
    try:
        stored = checkpoint["model_state"]
        for name in _LAYERS:
            own = {key[len(name) + 1 :]: tensor for key, tensor in stored.items() if key.startswith(f"{name}.")}
            getattr(encoder, name).load_state_dict(own)
    except (KeyError, AttributeError, RuntimeError) as error:
        raise ModelInvalid(f"{path.name} is not a speaker encoder of the known form") from error
    return encoder.eval()
