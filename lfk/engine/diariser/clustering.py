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
from dataclasses import dataclass

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
    #: Groups that all blocks together may leave, so that hours of noise take seconds to compare; but each block some.
    most_groups: int = 1_500
    least_groups: int = 20


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


class _Merger:
    """Merges groups, nearest first, until those left are different voices.

    Everything is kept in arrays with a row for each group; a group that went into another has an infinite distance
    to all. A merge costs one look at the matrix and one new row.
    """

    def __init__(self, groups: list[_Group], settings: Settings, coverage: float) -> None:
        self._settings = settings
        self._totals = np.stack([group.total for group in groups])
        self._weights = np.array([group.weight for group in groups])
        self._sums = np.array([(group.size, group.scatter, group.pairs, group.count) for group in groups])
        self._alive = np.ones(len(groups), dtype=np.bool_)
        self._coverage = coverage
        pairs = self._sums[:, 2].sum()
        # Without pairs of different audio there are only a few seconds, and no scatter to take off.
        self._average_scatter = self._sums[:, 1].sum() / pairs if pairs else 0.0
        self._distance = np.full((len(groups), len(groups)), np.inf)
        self._excess = np.full((len(groups), len(groups)), np.inf)
        for row in range(len(groups)):
            self._measure(row)

    def run(self, bounds: Bounds, least_seconds: float) -> None:
        """Merge; groups of less than ``least_seconds`` are left where they are unlike all others."""
        while self._alive.sum() > bounds.least:
            large = self._alive & (self.seconds >= least_seconds)
            enough = bounds.most is None or large.sum() <= bounds.most
            score = self._excess if enough else self._distance
            if 2 <= large.sum() <= bounds.least:
                score = np.where(np.outer(large, large), np.inf, score)
            first, second = np.unravel_index(int(np.argmin(score)), score.shape)
            nearest = score[first, second]
            if not np.isfinite(nearest) or (enough and nearest > 0):
                break
            self._merge(int(first), int(second))

    @property
    def seconds(self) -> Numbers:
        """Speech of each group."""
        seconds: Numbers = self._weights / self._coverage
        return seconds

    def heaviest(self) -> tuple[Numbers, Numbers]:
        """Sums, shape (groups, 256), and seconds of the groups that are left, most speech first."""
        order = [row for row in np.argsort(-self._weights, kind="stable") if self._alive[row]]
        return self._totals[order], self.seconds[order]

    def _merge(self, keep: int, gone: int) -> None:
        one, other = self._weights[keep], self._weights[gone]
        between = one * other - float(self._totals[keep] @ self._totals[gone])
        across = (0.0, between, one * other, self._sums[keep, 0] * self._sums[gone, 0])
        self._sums[keep] += self._sums[gone] + across
        self._totals[keep] += self._totals[gone]
        self._weights[keep] += self._weights[gone]
        self._alive[gone] = False
        self._weights[gone] = 0.0
        for matrix in (self._distance, self._excess):
            matrix[gone], matrix[:, gone] = np.inf, np.inf
        self._measure(keep)

    def _measure(self, row: int) -> None:
        """Distances of one group to all others, and by how much they are over the limit."""
        alive = np.flatnonzero(self._alive)
        alive = alive[alive != row]
        cosines = self._totals[alive] @ self._totals[row] / (self._weights[alive] * self._weights[row])
        distance = 1 - cosines - (self._scatter(alive) + self._scatter(np.array([row]))) / 2
        smaller = np.minimum(self.seconds[alive], self.seconds[row])
        excess = distance - self._settings.same_voice - self._settings.doubt / smaller
        self._distance[row, alive], self._distance[alive, row] = distance, distance
        self._excess[row, alive], self._excess[alive, row] = excess, excess

    def _scatter(self, rows: Indices) -> Numbers:
        """Mean distance within each group, drawn towards the average where few pairs were measured."""
        _, scatter, pairs, count = self._sums[rows].T
        own = np.divide(scatter, pairs, out=np.zeros_like(scatter), where=pairs > 0)
        prior = self._settings.scatter_prior
        mean: Numbers = (own * count + self._average_scatter * prior) / (count + prior)
        return mean


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
    blocks = _blocks(chosen, settings.block)
    most_groups = max(settings.least_groups, settings.most_groups // len(blocks))
    groups = [group for block in blocks for group in _tight(voices, block, bounds.least, most_groups, settings)]
    merger = _Merger(groups, settings, voices.coverage)
    least_seconds = min(settings.least_seconds, settings.least_share * float(merger.seconds.sum()))
    merger.run(bounds, least_seconds)
    totals, seconds = merger.heaviest()
    wanted = max(1, bounds.least, int((seconds >= least_seconds).sum()))
    if bounds.most is not None:
        wanted = min(wanted, bounds.most)
    centres = totals[:wanted]
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


def _tight(voices: Voices, rows: Indices, least: int, most: int, settings: Settings) -> Iterator[_Group]:
    """Groups of very similar embeddings within one block."""
    vectors = voices.vectors[rows].astype(np.float64)
    if len(rows) == 1:
        labels = np.ones(1, dtype=np.int64)
    else:
        tree = linkage(vectors, method="average", metric="cosine")
        labels = fcluster(tree, settings.tight, criterion="distance")
        if not least <= labels.max() <= most:
            labels = fcluster(tree, max(least, min(most, labels.max())), criterion="maxclust")
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
