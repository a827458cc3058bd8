"""A simulated meeting room: what a far microphone hears of a talker, and the noise around it.

Image-source method for a shoebox room (Allen and Berkley, J. Acoust. Soc. Am. 65, 1979), with one reflection
coefficient for all walls from Sabine's formula. It refuses nothing: it is a bench tool with fixed inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from bench.quality.voices import SAMPLE_RATE

SPEED_OF_SOUND = 343.0
# Talkers keep this far from walls and from the microphone, in metres.
WALL_MARGIN = 0.5
NEAREST_TALKER = 1.0


@dataclass(frozen=True)
class Room:
    """A shoebox: ``size`` and ``microphone`` in metres, ``rt60`` in seconds (time to fall by 60 dB)."""

    size: tuple[float, float, float]
    rt60: float
    microphone: tuple[float, float, float]


def random_room(rng: np.random.Generator) -> Room:
    """A meeting room of 4-8 by 3-6 m with the microphone on a table near its middle."""
    size = (rng.uniform(4, 8), rng.uniform(3, 6), rng.uniform(2.5, 3.5))
    microphone = (size[0] / 2 + rng.uniform(-0.5, 0.5), size[1] / 2 + rng.uniform(-0.5, 0.5), 0.8)
    return Room(size, rng.uniform(0.3, 0.7), microphone)


def random_seat(rng: np.random.Generator, room: Room) -> tuple[float, float, float]:
    """Where a talker's mouth is: sitting or standing, not on top of the microphone."""
    while True:
        seat = (
            rng.uniform(WALL_MARGIN, room.size[0] - WALL_MARGIN),
            rng.uniform(WALL_MARGIN, room.size[1] - WALL_MARGIN),
            rng.uniform(1.1, 1.7),
        )
        if np.linalg.norm(np.subtract(seat, room.microphone)) >= NEAREST_TALKER:
            return seat


def impulse_response(room: Room, seat: tuple[float, float, float]) -> np.ndarray:
    """What the microphone hears of a click at ``seat``; starts with the direct sound, whose peak is 1 / distance."""
    size = np.array(room.size)
    surface = 2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
    absorption = min(0.99, 0.161 * float(np.prod(size)) / (surface * room.rt60))
    reflection = np.sqrt(1 - absorption)
    reach = SPEED_OF_SOUND * room.rt60
    axes = []
    for axis in range(3):
        order = int(np.ceil(reach / (2 * size[axis])))
        n = np.arange(-order, order + 1)
        offsets = np.concatenate((2 * n * size[axis] + seat[axis], 2 * n * size[axis] - seat[axis]))
        bounces = np.concatenate((np.abs(2 * n), np.abs(2 * n - 1)))
        axes.append((offsets - room.microphone[axis], bounces))
    squares = [offsets**2 for offsets, _ in axes]
    distance = np.sqrt(squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :])
    bounces = axes[0][1][:, None, None] + axes[1][1][None, :, None] + axes[2][1][None, None, :]
    near = distance < reach
    delay = np.round((distance[near] - distance.min()) / SPEED_OF_SOUND * SAMPLE_RATE).astype(int)
    return np.bincount(delay, weights=reflection ** bounces[near] / distance[near])


def reverberate(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The dry signal as heard through ``response``, with its tail."""
    return fftconvolve(samples, response).astype(np.float32)


def room_noise(rng: np.random.Generator, length: int) -> np.ndarray:
    """Fans and street: noise that falls by 3 dB an octave, at a power of 1."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 50.0)
    noise = np.fft.irfft(spectrum / np.sqrt(frequency), length)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
