"""Where somebody speaks: WhisperX's voice activity detection, in bounded memory and with progress.

The network and the rules are WhisperX's own (pyannote segmentation, hysteresis, merging up to 30 s). What differs: the
checkpoint is loaded safely, nothing touches torch.hub, windows overlap less, and long audio goes through in blocks.
Blocks begin on the common grid of the network's windows and frames and carry a margin, so the scores are those of one
long pass.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_BLOCK_SAMPLES = 8 * _GRID_SAMPLES
#: Behind a block two windows suffice: none that begins there says anything of the block.
_TRAIL_SAMPLES = 160_000


class SpeechDetector:
    """One loaded network."""

    def __init__(self, segmentation: Path, device: str) -> None:
        """Load the network on ``device``.

        Raises:
            ModelMissing, ModelInvalid: as ``load_segmentation``.
        """
        network = load_segmentation(segmentation)
        #: Start, step and length of the network's frames, in seconds.
        self._frames: SlidingWindow = network.receptive_field
        self._inference = Inference(
            network,
            step=_STEP_SECONDS,
            device=torch.device(device),
            batch_size=_BATCH if device == "cpu" else _GPU_BATCH,
            pre_aggregation_hook=_anybody,
        )

    #: Audio in a block, its margins included.
    block_seconds = (_GRID_SAMPLES + _BLOCK_SAMPLES + _TRAIL_SAMPLES) / SAMPLE_RATE

    @staticmethod
    def block_count(samples: Samples) -> int:
        """How many blocks a recording has, each to be heard for itself."""
        return -(-len(samples) // _BLOCK_SAMPLES)

    def regions(self, samples: Samples, blocks: Sequence[NDArray[np.float32]]) -> list[Region]:
        """Speech regions in order, none longer than about :data:`LONGEST_SECONDS`; empty where nobody speaks.

        Args:
            samples: float32 mono at 16 kHz, shape (samples,).
            blocks: the scores of each of its blocks (:meth:`scores`), in order.
        """
        if not blocks:
            return []
        scores = SlidingWindowFeature(np.concatenate(blocks), self._frames)
        speech = Binarize(max_duration=LONGEST_SECONDS, onset=ONSET, offset=OFFSET)(scores)
        duration = len(samples) / SAMPLE_RATE
        found = [Region(max(0.0, span.start), min(duration, span.end)) for span in speech.get_timeline()]
        return [region for region in found if region.end > region.start]

    def scores(self, samples: Samples, block: int) -> NDArray[np.float32]:
        """The likelihood that anybody speaks in a block, frame by frame, shape (frames, 1)."""
        start = block * _BLOCK_SAMPLES
        first = max(0, start - _GRID_SAMPLES)
        last = min(len(samples), start + _BLOCK_SAMPLES + _TRAIL_SAMPLES)
        waveform = torch.from_numpy(samples[first:last]).unsqueeze(0)
        heard: Any = self._inference({"waveform": waveform, "sample_rate": SAMPLE_RATE})
        per_frame = round(self._frames.step * SAMPLE_RATE)
        lead = (start - first) // per_frame
        count = _BLOCK_SAMPLES // per_frame if start + _BLOCK_SAMPLES < len(samples) else None
        found: NDArray[np.float32] = heard.data[lead : lead + count if count is not None else None]
        return found


def _anybody(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the local speakers' scores the highest."""
    highest: NDArray[np.float32] = np.max(scores, axis=-1, keepdims=True)
    return highest
