"""Who speaks when, with weights that packages bring: no hub, no account, no network.

The steps are those of pyannote's own pipeline, with its segmentation network:

1. the network hears chunks of 5 s, a second apart, and says frame by frame which of up to three local speakers talk;
2. each local speaker of each chunk becomes a vector, from the frames in which nobody else talks;
3. clustering decides how many people there are and which local speaker is who (``clustering``);
4. the chunks are laid over one another, and frames become turns (``frames``).

Steps 1 and 2 go through the audio block by block, so memory grows by about 70 MB an hour of audio beside the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from lfk.core.errors import AudioUndecodable, EngineOutOfMemory, InvalidOption
from lfk.core.transcript import Turn
from lfk.engine.diariser.checkpoints import load_segmentation
from lfk.engine.diariser.clustering import Bounds, Voices, assign, find_speakers
from lfk.engine.diariser.encoder import (
    DIMENSION,
    HOP_SAMPLES,
    SAMPLE_RATE,
    SOFTEST_SPEECH_DBFS,
    WINDOW_FRAMES,
    WINDOW_HOP_FRAMES,
    load_encoder,
)
from lfk.engine.diariser.frames import Grid, levels, loudest, to_turns, without_pauses

Samples = NDArray[np.float32]

STEP_SECONDS = 1.0
SPEECH_THRESHOLD = 0.5
# Above 4 kHz a distant microphone hears more room than voice, and the segmentation network misses speech for it.
SEGMENTATION_BAND_HZ = 4_000.0
FILTER_ORDER = 4
# The filter has settled after this much audio before the part that counts.
FILTER_LEAD_SAMPLES = 1_600
# Audio worked on at once; its features and activations are the working memory of a block.
BLOCK_SECONDS = 120
# With less clean speech than this a speaker's overlapped speech is used as well.
LEAST_CLEAN_SECONDS = 0.1
# A last window that adds fewer new frames than this is left out.
LEAST_NEW_FRAMES = 40
MOST_SPEAKERS = 100


@dataclass
class Heard:
    """What the networks say: per-chunk activity, and one row per local speaker that talks."""

    activity: NDArray[np.float32]
    chunk: NDArray[np.int64]
    local: NDArray[np.int64]
    seconds: NDArray[np.float64]
    vectors: Samples

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """By name; ``Heard(**arrays)`` is the inverse."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Block:
    """Chunks that are heard together, and for themselves: the first one and how many."""

    first: int
    count: int

    @property
    def seconds(self) -> float:
        """About how much audio they are."""
        return self.count * STEP_SECONDS


#: Has every block heard, by whomever, and returns what was heard in their order.
Listen = Callable[[Sequence[Block]], Sequence[Heard]]


