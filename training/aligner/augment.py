"""Makes clean synthetic speech vary as recordings do: tempo, pauses, tone, room, band, noise, other talkers, level.

Everything that moves a sound moves its labels with it; everything drawn at random comes from the generator passed in,
so a batch depends only on its seed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, lfilter, sosfiltfilt

from training.aligner.speech import SAMPLE_RATE, Phone, TimedWord

Sound = NDArray[np.float32]
Rng = np.random.Generator

_SPEED_RANGE = (0.82, 1.2)
_TRIM_SHARE = 0.3  # of the utterances lose their trailing silence
_PAUSE_SHARE = 0.3  # of the utterances get one or two pauses between words
_PAUSE_RANGE = (0.1, 0.9)  # seconds
_FADE = 80  # samples, 5 ms, on both sides of a cut, against clicks
_LEAD_MAX, _GAP_MEAN = 0.5, 0.2  # seconds of silence before the first utterance, and behind each
_BREATH_SHARE, _BREATH_LEVEL = 0.3, (0.0005, 0.01)  # of the silences; beside speech at 0.05 to 0.12
_EQUALISER_SHARE, _ROOM_SHARE, _BAND_SHARE, _TALKER_SHARE = 0.5, 0.35, 0.2, 0.15
_REVERBERATION = (0.05, 0.5)  # seconds
_BAND_LOW, _BAND_HIGH = (40.0, 350.0), (2800.0, 7000.0)  # Hz; a telephone has 300 to 3400
_NOISE_DB, _TALKER_DB = (5.0, 50.0), (12.0, 30.0)  # speech above noise
_GAIN_DECADES = (-1.3, 0.5)


def moved(word: TimedWord, place: Callable[[float], float]) -> TimedWord:
    """The word with each of its times put through `place`."""
    return replace(
        word,
        start=place(word.start),
        end=place(word.end),
        onsets=tuple(place(onset) for onset in word.onsets),
        phones=tuple(Phone(phone.name, place(phone.start), place(phone.end)) for phone in word.phones),
    )


def _level(sound: Sound) -> float:
    return float(np.sqrt(np.mean(sound**2))) + 1e-6


def retimed(sound: Sound, words: Sequence[TimedWord], rng: Rng) -> tuple[Sound, list[TimedWord]]:
    """Played faster or slower (pitch moves along), perhaps cut after the last word, perhaps with pauses added."""
    speed = rng.uniform(*_SPEED_RANGE)
    count = int(len(sound) / speed)
    out = np.interp(np.arange(count) * speed, np.arange(len(sound)), sound).astype(np.float32)
    placed = [moved(word, lambda time: time / speed) for word in words]
    if rng.random() < _TRIM_SHARE:
        out = out[: int((placed[-1].end + rng.uniform(0, 0.1)) * SAMPLE_RATE)]
    if rng.random() < _PAUSE_SHARE and len(placed) > 1:
        for _ in range(int(rng.integers(1, 3))):
            out, placed = _paused(out, placed, rng)
    return out, placed


def _paused(sound: Sound, words: list[TimedWord], rng: Rng) -> tuple[Sound, list[TimedWord]]:
    behind = int(rng.integers(1, len(words)))
    boundary = words[behind].start
    cut = int(boundary * SAMPLE_RATE)
    length = int(rng.uniform(*_PAUSE_RANGE) * SAMPLE_RATE)
    before, after = sound[:cut].copy(), sound[cut:].copy()
    fade = min(_FADE, len(before), len(after))
    ramp = np.linspace(1, 0, fade, dtype=np.float32)
    before[len(before) - fade :] *= ramp
    after[:fade] *= ramp[::-1]
    shift = length / SAMPLE_RATE
    later = [moved(word, lambda time: time + shift) for word in words[behind:]]
    return np.concatenate([before, np.zeros(length, np.float32), after]), words[:behind] + later


def joined(parts: Sequence[tuple[Sound, Sequence[TimedWord]]], rng: Rng) -> tuple[Sound, list[TimedWord]]:
    """Silence, then the parts with gaps between and behind them, each at its own level; silences may hold a breath."""
    pieces = [_silence(rng.uniform(0, _LEAD_MAX), rng)]
    placed: list[TimedWord] = []
    position = len(pieces[0])
    for sound, words in parts:
        shift = partial(operator.add, position / SAMPLE_RATE)
        placed += [moved(word, shift) for word in words]
        gap = _silence(rng.exponential(_GAP_MEAN), rng)
        pieces += [sound * np.float32(rng.uniform(0.05, 0.12) / _level(sound)), gap]
        position += len(sound) + len(gap)
    return np.concatenate(pieces), placed


def _silence(seconds: float, rng: Rng) -> Sound:
    count = int(seconds * SAMPLE_RATE)
    if rng.random() >= _BREATH_SHARE:
        return np.zeros(count, np.float32)
    return _noise(count, rng) * (np.hanning(count) * rng.uniform(*_BREATH_LEVEL)).astype(np.float32)


def _convolved(sound: Sound, response: NDArray[np.float64]) -> Sound:
    return fftconvolve(sound, response)[: len(sound)].astype(np.float32)


def _equaliser(rng: Rng) -> NDArray[np.float64]:
    taps = np.arange(32)
    return np.concatenate([[1.0], rng.standard_normal(32) * 0.35 * np.exp(-taps / rng.uniform(1, 8))])


def _room(rng: Rng) -> NDArray[np.float64]:
    length = int(SAMPLE_RATE * rng.uniform(*_REVERBERATION))  # to -60 dB = exp(-6.9)
    response = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length) * rng.uniform(0.02, 0.12)
    response[0] = 1.0
    return response


def _band_limited(sound: Sound, rng: Rng) -> Sound:
    band = butter(
        4, (rng.uniform(*_BAND_LOW), rng.uniform(*_BAND_HIGH)), btype="bandpass", fs=SAMPLE_RATE, output="sos"
    )
    return sosfiltfilt(band, sound).astype(np.float32)


def _noise(count: int, rng: Rng) -> Sound:
    noise = lfilter([1.0], [1.0, -rng.uniform(-0.2, 0.97)], rng.standard_normal(count))
    return (noise / (noise.std() + 1e-9)).astype(np.float32)


def recorded(sound: Sound, talker: Sound, rng: Rng) -> Sound:
    """As a microphone might have it; `talker` is some other speech, now and then heard in the background."""
    out = sound
    if rng.random() < _EQUALISER_SHARE:
        out = _convolved(out, _equaliser(rng))
    if rng.random() < _ROOM_SHARE:
        out = _convolved(out, _room(rng))
    if rng.random() < _BAND_SHARE:
        out = _band_limited(out, rng)
    level = _level(out)
    out = out + _noise(len(out), rng) * np.float32(level * 10 ** (-rng.uniform(*_NOISE_DB) / 20))
    if rng.random() < _TALKER_SHARE:
        other = np.resize(talker, len(out))
        out = out + other * np.float32(level / _level(other) * 10 ** (-rng.uniform(*_TALKER_DB) / 20))
    return (out * np.float32(10 ** rng.uniform(*_GAIN_DECADES))).astype(np.float32)
