"""The spoken corpus on disk: one file of samples, one JSON line per utterance with the time of every letter and phone.

Made once from a seed and then only read; a folder that was made from other settings is refused rather than reused.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.aligner import espeak, flite, text
from training.aligner.letters import LetterTimes
from training.aligner.speech import SAMPLE_RATE, SOURCES, Phone, Speech, TimedWord, TimesUnusable

_SAMPLES_FILE, _INDEX_FILE, _RECIPE_FILE = "samples.i16", "utterances.jsonl", "recipe.json"


@dataclass(frozen=True)
class Recipe:
    """What a corpus is made from; `lines` is the number of utterances."""

    lines: int
    seed: int


@dataclass(frozen=True)
class Utterance:
    """`count` samples from `offset` on in the corpus's sample file; `source` names the phone alphabet."""

    source: str
    voice: str
    offset: int
    count: int
    words: tuple[TimedWord, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True)
class Corpus:
    """Utterances and the samples that they point into."""

    utterances: tuple[Utterance, ...]
    samples: NDArray[np.int16]

    def sound(self, utterance: Utterance) -> NDArray[np.float32]:
        """Samples of one utterance, -1 to 1."""
        cut = self.samples[utterance.offset : utterance.offset + utterance.count]
        return cut.astype(np.float32) / 32768

    @property
    def hours(self) -> float:
        return sum(utterance.count for utterance in self.utterances) / SAMPLE_RATE / 3600


def speak_all(lines: Iterable[str], seed: int) -> Iterable[Speech]:
    """Each line by one synthesiser, taking turns; flite takes over the lines that espeak-ng cannot time.

    espeak-ng joins some pairs ("of the") into one word event; flite never fails on a line of this grammar.
    """
    rng = random.Random(seed)
    voices, accents = flite.Flite(), espeak.Espeak()
    for index, line in enumerate(lines):
        if SOURCES[index % len(SOURCES)] == "espeak":
            try:
                yield espeak.random_speech(accents, line, rng)
                continue
            except TimesUnusable:
                pass
        yield flite.random_speech(voices, line, rng)


def make(folder: Path, recipe: Recipe) -> None:
    """Speaks the lines of `recipe` and writes the corpus into `folder`; the recipe goes last and marks it complete."""
    folder.mkdir(parents=True, exist_ok=True)
    rare = text.dictionary_words(text.bundled_dictionary())
    speeches = list(speak_all(text.lines(recipe.lines, recipe.seed, rare), recipe.seed))
    times = {
        source: LetterTimes(chain.from_iterable(speech.words for speech in speeches if speech.source == source))
        for source in SOURCES
    }
    offset = 0
    with (folder / _SAMPLES_FILE).open("wb") as samples, (folder / _INDEX_FILE).open("w", encoding="utf-8") as index:
        for speech in speeches:
            words = tuple(
                TimedWord(word.text, word.start, word.end, tuple(times[speech.source].onsets(word)), word.phones)
                for word in speech.words
            )
            utterance = Utterance(speech.source, speech.voice, offset, len(speech.samples), words)
            index.write(json.dumps(asdict(utterance)) + "\n")
            samples.write(speech.samples.tobytes())
            offset += len(speech.samples)
    (folder / _RECIPE_FILE).write_text(json.dumps(asdict(recipe)), encoding="utf-8")


def load(folder: Path, recipe: Recipe) -> Corpus:
    """The corpus in `folder`, made first if there is none. Raises ValueError if it was made from another recipe."""
    marker = folder / _RECIPE_FILE
    if not marker.exists():
        make(folder, recipe)
    if (found := json.loads(marker.read_text(encoding="utf-8"))) != asdict(recipe):
        raise ValueError(f"{folder} holds a corpus made from {found}; give another folder or remove it")
    with (folder / _INDEX_FILE).open(encoding="utf-8") as index:
        utterances = tuple(_utterance(json.loads(line)) for line in index)
    return Corpus(utterances, np.memmap(folder / _SAMPLES_FILE, dtype=np.int16, mode="r"))


def _utterance(record: dict[str, object]) -> Utterance:
    words: Sequence[dict[str, object]] = record.pop("words")  # type: ignore[assignment]
    return Utterance(**record, words=tuple(_timed_word(word) for word in words))  # type: ignore[arg-type]


def _timed_word(record: dict[str, object]) -> TimedWord:
    phones: Sequence[dict[str, object]] = record.pop("phones")  # type: ignore[assignment]
    onsets: Sequence[float] = record.pop("onsets")  # type: ignore[assignment]
    timed = tuple(Phone(**phone) for phone in phones)  # type: ignore[arg-type]
    return TimedWord(**record, onsets=tuple(onsets), phones=timed)  # type: ignore[arg-type]
