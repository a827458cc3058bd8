"""Decoded frames of any form as mono samples, and any sample rate as 16 kHz."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from lfk.core.errors import AudioUndecodable

SAMPLE_RATE = 16_000
#: Rates outside are not recordings but damaged headers (the extremes in use are telephony and DSD converters).
_LEAST_RATE, _MOST_RATE = 1_000, 768_000
#: Seconds handed to the resampler at once: frames are too short to be worth a call each.
_BLOCK_SECONDS = 2.0

Samples = NDArray[np.float32]

#: Offset and scale of whole-number samples, by FFmpeg's format name without the mark for planes.
_WHOLE = {"u8": (128.0, 1 / 128), "s16": (0.0, 1 / 32768), "s32": (0.0, 1 / (1 << 31))}


def mono(frame: Any) -> tuple[Samples, int]:
    """A frame's samples, all channels mixed equally, shape (samples,), and how many values were not numbers.

    Equally, because recorders put one microphone on each channel: a mix for loudspeakers drops or favours some.

    Raises:
        AudioUndecodable: its rate makes no sense.
    """
    if not _LEAST_RATE <= frame.sample_rate <= _MOST_RATE:
        raise AudioUndecodable(f"it declares {frame.sample_rate} samples a second")
    kind = frame.format.name.removesuffix("p")
    if kind not in (*_WHOLE, "flt", "dbl"):
        converter = av.AudioResampler(format="fltp", layout=frame.layout, rate=frame.sample_rate)
        frame, kind = converter.resample(frame)[0], "flt"
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if kind in _WHOLE:
        offset, scale = _WHOLE[kind]
        mixed = values.mean(axis=0, dtype=np.float32) if len(values) > 1 else values[0].astype(np.float32)
        return (mixed - np.float32(offset)) * np.float32(scale), 0
    invalid = values.size - int(np.count_nonzero(np.isfinite(values)))
    if invalid:
        values = np.where(np.isfinite(values), values, 0)
    # Before the resampler, which would smear one huge value over its neighbours.
    plain = np.clip(values, -1.0, 1.0).astype(np.float32, copy=False)
    return (plain.mean(axis=0) if len(plain) > 1 else plain[0]), invalid


class Resampler:
    """Mono samples of any rate in, 16 kHz out to ``sink``. The rate may change on the way."""

    def __init__(self, sink: Callable[[Samples], None]) -> None:
        self._sink = sink
        self._rate = SAMPLE_RATE
        self._converter: Any = None
        self._waiting: list[Samples] = []
        self._count = 0

    def feed(self, samples: Samples, rate: int) -> None:
        """More samples at ``rate`` a second."""
        if rate != self._rate:
            self.end()
            self._rate = rate
        self._waiting.append(samples)
        self._count += len(samples)
        if self._count >= rate * _BLOCK_SECONDS:
            self._convert()

    def end(self) -> None:
        """Everything that is still on the way."""
        self._convert()
        if self._converter is not None:
            self._pass_on(self._converter.resample(None))
            self._converter = None

    def _convert(self) -> None:
        if not self._count:
            return
        block = np.concatenate(self._waiting)
        self._waiting, self._count = [], 0
        if self._rate == SAMPLE_RATE:
            self._sink(block)
            return
        if self._converter is None:
            self._converter = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate = self._rate
        self._pass_on(self._converter.resample(frame))

    def _pass_on(self, frames: list[Any]) -> None:
        for frame in frames:
            if frame.samples:
                self._sink(frame.to_ndarray()[0])
