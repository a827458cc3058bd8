"""What a synthesiser returns here: samples at 16 kHz and, for each word of the text, its phones with exact times.

Both synthesisers speak one line at a time through the C libraries that Debian packages; neither runs as a program.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
# Each synthesiser has its own phone alphabet and is named by it.
SOURCES = ("flite", "espeak")


class TimesUnusable(Exception):
    """The synthesiser's events do not map one to one to the words of the line, so the line cannot be used."""


@dataclass(frozen=True)
class Phone:
    """One phone in the synthesiser's own alphabet, `start` to `end` in seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class SpokenWord:
    """A word of the text with the phones that were spoken for it, in order, at least one."""

    text: str
    phones: tuple[Phone, ...]

    @property
    def start(self) -> float:
        return self.phones[0].start

    @property
    def end(self) -> float:
        return self.phones[-1].end


@dataclass(frozen=True)
class TimedWord:
    """A word, its span in seconds, the onset of each letter, and its phones."""

    text: str
    start: float
    end: float
    onsets: tuple[float, ...]
    phones: tuple[Phone, ...]


@dataclass(frozen=True)
class Speech:
    """One spoken line: int16 mono samples at 16 kHz and its words; `source` names the phone alphabet."""

    source: str
    voice: str
    samples: NDArray[np.int16]
    words: tuple[SpokenWord, ...]
