"""Which of the voices heard in short chunks belong to one person, and so how many people there are.

A distance between single embeddings cannot decide that with one threshold: their scatter is as large as the
distance of two similar voices. Here groups of embeddings are compared, with their own scatter taken off::

    distance(a, b) = mean over pairs of 1 - cos(a, b)  -  (scatter(a) + scatter(b)) / 2

(half the squared energy distance of Székely and Rizzo, 2013, for unit vectors). It tends to zero for two groups of
one voice, however noisy the recording, and to the distance of the voices for two.

Work is bounded for hours of audio: pairs are compared within blocks only; between blocks, groups are compared by
their sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment

Vectors = NDArray[np.float32]
Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Settings:
    """Chosen on the development half of the quality bench. Distances are differences of cosines, 0 to 2."""

    #: Embeddings of less clean speech (seconds in one chunk) than this only get assigned.
    clean_seconds: float = 1.0
    #: Average-linkage distance up to which single embeddings of a block form a group.
    tight: float = 0.12
    #: Groups nearer than this are one voice ...
    same_voice: float = 0.06
    #: ... with this added over the seconds of the smaller group, as little speech says little about a voice.
    doubt: float = 0.2
    #: Who speaks less in all (seconds, or share of the speech in short audio) does not count as a speaker.
    least_seconds: float = 2.5
    least_share: float = 0.2
    #: Pairs of embeddings that the measured scatter of a group has to outweigh the recording's average.
    scatter_prior: float = 6.0
    #: Embeddings whose chunks start this much apart share no more than 2 s of audio.
    apart_seconds: float = 3.0
    #: Embeddings compared pairwise at once: 600 take 3 MB, and stand for about 8 minutes of talk.
    block: int = 600


@dataclass(frozen=True)
class Voices:
    """What was heard: one row for each (chunk, speaker in the chunk).

    ``vectors`` (n, 256) of unit length, ``seconds`` (n,) of clean speech in the chunk, ``starts`` (n,) of the
    chunk in seconds. Rows of one chunk are different people.
    """

    vectors: Vectors
    seconds: Numbers
    starts: Numbers
    #: How many chunks cover one moment of the audio.
    coverage: float = 5.0


@dataclass(frozen=True)
class Bounds:
    """How many speakers there may be."""

    least: int = 1
    most: int | None = None


@dataclass
class _Group:
    """Embeddings of one voice, as sums weighted by seconds: over the embeddings, and over pairs of them.

    ``pairs`` is the weight of the ``count`` pairs whose distances are summed in ``scatter``.
    """

    total: Numbers
    weight: float
    size: int
    scatter: float
    pairs: float
    count: float


@dataclass
class _Merger:
    """Merges groups, nearest first, until those left are different voices."""

    groups: list[_Group]
    settings: Settings
    coverage: float
    average_scatter: float = field(init=False)

    def __post_init__(self) -> None:
        pairs = sum(group.pairs for group in self.groups)
        # Without pairs of different audio there is one group of a few seconds, and nothing to compare.
        self.average_scatter = sum(group.scatter for group in self.groups) / pairs if pairs else 0.0

    def run(self, bounds: Bounds, least_seconds: float) -> list[_Group]:
        """The groups that are left; those of less than ``least_seconds`` are still among them."""
        distance = self._distances()
        while len(self.groups) > bounds.least:
            large = np.array([group.weight / self.coverage >= least_seconds for group in self.groups])
            allowed = distance.copy()
            if large.sum() <= bounds.least:
                allowed[np.outer(large, large)] = np.inf
            enough = bounds.most is None or large.sum() <= bounds.most
            excess = allowed - self._limits()
            first, second = np.unravel_index(int(np.argmin(excess if enough else allowed)), excess.shape)
            if not np.isfinite(allowed[first, second]) or (enough and excess[first, second] > 0):
                break
            distance = self._merge(int(first), int(second), distance)
        return self.groups

    def _limits(self) -> Numbers:
        seconds = np.array([group.weight for group in self.groups]) / self.coverage
        limits: Numbers = self.settings.same_voice + self.settings.doubt / np.minimum.outer(seconds, seconds)
        return limits

    def _merge(self, first: int, second: int, distance: Numbers) -> Numbers:
        keep, gone = min(first, second), max(first, second)
        one, other = self.groups[keep], self.groups.pop(gone)
        between = one.weight * other.weight - float(one.total @ other.total)
        self.groups[keep] = _Group(
            total=one.total + other.total,
            weight=one.weight + other.weight,
            size=one.size + other.size,
            scatter=one.scatter + other.scatter + between,
            pairs=one.pairs + other.pairs + one.weight * other.weight,
            count=one.count + other.count + one.size * other.size,
        )
        distance = np.delete(np.delete(distance, gone, axis=0), gone, axis=1)
        row = self._distances_from(keep)
        distance[keep], distance[:, keep] = row, row
        return distance

    def _distances(self) -> Numbers:
        return np.stack([self._distances_from(index) for index in range(len(self.groups))])

    def _distances_from(self, index: int) -> Numbers:
        means = np.stack([group.total / group.weight for group in self.groups])
        scatter = np.array([self._scatter(group) for group in self.groups])
        row: Numbers = 1 - means @ means[index] - (scatter + scatter[index]) / 2
        row[index] = np.inf
        return row

    def _scatter(self, group: _Group) -> float:
        own = group.scatter / group.pairs if group.pairs else 0.0
        prior = self.settings.scatter_prior
        return (own * group.count + self.average_scatter * prior) / (group.count + prior)


def find_speakers(voices: Voices, bounds: Bounds, settings: Settings | None = None) -> Vectors:
    """One unit vector for each speaker, shape (speakers, 256); at least one row if there is any embedding.

    Fewer than ``bounds.least`` come back only where there are fewer embeddings. ``bounds.least`` is 1 or more.
    """
    settings = settings or Settings()
    chosen = np.flatnonzero(voices.seconds >= settings.clean_seconds)
    if len(chosen) == 0:
        chosen = np.argsort(-voices.seconds)[: max(3, bounds.least)]
    if len(chosen) == 0:
        return np.zeros((0, voices.vectors.shape[1]), dtype=np.float32)
    groups = [group for block in _blocks(chosen, settings.block) for group in _tight(voices, block, bounds, settings)]
    least_seconds = min(
        settings.least_seconds, settings.least_share * sum(group.weight for group in groups) / voices.coverage
    )
    merger = _Merger(groups, settings, voices.coverage)
    groups = sorted(merger.run(bounds, least_seconds), key=lambda group: -group.weight)
    large = sum(group.weight / voices.coverage >= least_seconds for group in groups)
    wanted = max(1, bounds.least, large)
    if bounds.most is not None:
        wanted = min(wanted, bounds.most)
    centres = np.stack([group.total for group in groups[:wanted]])
    unit: Vectors = (centres / np.linalg.norm(centres, axis=1, keepdims=True)).astype(np.float32)
    return unit


def assign(voices: Voices, speakers: Vectors) -> Indices:
    """The speaker of each row: the most similar, but two rows of one chunk never share one.

    A row is -1 where its chunk has more speakers than there are in all.
    """
    similar = voices.vectors @ speakers.T
    labels = np.full(len(similar), -1, dtype=np.int64)
    for rows in _same_chunk(voices.starts):
        chosen, label = linear_sum_assignment(-similar[rows])
        labels[rows[chosen]] = label
    return labels


def _blocks(chosen: Indices, size: int) -> list[Indices]:
    return [np.asarray(block) for block in np.array_split(chosen, -(-len(chosen) // size))]


def _tight(voices: Voices, rows: Indices, bounds: Bounds, settings: Settings) -> Iterator[_Group]:
    """Groups of very similar embeddings within one block."""
    vectors = voices.vectors[rows].astype(np.float64)
    if len(rows) == 1:
        labels = np.ones(1, dtype=np.int64)
    else:
        tree = linkage(vectors, method="average", metric="cosine")
        labels = fcluster(tree, settings.tight, criterion="distance")
        if labels.max() < bounds.least:
            labels = fcluster(tree, bounds.least, criterion="maxclust")
    for label in range(1, int(labels.max()) + 1):
        inside = labels == label
        own, weights, starts = vectors[inside], voices.seconds[rows[inside]], voices.starts[rows[inside]]
        apart = np.abs(starts[:, None] - starts[None, :]) >= settings.apart_seconds
        pair_weights = np.outer(weights, weights) * apart / 2
        yield _Group(
            total=weights @ own,
            weight=float(weights.sum()),
            size=len(own),
            scatter=float((pair_weights * (1 - own @ own.T)).sum()),
            pairs=float(pair_weights.sum()),
            count=float(apart.sum() / 2),
        )


def _same_chunk(starts: Numbers) -> list[Indices]:
    return [np.asarray(rows) for rows in np.split(np.arange(len(starts)), np.flatnonzero(np.diff(starts)) + 1)]