class Diariser:
    """Two loaded networks and the rules between them. Not for use by several threads at once."""

    def __init__(self, segmentation: Path, encoder: Path, device: str = "cpu", batch_size: int = 32) -> None:
        """Load both networks on ``device``; ``batch_size`` chunks or windows go through a network at once.

        Raises:
            ModelMissing, ModelInvalid: as ``load_segmentation`` and ``load_encoder``.
        """
        self._device = torch.device(device)
        self._batch = batch_size
        self._segmentation = load_segmentation(segmentation).to(self._device)
        self._encoder = load_encoder(encoder).to(self._device)
        self._chunk_samples = round(self._segmentation.specifications.duration * SAMPLE_RATE)
        self._step_samples = round(STEP_SECONDS * SAMPLE_RATE)
        field = self._segmentation.receptive_field
        self._grid = Grid(first=field.start + field.duration / 2, step=field.step)
        self._filter = butter(FILTER_ORDER, SEGMENTATION_BAND_HZ, "lowpass", fs=SAMPLE_RATE, output="sos")

    def diarise(
        self,
        audio: Samples,
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        listen: Listen | None = None,
    ) -> list[Turn]:
        """Turns in order of time; turns of different speakers may overlap.

        Args:
            audio: float32 mono samples at 16 kHz, shape (samples,).
            num_speakers: how many people speak, where that is known; overrides the other two.
            min_speakers, max_speakers: bounds where it is not. Fewer than asked come back where the audio holds fewer.
            listen: has the blocks heard; None hears one after the other here.

        Raises:
            InvalidOption: bounds that contradict each other or are out of range.
            AudioUndecodable: samples that are not mono, or not numbers.
            EngineOutOfMemory: the device has no memory for a batch.
        """
        bounds = _bounds(num_speakers, min_speakers, max_speakers)
        if audio.ndim != 1:
            raise AudioUndecodable("diarisation takes mono samples", hint="mix the channels down first")
        if len(audio) == 0:
            return []
        blocks = self._blocks(audio)
        heard = _together(listen(blocks) if listen else [self.listen(audio, block) for block in blocks])
        voices = Voices(
            heard.vectors,
            heard.seconds,
            heard.chunk.astype(np.float64) * STEP_SECONDS,
            coverage=self._chunk_samples / self._step_samples,
        )
        speakers = find_speakers(voices, bounds)
        if len(speakers) == 0:
            return []
        labels = assign(voices, speakers)
        active = self._overlay(heard, labels, len(speakers))
        active = without_pauses(active, levels(audio), self._grid)
        return to_turns(active, self._grid, len(audio) / SAMPLE_RATE)

    def listen(self, audio: Samples, block: Block) -> Heard:
        """What is heard in one block; the same whoever listens, and whatever was heard before.

        Raises:
            AudioUndecodable: samples that are not numbers.
            EngineOutOfMemory: the device has no memory for a batch.
        """
        try:
            with torch.inference_mode():
                return self._listen_to_block(audio, block.first, block.count)
        except torch.OutOfMemoryError as error:
            raise EngineOutOfMemory(f"no memory on {self._device} for a batch of {self._batch}") from error

    def _blocks(self, audio: Samples) -> list[Block]:
        chunks = 1 + max(0, -(-(len(audio) - self._chunk_samples) // self._step_samples))
        per_block = max(1, round(BLOCK_SECONDS / STEP_SECONDS))
        return [Block(first, min(per_block, chunks - first)) for first in range(0, chunks, per_block)]

    def _listen_to_block(self, audio: Samples, first: int, count: int) -> Heard:
        start = first * self._step_samples
        length = (count - 1) * self._step_samples + self._chunk_samples
        plain = _padded(audio[start : start + length], length)
        if not np.isfinite(plain).all():
            raise AudioUndecodable("the audio holds samples that are not numbers")
        lead = audio[max(0, start - FILTER_LEAD_SAMPLES) : start]
        filtered = sosfilt(self._filter, np.concatenate((lead, plain)))[len(lead) :].astype(np.float32)
        activity = self._segment(torch.from_numpy(filtered))
        rows = list(self._local_speakers(plain, activity))
        return Heard(
            activity=activity,
            chunk=np.array([first + chunk for chunk, _, _, _ in rows], dtype=np.int64),
            local=np.array([local for _, local, _, _ in rows], dtype=np.int64),
            seconds=np.array([seconds for _, _, seconds, _ in rows], dtype=np.float64),
            vectors=self._embed([features for _, _, _, features in rows]),
        )

    def _segment(self, samples: torch.Tensor) -> NDArray[np.float32]:
        """Activity 0–1, shape (chunks, frames, local speakers)."""
        chunks = samples.unfold(0, self._chunk_samples, self._step_samples)[:, None]
        batches = (chunks[at : at + self._batch] for at in range(0, len(chunks), self._batch))
        outputs = [self._segmentation(batch.to(self._device)).cpu() for batch in batches]
        result: NDArray[np.float32] = torch.cat(outputs).numpy()
        return result

    def _local_speakers(
        self, samples: Samples, activity: NDArray[np.float32]
    ) -> Iterator[tuple[int, int, float, torch.Tensor]]:
        """(chunk in block, local speaker, seconds of clean speech, features of the speech) of all who talk."""
        talks = activity > SPEECH_THRESHOLD
        alone = talks.sum(axis=2) == 1
        seconds_per_frame = self._chunk_samples / SAMPLE_RATE / talks.shape[1]
        wave = torch.from_numpy(samples)
        for chunk in np.flatnonzero(talks.any(axis=(1, 2))):
            start = int(chunk) * self._step_samples
            own = wave[start : start + self._chunk_samples]
            features = self._encoder.features(own.to(self._device)).cpu()
            frame = np.arange(len(features)) * talks.shape[1] // len(features)
            for local in np.flatnonzero(talks[chunk].any(axis=0)):
                clean = talks[chunk, :, local] & alone[chunk]
                seconds = float(clean.sum()) * seconds_per_frame
                used = clean if seconds >= LEAST_CLEAN_SECONDS else talks[chunk, :, local]
                speech = features[torch.from_numpy(used[frame])]
                if len(speech):
                    yield int(chunk), int(local), seconds, speech * _gain(own, used[frame])

    def _embed(self, speeches: list[torch.Tensor]) -> Samples:
        """One unit vector for each speech, the mean over its windows."""
        windows: list[torch.Tensor] = []
        owners: list[int] = []
        for owner, speech in enumerate(speeches):
            cut = _windows(speech)
            windows += cut
            owners += [owner] * len(cut)
        sums = np.zeros((len(speeches), DIMENSION), dtype=np.float32)
        for at in range(0, len(windows), self._batch):
            batch = torch.stack(windows[at : at + self._batch]).to(self._device)
            np.add.at(sums, owners[at : at + self._batch], self._encoder(batch).cpu().numpy())
        unit: Samples = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
        return unit

    def _overlay(self, heard: Heard, labels: NDArray[np.int64], speakers: int) -> NDArray[np.bool_]:
        """Who talks in each frame of the whole audio, shape (frames, speakers)."""
        chunks, frames, _ = heard.activity.shape
        offsets = [self._grid.index(chunk * STEP_SECONDS) for chunk in range(chunks)]
        total = offsets[-1] + frames
        summed = np.zeros((total, speakers), dtype=np.float32)
        talking = np.zeros(total, dtype=np.float32)
        views = np.zeros(total, dtype=np.float32)
        for chunk, offset in enumerate(offsets):
            talking[offset : offset + frames] += (heard.activity[chunk] > SPEECH_THRESHOLD).sum(axis=1)
            views[offset : offset + frames] += 1
        for chunk, local, label in zip(heard.chunk, heard.local, labels, strict=True):
            if label >= 0:
                summed[offsets[chunk] : offsets[chunk] + frames, label] += heard.activity[chunk, :, local]
        count = np.rint(talking / views).astype(np.int64)
        return loudest(summed, count)


def _bounds(num_speakers: int | None, min_speakers: int | None, max_speakers: int | None) -> Bounds:
    least, most = (num_speakers, num_speakers) if num_speakers is not None else (min_speakers, max_speakers)
    for value in (least, most):
        if value is not None and not 1 <= value <= MOST_SPEAKERS:
            raise InvalidOption(f"a number of speakers is 1 to {MOST_SPEAKERS}, not {value}")
    if least is not None and most is not None and least > most:
        raise InvalidOption(f"min_speakers ({least}) is above max_speakers ({most})")
    return Bounds(least or 1, most)


def _gain(samples: torch.Tensor, used: NDArray[np.bool_]) -> float:
    """What raises the power of the used 10 ms frames to that of -30 dBFS; never below 1."""
    hops = samples[: len(samples) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES)
    power = float(hops[torch.from_numpy(used[: len(hops)])].pow(2).mean()) if used[: len(hops)].any() else 0.0
    return max(1.0, float(10 ** (SOFTEST_SPEECH_DBFS / 10) / (power + 1e-12)))


def _windows(speech: torch.Tensor) -> list[torch.Tensor]:
    """Windows of 1.6 s, half overlapping; shorter speech is repeated until it fills one."""
    if len(speech) < WINDOW_FRAMES:
        return [speech.repeat(-(-WINDOW_FRAMES // len(speech)), 1)[:WINDOW_FRAMES]]
    starts = list(range(0, len(speech) - WINDOW_FRAMES + 1, WINDOW_HOP_FRAMES))
    if len(speech) - WINDOW_FRAMES - starts[-1] > LEAST_NEW_FRAMES:
        starts.append(len(speech) - WINDOW_FRAMES)
    return [speech[start : start + WINDOW_FRAMES] for start in starts]


def _padded(samples: Samples, length: int) -> Samples:
    return samples if len(samples) == length else np.pad(samples, (0, length - len(samples)))


def _together(parts: Sequence[Heard]) -> Heard:
    """Of all blocks, in order."""
    return Heard(**{name: np.concatenate([part.arrays()[name] for part in parts]) for name in parts[0].arrays()})
