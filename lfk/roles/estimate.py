"""How long audio is, and how long it will take: judged by transcripts that were made lately.

Nobody knows a recording's length before it is decoded. Recent manifests tell bytes and seconds of theirs, so seconds
per byte by kind of file; and seconds of work per second of audio for each approach and model.
"""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from lfk.core.addressing import Roots
from lfk.core.errors import ObjectMissing
from lfk.core.formats import MANIFEST
from lfk.core.lengths import likely_seconds
from lfk.core.manifest import Manifest, read_manifest
from lfk.roles.heartbeat import hub_reports
from lfk.roles.parallel import in_parallel
from lfk.stores.base import ObjectInfo, ObjectStore

#: Manifests to learn from: the latest ones, as hubs and models change.
_SAMPLES = 100
_MANIFEST_LIMIT = 256 << 20
#: Whoever looks again and again lists this many objects at most, and learns anew this often.
_LISTED = 20_000
_LEARN_SECONDS = 300.0
#: Stages of the engine, among a manifest's timings.
_WORK = ("decode", "transcribe", "align", "diarise")


@dataclass(slots=True)
class _Sum:
    size: float = 0.0
    audio: float = 0.0
    work: float = 0.0


@dataclass(slots=True)
class Estimator:
    """What recent transcripts have taught; :meth:`add` audio, then read the rest."""

    samples: int = 0
    #: Engines of the hubs that are at work.
    engines: int = 0
    #: Seconds of audio, as far as there was anything to judge by.
    audio_seconds: float = 0.0
    work_seconds: float = 0.0
    #: Audios that nothing could be said of.
    unknown: int = 0
    _kinds: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))
    _pairs: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))

    def learn(self, manifest: Manifest) -> None:
        """Take one transcript for an example."""
        if not manifest.duration or not manifest.audio.size:
            return
        self.samples += 1
        work = sum(manifest.timings.get(stage, 0.0) for stage in _WORK)
        for known in (self._kinds[_kind(manifest.path_to_audio)], self._kinds[""]):
            known.size += manifest.audio.size
            known.audio += manifest.duration
        for known in (self._pairs[manifest.transcription_approach], self._pairs[""]):
            known.audio += manifest.duration
            known.work += work

    def add(self, name: str, size: int, pair: str, count: int = 1) -> None:
        """Count audio that is to be transcribed by ``pair``; other kinds stand in where there is no example of it."""
        seconds = self.length(name, size, any_kind=True)
        if seconds is None:
            self.unknown += count
            return
        worked = self._pairs.get(pair) or self._pairs[""]
        self.audio_seconds += seconds
        self.work_seconds += seconds * worked.work / worked.audio

    def length(self, name: str, size: int, *, any_kind: bool = False) -> float | None:
        """Seconds of audio in a file of so many bytes; None where there is no example of its kind.

        ``any_kind``: other kinds stand in then.
        """
        kind = self._kinds.get(_kind(name)) or (self._kinds.get("") if any_kind else None)
        return None if kind is None else size * kind.audio / kind.size

    @property
    def seconds_left(self) -> float | None:
        """How long the engines that are at work will take; one engine where none is. None where nothing is known."""
        return self.work_seconds / max(1, self.engines) if self.samples else None


class Lengths:
    """How long waiting audio is that nobody told the length of, for whoever looks again and again. One owner."""

    def __init__(self, store: ObjectStore, roots: Roots, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is read before the first question."""
        self._store = store
        self._roots = roots
        self._clock = clock
        self._estimator = Estimator()
        self._learnt: float | None = None

    def seconds(self, name: str, size: int, content_type: str | None) -> float:
        """By transcripts of the same kind of file; where there are none, by what such files usually are.

        Raises:
            Unreachable: the store.
        """
        if self._learnt is None or self._clock() - self._learnt >= _LEARN_SECONDS:
            self._estimator = open_estimator(self._store, self._roots, most=_LISTED)
            self._learnt = self._clock()
        known = self._estimator.length(name, size)
        return likely_seconds(name, size, content_type) if known is None else known


def open_estimator(store: ObjectStore, roots: Roots, *, most: int | None = None) -> Estimator:
    """Learn from the latest transcripts; lists them all (or ``most`` objects), and reads a hundred.

    Raises:
        Unreachable: the store.
    """
    estimator = Estimator()
    latest = heapq.nlargest(_SAMPLES, _manifests(store, roots, most), key=lambda info: info.modified)

    def read(info: ObjectInfo) -> Manifest | None:
        try:
            return read_manifest(store.read(info.location, limit=_MANIFEST_LIMIT)[0])
        except (ObjectMissing, ValueError):
            return None

    for manifest in in_parallel(read, latest):
        if manifest is not None:
            estimator.learn(manifest)
    estimator.engines = sum(hub.engines for hub in hub_reports(store, roots.records) if hub.alive)
    return estimator


def _manifests(store: ObjectStore, roots: Roots, most: int | None) -> Iterator[ObjectInfo]:
    for info in islice(store.list(roots.transcripts), most):
        if info.location.key.endswith(f".{MANIFEST}") and not roots.records.contains(info.location):
            yield info


def _kind(name: str) -> str:
    return name.rpartition(".")[2].lower()
