"""Check: what in the store is not as it should be. It changes nothing but that batches answered whole are let go.

Walks sorted listings side by side and reads each manifest once, several at a time. Held in memory: the recorded
failures (location and time), and what :mod:`lfk.core.stock` holds; sorting goes to disk where there is much.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from lfk.core.addressing import Roots, collision_key, resolve
from lfk.core.batch import Head, Tally
from lfk.core.errors import LfkError, ObjectMissing, RejectedReference
from lfk.core.formats import MANIFEST
from lfk.core.location import Location
from lfk.core.manifest import StoredResult
from lfk.roles.batch_progress import Judge, OpenBatches, swept
from lfk.roles.batches import Batches
from lfk.roles.examine import Examined, Examiner, rewritten_meanwhile
from lfk.roles.failed import Failed, NewestFailures, failures
from lfk.roles.parallel import in_parallel
from lfk.roles.spool import ordered
from lfk.roles.stock import Stock, StockPlace, has_transcript, read_owner
from lfk.stores.base import ObjectInfo, ObjectStore

_RESULT_LIMIT = 256 << 20
#: Characters of a job's identity, which a stored result's name begins with.
_JOB_ID = 64


class Trouble(str, Enum):
    """Kinds of findings, in the order in which a summary tells of them."""

    #: Audio without a transcript and without a failure since it was uploaded.
    MISSING = "missing"
    #: The audio has changed since it was transcribed.
    STALE = "stale"
    #: A transcript whose audio is gone.
    ORPHAN = "orphan"
    #: Files without their manifest, a manifest without its files, a result that never became a transcript.
    HALF_WRITTEN = "half-written"
    #: A recorded failure: a dead letter.
    FAILED = "failed"
    #: Audio whose path no reference can ask for.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    trouble: Trouble
    #: Location of the audio, or of the object that is left over.
    location: str
    detail: str


@dataclass(slots=True)
class CheckSummary:
    """What a check has seen."""

    counts: Counter[Trouble] = field(default_factory=Counter)
    audios: int = 0
    transcripts: int = 0
    batches: list[tuple[Head, Tally]] = field(default_factory=list)

    @property
    def found(self) -> int:
        """Findings of all kinds."""
        return sum(self.counts.values())


class Check:
    """See the module. One owner."""

    def __init__(
        self, store: ObjectStore, roots: Roots, report: Callable[[Finding], None], stop: threading.Event, *, deep: bool
    ) -> None:
        """``deep`` reads every file that a manifest lists, and compares its sha256."""
        self._store = store
        self._roots = roots
        self._report = report
        self._stop = stop
        self._deep = deep
        self._examiner = Examiner(store, roots)
        self._failed = NewestFailures(())
        self.summary = CheckSummary()

    def run(self) -> CheckSummary:
        """Go through everything once, or until told to stop.

        Raises:
            Unreachable, AccessDenied, BucketMissing: the store.
        """
        failed = list(failures(self._store, self._roots))
        self._failed = NewestFailures(failed)
        stock = Stock(self._store, self._roots, misfit=self._misfit)
        jobs = ordered(self._examined(stock), lambda row: str(row[0]))
        # The walk ends when its last job's identity is out: only then is it known which results are left over.
        self._results(str(row[0]) for row in jobs)
        for one in failed:
            self._tell(Finding(Trouble.FAILED, one.path or one.event_id, f"{one.code}: {one.message}"))
        self._look_at_batches(failed)
        return self.summary

    def _examined(self, stock: Stock) -> Iterator[tuple[str]]:
        """Tell of every place; gives out the identity of each job that has a transcript."""
        for examined, findings in in_parallel(self._judge, self._until_stopped(stock.places())):
            self.summary.audios += examined.place.audio is not None
            self.summary.transcripts += examined.manifest is not None
            for finding in findings:
                self._tell(finding)
            if examined.manifest is not None:
                yield (examined.manifest.job_id,)

    def _until_stopped(self, places: Iterator[StockPlace]) -> Iterator[StockPlace]:
        for place in places:
            if self._stop.is_set():
                return
            yield place

    # --- one place

    def _judge(self, place: StockPlace) -> tuple[Examined, list[Finding]]:
        """On a reader's thread."""
        if has_transcript(place) or (place.files and rewritten_meanwhile(self._store, self._roots, place.key)):
            examined = self._examiner.look(place)
        else:
            examined = Examined(place)
        if examined.manifest is None:
            return examined, list(self._without_manifest(place))
        return examined, list(self._with_manifest(examined))

    def _without_manifest(self, place: StockPlace) -> Iterator[Finding]:
        audio = place.audio
        if place.files:
            there = ", ".join(sorted(place.files))
            if audio is None and self._owner_is_gone(place):
                yield Finding(Trouble.ORPHAN, self._transcript(place.key), f"files without audio: {there}")
                return
            what = "not a manifest" if has_transcript(place) else f"files without a manifest: {there}"
            yield Finding(
                Trouble.HALF_WRITTEN, self._transcript(place.key) if audio is None else str(audio.info.location), what
            )
        elif audio is not None and not self._failed.since(audio.info, audio.address.pair):
            yield Finding(Trouble.MISSING, str(audio.info.location), f"no transcript for {audio.address.pair}")

    def _with_manifest(self, examined: Examined) -> Iterator[Finding]:
        place, manifest = examined.place, examined.manifest
        mine = place.audio
        if mine is not None and examined.audio is not mine.info:
            # Another audio's transcript is where this one's would be.
            yield Finding(Trouble.MISSING, str(mine.info.location), f"no transcript for {mine.address.pair}")
        if examined.orphaned and manifest is not None:
            yield Finding(Trouble.ORPHAN, self._transcript(place.key), f"there is no {manifest.path_to_audio}")
        elif examined.stale and manifest is not None:
            yield Finding(
                Trouble.STALE, manifest.path_to_audio, f"changed since it became {self._transcript(place.key)}"
            )
        faults = list(self._examiner.faults(examined, deep=self._deep))
        if faults:
            yield Finding(Trouble.HALF_WRITTEN, self._transcript(place.key), "; ".join(faults))

    def _owner_is_gone(self, place: StockPlace) -> bool:
        owner = None if place.owner is None else read_owner(self._store, place.owner.location)
        if owner is None:
            return True
        try:
            self._store.stat(resolve(owner, None, self._roots).location)
        except (ObjectMissing, RejectedReference):
            return True
        return False

    # --- results

    def _results(self, jobs: Iterator[str]) -> None:
        """Tell of results that no manifest is made of; ``jobs`` ascend, as the listing does."""
        following = next(jobs, "")
        folder = self._roots.records.join("results").as_prefix()
        for info in self._store.list(folder):
            if self._stop.is_set():
                break
            job = info.location.name[:_JOB_ID]
            if info.location.name.startswith("recognition-"):
                continue
            while following and following < job:
                following = next(jobs, "")
            if following != job:
                self._left_over(info)
        for _rest in jobs:
            # The walk has to come to its end, too.
            pass

    def _left_over(self, info: ObjectInfo) -> None:
        try:
            result = StoredResult.from_bytes(self._store.read(info.location, limit=_RESULT_LIMIT)[0])
        except ObjectMissing:
            return
        except ValueError as error:
            self._tell(Finding(Trouble.HALF_WRITTEN, str(info.location), f"not a result: {error}"))
            return
        if result.audio is None:
            self._tell(Finding(Trouble.HALF_WRITTEN, str(info.location), "a result without a transcript"))
        elif not self._superseded(result.audio, result.pair):
            self._tell(
                Finding(Trouble.HALF_WRITTEN, str(info.location), f"the transcript of {result.audio} is missing")
            )

    def _superseded(self, audio: str, pair: str | None) -> bool:
        """Whether the audio of a result is gone, has another transcript by now, or was told of already."""
        try:
            address = resolve(audio, pair, self._roots)
            self._store.stat(address.location)
        except (ObjectMissing, RejectedReference):
            return True
        keys = (address.transcript_key, collision_key(address.transcript_key, address.location))
        return any(self._any_file(key) for key in keys)

    def _any_file(self, key: str) -> bool:
        prefix = self._roots.transcripts.join(f"{key}.")
        return next(iter(self._store.list(prefix)), None) is not None

    # --- the rest

    def _look_at_batches(self, failed: list[Failed]) -> None:
        batches = Batches(self._store, self._roots.records)
        judge = Judge(self._store, self._roots, failed)
        if not self._stop.is_set():
            self.summary.batches = list(swept(OpenBatches(batches, judge), batches.open()))

    def _misfit(self, info: ObjectInfo, error: LfkError) -> None:
        self._tell(Finding(Trouble.REFUSED, str(info.location), f"{error.code}: {error.message}"))

    def _transcript(self, key: str) -> str:
        return str(self._manifest_location(key))

    def _manifest_location(self, key: str) -> Location:
        return self._roots.transcripts.join(f"{key}.{MANIFEST}")

    def _tell(self, finding: Finding) -> None:
        self.summary.counts[finding.trouble] += 1
        self._report(finding)
