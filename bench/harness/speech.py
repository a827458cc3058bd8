"""Human speech with its text, put together to any length: clips of a few seconds, files of minutes.

Sentences of LibriVox readers that travel with lfk, and, where they are installed, the clips of Debian's
pocketsphinx-testdata and asterisk-core-sounds-en-g722. They follow each other in a seeded order with pauses of a
speaker's length. The first sample carries a number, so that no two recordings are of the same content and nothing is
taken from an earlier round; nobody can hear it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.quality import alignment_clips
from bench.quality.voices import write_wav

RATE = 16_000
_SHIPPED = Path(__file__).resolve().parents[2] / "lfk" / "demo" / "speech"
#: Seconds between two sentences.
_PAUSE = (0.35, 0.9)
#: Shorter pieces say too little to be judged by.
_LEAST_SECONDS = 1.0
#: No part of a sentence is ever cut off, so a clip ends up within this of what was asked.
_STEP = 1 / 32768


@dataclass(frozen=True)
class Utterance:
    """A sentence and what is said in it."""

    samples: NDArray[np.float32]
    text: str

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE


@dataclass(frozen=True)
class Recording:
    """A file and the text that is said in it."""

    path: Path
    text: str
    seconds: float


@dataclass(frozen=True)
class Stock:
    """Utterances at hand, and where they are from."""

    utterances: Sequence[Utterance]
    sources: str


def stock() -> Stock:
    """Everything that is on this machine."""
    found = [Utterance(alignment_clips._decoded(path), _shipped_text(path)) for path in sorted(_SHIPPED.glob("*.flac"))]
    sources = ["speech that travels with lfk"]
    for package in ("pocketsphinx-testdata", "asterisk-core-sounds-en-g722"):
        try:
            clips = [
                clip for clip in alignment_clips.PACKAGES[package]() if clip.group in ("librivox", "announcements")
            ]
            more = [Utterance(clip.sound(), " ".join(clip.words)) for clip in clips]
        except FileNotFoundError:
            continue
        found += more
        sources.append(f"{len(more)} clips of {package}")
    return Stock([one for one in found if one.seconds >= _LEAST_SECONDS], ", ".join(sources))


def record(folder: Path, lengths: Sequence[float], have: Stock, *, seed: int, number: int) -> list[Recording]:
    """One recording of about each length in seconds, in WAV; ``number`` tells rounds of the same speech apart."""
    folder.mkdir(parents=True)
    made = []
    for place, length in enumerate(lengths):
        samples, text = _compose(have.utterances, length, random.Random(f"{seed} {place}"))
        samples[0] = number * _STEP
        path = folder / f"{place:03d}.wav"
        write_wav(path, samples)
        made.append(Recording(path, text, len(samples) / RATE))
    return made


def lengths(count: int, shortest: float, longest: float, *, seed: int) -> list[float]:
    """Lengths in seconds, evenly spread."""
    chance = random.Random(seed)
    return [round(chance.uniform(shortest, longest), 2) for _ in range(count)]


def wer(said: Mapping[str, str], heard: Mapping[str, str]) -> float:
    """Word error rate after Whisper's own English normaliser; what was not heard counts as all words deleted."""
    import jiwer
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    normal = EnglishTextNormalizer({})
    names = sorted(said)
    return float(jiwer.wer([normal(said[name]) for name in names], [normal(heard.get(name, "")) for name in names]))


def _compose(utterances: Sequence[Utterance], length: float, chance: random.Random) -> tuple[NDArray[np.float32], str]:
    pieces: list[NDArray[np.float32]] = [np.zeros(RATE // 10, np.float32)]
    texts: list[str] = []
    have = 0.1
    while True:
        left = length - have
        fitting = [one for one in utterances if one.seconds <= left]
        if not fitting:
            break
        one = chance.choice(fitting)
        pause = np.zeros(round(chance.uniform(*_PAUSE) * RATE), np.float32)
        pieces += [one.samples, pause]
        texts.append(one.text)
        have += one.seconds + len(pause) / RATE
    return np.concatenate(pieces), " ".join(texts)


def _shipped_text(path: Path) -> str:
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return " ".join(re.sub(r"^[A-Z]: ", "", line) for line in lines)
