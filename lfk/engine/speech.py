"""Where somebody speaks: WhisperX's voice activity detection, in bounded memory and with progress.

The network and the rules are WhisperX's own (pyannote segmentation, hysteresis, merging up to 30 s). What differs: the
checkpoint is loaded safely, nothing touches torch.hub, windows overlap less, and long audio goes through in blocks.
Blocks begin on the common grid of the network's windows and frames and carry a margin, so the scores are those of one
long pass.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pyannote.audio import Inference
from pyannote.core import SlidingWindow, SlidingWindowFeature
from whisperx.vads.pyannote import Binarize

from lfk.engine.diariser.checkpoints import load_segmentation
from lfk.engine.regions import LONGEST_SECONDS, Region
from lfk.engine.samples import SAMPLE_RATE, Samples

#: WhisperX's defaults.
ONSET, OFFSET = 0.500, 0.363
#: Between the network's windows of 5 s. WhisperX takes 0.5 s, which hears everything ten times and costs as much as
#: tiny's recognition; at 2.5 s each frame is still near the middle of one window, and on 122 s of speech, clean and
#: noisy, the found speech differed by under 0.5 s.
_STEP_SECONDS = 2.5
#: Windows in the network at once. It takes about 8 MB for each; on a processor more are no faster.
_BATCH, _GPU_BATCH = 8, 64
#: Least common multiple of that step (40,000 samples) and the frames' (270): 67.5 s.
_GRID_SAMPLES = 1_080_000
_BLOCK_SAMPLES = 16 * _GRID_SAMPLES
_MARGIN_SAMPLES = _GRID_SAMPLES

Progress = Callable[[float], None]


class SpeechDetector:
    """One loaded network."""

    def __init__(self, segmentation: Path, device: str) -> None:
        """Load the network on ``device``.

        Raises:
            ModelMissing, ModelInvalid: as ``load_segmentation``.
        """
        self._inference = Inference(
            load_segmentation(segmentation),
            step=_STEP_SECONDS,
            device=torch.device(device),
            batch_size=_BATCH if device == "cpu" else _GPU_BATCH,
            pre_aggregation_hook=_anybody,
        )

    def regions(self, samples: Samples, progress: Progress | None = None) -> list[Region]:
        """Speech regions in order, none longer than about :data:`LONGEST_SECONDS`; empty where nobody speaks.

        Args:
            samples: float32 mono at 16 kHz, shape (samples,).
            progress: called with the part that is through, 0–1.
        """
        scores = self._scores(samples, progress)
        if len(scores.data) == 0:
            return []
        speech = Binarize(max_duration=LONGEST_SECONDS, onset=ONSET, offset=OFFSET)(scores)
        duration = len(samples) / SAMPLE_RATE
        found = [Region(max(0.0, span.start), min(duration, span.end)) for span in speech.get_timeline()]
        return [region for region in found if region.end > region.start]

    def _scores(self, samples: Samples, progress: Progress | None) -> Any:
        """The likelihood that anybody speaks, frame by frame."""
        parts: list[NDArray[np.float32]] = []
        window: SlidingWindow | None = None
        for start in range(0, len(samples), _BLOCK_SAMPLES):
            first = max(0, start - _MARGIN_SAMPLES)
            last = min(len(samples), start + _BLOCK_SAMPLES + _MARGIN_SAMPLES)
            block = torch.from_numpy(samples[first:last]).unsqueeze(0)
            scores: Any = self._inference({"waveform": block, "sample_rate": SAMPLE_RATE})
            window = scores.sliding_window if window is None else window
            per_frame = round(window.step * SAMPLE_RATE)
            lead = (start - first) // per_frame
            count = _BLOCK_SAMPLES // per_frame if last < len(samples) else None
            parts.append(scores.data[lead : lead + count if count is not None else None])
            if progress is not None:
                progress(min(1.0, (start + _BLOCK_SAMPLES) / len(samples)))
        data = np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)
        return SlidingWindowFeature(data, SlidingWindow() if window is None else window)


def _anybody(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the local speakers' scores the highest."""
    highest: NDArray[np.float32] = np.max(scores, axis=-1, keepdims=True)
    return highest
