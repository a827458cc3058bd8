"""From frame-wise speech activity to speaker turns: rules on arrays, no network and no I/O.

Three things happen here that decide the times in a transcript: the overlapping views of each moment are put
together, silences of a length that counts as a pause are taken out of the speech, and labels are given in the order
in which people first speak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from lfk.core.transcript import Turn

Flags = NDArray[np.bool_]
Levels = NDArray[np.float32]

LEVELS_PER_SECOND = 100
# NIST's Rich Transcription evaluations count pauses below 0.3 s as speech. A hundredth is lost at either edge to
# the smoothing of the level.
PAUSE_SECONDS = 0.28
# A frame is silent below this share of the way, in dB, from the noise floor up to the speech.
SILENT_BELOW = 0.3
# With less room than this between speech and noise, a soft voice may be no louder than the noise between words:
# nothing is called a pause by its level then.
LEAST_CONTRAST_DB = 25.0
SPEECH_QUANTILE = 0.7
FLOOR_QUANTILE = 0.03


@dataclass(frozen=True)
class Grid:
    """Where frames lie: the centre of frame 0 and the step, in seconds."""

    first: float
    step: float

    def index(self, seconds: float) -> int:
        """How many whole steps ``seconds`` are, rounded."""
        return round(seconds / self.step)


def levels(samples: NDArray[np.float32]) -> Levels:
    """Level in dB of every 10 ms, smoothed over three of them."""
    hop = 16_000 // LEVELS_PER_SECOND
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    power = uniform_filter1d(np.einsum("ij,ij->i", frames, frames) / hop, 3, mode="nearest")
    result: Levels = (10 * np.log10(power + 1e-12)).astype(np.float32)
    return result


def pauses(level: Levels, active: Flags) -> Flags:
    """Which of the 10 ms frames are in a pause, by the level of the whole recording; ``active``: those with speech."""
    if not active.any():
        return np.zeros(len(level), dtype=np.bool_)
    speech = float(np.quantile(level[active], SPEECH_QUANTILE))
    floor = float(np.quantile(level, FLOOR_QUANTILE))
    if speech - floor < LEAST_CONTRAST_DB:
        return np.zeros(len(level), dtype=np.bool_)
    silent = level < floor + SILENT_BELOW * (speech - floor)
    result = np.zeros(len(level), dtype=np.bool_)
    for start, end in _runs(silent):
        if end - start >= PAUSE_SECONDS * LEVELS_PER_SECOND:
            result[start:end] = True
    return result


def without_pauses(active: Flags, level: Levels, grid: Grid) -> Flags:
    """``active`` (frames, speakers) with nobody speaking in pauses."""
    if len(level) == 0:
        return active
    centres = grid.first + np.arange(len(active)) * grid.step
    at = np.minimum((centres * LEVELS_PER_SECOND).astype(np.int64), len(level) - 1)
    heard = np.zeros(len(level), dtype=np.bool_)
    heard[at[active.any(axis=1)]] = True
    quiet: Flags = active & ~pauses(level, heard)[at][:, None]
    return quiet


def loudest(activity: NDArray[np.float32], count: NDArray[np.int64]) -> Flags:
    """In each frame, the ``count`` speakers of the highest activity; both have one row a frame."""
    result = np.zeros(activity.shape, dtype=np.bool_)
    order = np.argsort(-activity, axis=1)
    for place in range(min(activity.shape[1], int(count.max(initial=0)))):
        rows = np.flatnonzero(count > place)
        result[rows, order[rows, place]] = True
    return result


def to_turns(active: Flags, grid: Grid, duration: float) -> list[Turn]:
    """Turns in order of time, within [0, duration]; labels SPEAKER_00, SPEAKER_01 … by first appearance."""
    edge = grid.first - grid.step / 2
    spans: list[tuple[float, float, int]] = []
    for speaker in range(active.shape[1]):
        for first, last in _runs(active[:, speaker]):
            start = max(0.0, edge + first * grid.step)
            end = min(duration, edge + last * grid.step)
            if start < end:
                spans.append((round(start, 3), round(end, 3), speaker))
    spans.sort()
    names: dict[int, str] = {}
    return [Turn(start, end, names.setdefault(speaker, f"SPEAKER_{len(names):02d}")) for start, end, speaker in spans]


def _runs(flags: Flags) -> list[tuple[int, int]]:
    """The (first, one past last) of each run of set flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
