"""What became of the references of a batch: answered by a transcript or a failure, or still outstanding."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lfk.core.addressing import AudioAddress, Roots, collision_key, resolve
from lfk.core.answered import answers
from lfk.core.batch import Entry, Head, Tally, total
from lfk.core.errors import LfkError, ObjectMissing, RejectedReference, StoreError, Unreachable
from lfk.core.manifest import Manifest
from lfk.roles.batches import RESUMABLE_SECONDS, Batches
from lfk.roles.failed import Failed
from lfk.roles.parallel import in_parallel
from lfk.roles.results import Results
from lfk.roles.tombstones import Tombstones
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

#: The last parts of a batch that is still sent: they may grow, and the last one tells where to go on.
_GROWING = 2

State = Literal["done", "failed", "gone", "outstanding"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one reference. ``seconds`` is the audio's length where it is done."""

    entry: Entry
    state: State
    seconds: float = 0.0


class Judge:
    """Judges references by what the store holds. Safe for use by several threads.

    Held in memory: the failures of batches (batch, location and time of each).
    """

    def __init__(self, store: ObjectStore, roots: Roots, failed: Iterable[Failed]) -> None:
        self._store = store
        self._roots = roots
        self._results = Results(store, roots)
        self._tombstones = Tombstones(store, roots.records)
        self._failed: dict[tuple[str, str], int] = {}
        for one in failed:
            if one.batch_id is not None and one.path is not None:
                known = (one.batch_id, one.path)
                self._failed[known] = max(one.timestamp, self._failed.get(known, 0))

    def all(self, entries: Iterable[Entry]) -> Iterator[Verdict]:
        """A verdict on each, in order.

        Raises:
            Unreachable: the store.
        """
        return in_parallel(self.one, entries)

    def one(self, entry: Entry) -> Verdict:
        """As :meth:`all`."""
        reference = entry.reference
        failed = self._failed.get((reference.batch_id or "", reference.path_to_audio))
        if failed is not None and failed >= (reference.timestamp or 0):
            return Verdict(entry, "failed")
        try:
            address = resolve(reference.path_to_audio, reference.transcription_approach, self._roots)
            manifest = self.manifest(address)
            if manifest is not None and answers(manifest, entry, address) and self._current(manifest, entry, address):
                return Verdict(entry, "done", manifest.duration or 0.0)
            self._store.stat(address.location)
        except ObjectMissing:
            return Verdict(entry, "gone")
        except RejectedReference as error:
            # What may be asked for has changed since: no hub would do it.
            log.warning("%s is asked for no more: %s", reference.path_to_audio, error)
            return Verdict(entry, "gone")
        return Verdict(entry, "outstanding")

    def manifest(self, address: AudioAddress) -> Manifest | None:
        """The manifest of an audio: at its transcript's natural key, or where another audio has that at its own."""
        for key in (address.transcript_key, collision_key(address.transcript_key, address.location)):
            there = self._results.manifest(key)
            if there is not None and there[0].path_to_audio == str(address.location):
                return there[0]
        return None

    def _current(self, manifest: Manifest, entry: Entry, address: AudioAddress) -> bool:
        """It is of the version that was meant, or of what is there now: hubs transcribe what they find."""
        if entry.reference.etag is not None and entry.reference.etag == manifest.audio.etag:
            return True
        return is_of(manifest, self._tombstones.stat(address.location))


def is_of(manifest: Manifest, info: ObjectInfo) -> bool:
    """Whether a transcript is of the audio as it is now. Listings tell no versions, so those are not compared."""
    return (manifest.audio.etag, manifest.audio.size) == (info.etag, info.size)


class OpenBatches:
    """Goes through the open batches: tallies, removes what is answered whole, and gives out what is not."""

    def __init__(
        self, batches: Batches, judge: Judge, *, look_only: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        """``look_only`` closes and removes nothing."""
        self._look_only = look_only
        self._batches = batches
        self._judge = judge
        self._clock = clock

    def outstanding(self, head: Head, after: str | None = None) -> Iterator[tuple[str, Sequence[Entry]]]:
        """Part by part what of a batch is unanswered; parts that are answered whole are closed on the way."""
        for name, verdicts in self._judged(head, after):
            left = [verdict.entry for verdict in verdicts if verdict.state == "outstanding"]
            if left:
                yield name, left

    def tally(self, head: Head) -> Tally:
        """What became of a batch so far. One that is answered whole is removed.

        Raises:
            Unreachable: the store.
        """
        closed = total(self._batches.tallies(head.batch_id).values())
        tally = closed + total(_tally(verdicts) for _name, verdicts in self._judged(head))
        if tally.outstanding == 0 and not self._may_go_on(head) and not self._look_only:
            self._batches.remove(head.batch_id)
        return tally

    def _judged(self, head: Head, after: str | None = None) -> Iterator[tuple[str, list[Verdict]]]:
        growing = [] if head.finished else self._batches.part_names(head.batch_id)[-_GROWING:]
        for name, part in self._batches.parts(head.batch_id, after):
            verdicts = list(self._judge.all(part.entries))
            if (
                not self._look_only
                and name not in growing
                and all(verdict.state != "outstanding" for verdict in verdicts)
            ):
                self._close(head, name, verdicts)
            yield name, verdicts

    def _close(self, head: Head, name: str, verdicts: list[Verdict]) -> None:
        try:
            self._batches.close_part(head.batch_id, name, _tally(verdicts))
        except Unreachable:
            raise
        except LfkError as error:
            # Somebody who may only look is told how it stands all the same.
            log.info("part %s of batch %s stays: %s", name, head.batch_id, error)

    def _may_go_on(self, head: Head) -> bool:
        return not head.finished and self._clock() - head.updated / 1000 < RESUMABLE_SECONDS


def swept(open_batches: OpenBatches, heads: Iterable[Head]) -> Iterator[tuple[Head, Tally]]:
    """The batches that are still open, after removing those that are answered whole."""
    for head in heads:
        try:
            tally = open_batches.tally(head)
        except StoreError as error:
            log.warning("batch %s is passed over: %s", head.batch_id, error)
        else:
            if tally.outstanding or not head.finished:
                yield head, tally


def _tally(verdicts: Iterable[Verdict]) -> Tally:
    counts = {"done": 0, "failed": 0, "gone": 0, "outstanding": 0}
    seconds = 0.0
    for verdict in verdicts:
        counts[verdict.state] += 1
        seconds += verdict.seconds
    return Tally(**counts, seconds=seconds)
