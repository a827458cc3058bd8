"""How long audio is, and how long it will take: judged by transcripts that were made lately.

Nobody knows a recording's length before it is decoded. Recent manifests tell bytes and seconds of theirs, so seconds
per byte by kind of file; and seconds of work per second of audio for each approach and model.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from lfk.core.addressing import Roots
from lfk.core.errors import ObjectMissing
from lfk.core.formats import MANIFEST
from lfk.core.manifest import Manifest, read_manifest
from lfk.roles.heartbeat import hub_reports
from lfk.roles.parallel import in_parallel
from lfk.stores.base import ObjectInfo, ObjectStore

#: Manifests to learn from: the latest ones, as hubs and models change.
_SAMPLES = 100
_MANIFEST_LIMIT = 256 << 20
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
        kind = self._kinds.get(_kind(name)) or self._kinds.get("")
        if kind is None:
            self.unknown += count
            return
        seconds = size * kind.audio / kind.size
        worked = self._pairs.get(pair) or self._pairs[""]
        self.audio_seconds += seconds
        self.work_seconds += seconds * worked.work / worked.audio

    @property
    def seconds_left(self) -> float | None:
        """How long the engines that are at work will take; one engine where none is. None where nothing is known."""
        return self.work_seconds / max(1, self.engines) if self.samples else None


def open_estimator(store: ObjectStore, roots: Roots) -> Estimator:
    """Learn from the latest transcripts; lists them all, and reads a hundred.

    Raises:
        Unreachable: the store.
    """
    estimator = Estimator()
    latest = heapq.nlargest(_SAMPLES, _manifests(store, roots), key=lambda info: info.modified)

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


def _manifests(store: ObjectStore, roots: Roots) -> Iterator[ObjectInfo]:
    for info in store.list(roots.transcripts):
        if info.location.key.endswith(f".{MANIFEST}") and not roots.records.contains(info.location):
            yield info


def _kind(name: str) -> str:
    return name.rpartition(".")[2].lower()
