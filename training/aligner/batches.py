"""Training batches, each a pure function of (seed, step): which utterances, how they are changed, which labels.

That makes a run independent of worker timing and lets it resume at any step with the batches it would have had.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from training.aligner import augment
from training.aligner.corpus import Corpus
from training.aligner.speech import SAMPLE_RATE, SOURCES, TimedWord
from training.aligner.targets import IGNORED, PhoneIds, frames, letter_labels, phone_labels

_BATCH_SECONDS = 20.0
_POOL = 64  # examples sorted by length together, so that a batch holds little padding
_EXAMPLE_SIZES = (1, 1, 2, 4)  # utterances per example
_PADDING_LEVEL = 1e-3  # of the example's peak

Plan = list[list[tuple[int, ...]]]
"""For each step its examples, each one to four utterance numbers of one source."""


@dataclass(frozen=True)
class Example:
    """One augmented sound and the words in it, all of one source."""

    sound: augment.Sound
    words: list[TimedWord]
    source: str


@dataclass(frozen=True)
class Batch:
    """`sound` (examples, samples); `letters` (examples, frames); `phones` the same for each source."""

    sound: torch.Tensor
    letters: torch.Tensor
    phones: dict[str, torch.Tensor]


def plan(corpus: Corpus, steps: int, seed: int) -> Plan:
    """Up to 20 s of sound for each step, drawn with replacement."""
    rng = random.Random(seed)
    utterances = corpus.utterances
    by_source = {source: [n for n, u in enumerate(utterances) if u.source == source] for source in SOURCES}
    planned: Plan = []

    def example() -> tuple[int, ...]:
        first = rng.randrange(len(utterances))
        more = rng.choice(_EXAMPLE_SIZES) - 1
        return (first, *rng.choices(by_source[utterances[first].source], k=more))

    def seconds(numbers: tuple[int, ...]) -> float:
        return sum(utterances[number].count for number in numbers) / SAMPLE_RATE

    while len(planned) < steps:
        batches: Plan = [[]]
        for numbers in sorted((example() for _ in range(_POOL)), key=seconds):
            if batches[-1] and sum(map(seconds, (*batches[-1], numbers))) > _BATCH_SECONDS:
                batches.append([])
            batches[-1].append(numbers)
        rng.shuffle(batches)
        planned += batches
    return planned[:steps]


def augmented(corpus: Corpus, numbers: Sequence[int], rng: augment.Rng) -> Example:
    """The utterances, each retimed, one behind the other, as if recorded."""
    utterances = [corpus.utterances[number] for number in numbers]
    parts = [augment.retimed(corpus.sound(utterance), utterance.words, rng) for utterance in utterances]
    sound, words = augment.joined(parts, rng)
    talker = corpus.sound(corpus.utterances[int(rng.integers(len(corpus.utterances)))])
    return Example(augment.recorded(sound, talker, rng), words, utterances[0].source)


def collate(examples: Sequence[Example], ids: PhoneIds, rng: augment.Rng) -> Batch:
    """Pads with faint noise, not zeros (the first layer normalises over the whole example), and makes the labels."""
    longest = max(len(example.sound) for example in examples)
    count = frames(longest)
    sounds = np.zeros((len(examples), longest), np.float32)
    letters = np.zeros((len(examples), count), np.int64)
    phones = {source: np.full((len(examples), count), IGNORED, np.int64) for source in SOURCES}
    for row, example in enumerate(examples):
        missing = longest - len(example.sound)
        sounds[row, : len(example.sound)] = example.sound
        sounds[row, len(example.sound) :] = rng.standard_normal(missing) * _PADDING_LEVEL * np.abs(example.sound).max()
        letters[row] = letter_labels(example.words, count)
        phones[example.source][row] = phone_labels(example.words, count, example.source, ids)
    return Batch(
        torch.from_numpy(sounds),
        torch.from_numpy(letters),
        {source: torch.from_numpy(labels) for source, labels in phones.items()},
    )


class Batches(Dataset[Batch]):
    """Batch number `step` of a plan; the augmentation is drawn from (seed, step)."""

    def __init__(self, corpus: Corpus, planned: Plan, ids: PhoneIds, seed: int) -> None:
        self._corpus, self._planned, self._ids, self._seed = corpus, planned, ids, seed

    def __len__(self) -> int:
        return len(self._planned)

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self._seed, step))
        return collate([augmented(self._corpus, numbers, rng) for numbers in self._planned[step]], self._ids, rng)
