"""Deletes recordings whose transcript is proved to be there: stored audio, or files of a folder.

The proof is that of :mod:`lfk.roles.burial`; for a local file the stored copy (or its tombstone) has to be the same
content, too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lfk.core.addressing import Roots, collision_key
from lfk.core.errors import LfkError, ObjectMissing, RejectedReference, Unreachable
from lfk.core.extraction import EXTRACTED_FROM, parse_origin
from lfk.core.formats import MANIFEST
from lfk.core.location import Location, parse_location
from lfk.core.manifest import Manifest
from lfk.roles.burial import Burial, Kept
from lfk.roles.failures import Failures
from lfk.roles.placing import Placing
from lfk.roles.scan import Found, Misfit, stamp_of, unreadable
from lfk.roles.tombstones import Tombstones
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

_BLOCK = 1 << 20


class Verdict(str, Enum):
    """What is done about one recording."""

    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Judged:
    """One recording. ``why`` says what keeps it; ``error`` what went wrong with it alone."""

    name: str
    verdict: Verdict
    size: int = 0
    why: str = ""
    error: LfkError | None = None


@dataclass(slots=True)
class CleanupSummary:
    """What was seen; ``deleted`` is what would be, in a dry run."""

    deleted: int = 0
    bytes: int = 0
    kept: int = 0
    failed: int = 0


class Cleanup:
    """See the module. One owner."""

    def __init__(
        self,
        store: ObjectStore,
        roots: Roots,
        report: Callable[[Judged], None],
        stop: threading.Event,
        *,
        older_than: float,
        dry_run: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``older_than``: seconds since the transcript was made, or a local file was last changed."""
        self._store = store
        self._roots = roots
        self._report = report
        self._stop = stop
        self._older_than = older_than
        self._dry_run = dry_run
        self._clock = clock
        self._burial = Burial(store, roots, clock)
        self._tombstones = Tombstones(store, roots.records)
        #: Hashes of what a dry run has told of: an audio may have several transcripts, and stays there.
        self._told: set[int] = set()
        self.summary = CleanupSummary()

    def stored(self) -> CleanupSummary:
        """Delete stored audio, one transcript after the other, in flat memory.

        Raises:
            Unreachable: the store is away; what was deleted by then is.
        """
        failed = frozenset(self._failures())
        for info in self._store.list(self._roots.transcripts):
            if self._stop.is_set():
                break
            if info.location.key.endswith(f".{MANIFEST}") and not self._roots.records.contains(info.location):
                self._judge(str(info.location), lambda info=info: self._stored_one(info, failed))  # type: ignore[misc]
        return self.summary

    def local(self, source: Path, found: Iterator[Found | Misfit], placing: Placing) -> CleanupSummary:
        """Delete files of the folder ``source`` that were found in it; errors as for :meth:`stored`."""
        for item in found:
            if self._stop.is_set():
                break
            if isinstance(item, Found):
                self._judge(item.relative, lambda item=item: self._local_one(source, item, placing))  # type: ignore[misc]
        return self.summary

    def _judge(self, name: str, one: Callable[[], Judged | None]) -> None:
        try:
            judged = one()
        except Kept as kept:
            judged = Judged(name, Verdict.KEEP, why=str(kept))
        except Unreachable:
            raise
        except LfkError as error:
            judged = Judged(name, Verdict.KEEP, error=error)
        if judged is None:
            return
        self.summary.deleted += judged.verdict is Verdict.DELETE
        self.summary.bytes += judged.size if judged.verdict is Verdict.DELETE else 0
        self.summary.kept += judged.verdict is Verdict.KEEP and judged.error is None
        self.summary.failed += judged.error is not None
        self._report(judged)

    # --- stored audio

    def _stored_one(self, info: ObjectInfo, failed: frozenset[str]) -> Judged | None:
        manifest = self._burial.manifest(info.location)
        if manifest is None:
            return None
        audio = parse_location(manifest.path_to_audio)
        if not self._roots.audio.contains(audio):
            raise Kept("its audio is outside the audio root")
        try:
            there = self._store.stat(audio)
        except ObjectMissing:
            # Deleted before, or together with another transcript of it.
            return None
        if self._clock() - info.modified < self._older_than:
            raise Kept("the transcript is too recent")
        if str(audio) in failed:
            raise Kept("a failure of it is recorded, which may be tried again")
        if hash(audio) in self._told:
            return None
        self._burial.confirm(manifest, there)
        if self._dry_run:
            self._told.add(hash(audio))
        else:
            self._burial.bury(manifest, there, info.location)
        return Judged(str(audio), Verdict.DELETE, there.size)

    def _failures(self) -> Iterator[str]:
        """The audio of each recorded failure; one that cannot be read keeps nothing."""
        for recorded in Failures(self._store, self._roots.records).each():
            if recorded.record is None:
                log.warning("the failure %s is passed over: %s", recorded.event_id, recorded.error)
            elif (path := recorded.record.announcement.path_to_audio) is not None:
                yield path

    # --- local files

    def _local_one(self, source: Path, item: Found, placing: Placing) -> Judged:
        if self._clock() - item.stamp.modified / 1e9 < self._older_than:
            raise Kept("it is too recent")
        try:
            address = placing.of(item.relative).placed.address
        except RejectedReference as error:
            raise Kept(f"it was never synced: {error}") from error
        manifest = self._manifest_of(address.transcript_key, address.location)
        there: ObjectInfo | None = None
        made_from = ""
        try:
            there = self._store.stat(address.location)
            made_from = there.metadata.get(EXTRACTED_FROM, "")
        except ObjectMissing:
            tombstone = self._tombstones.find(address.location)
            if tombstone is None or tombstone.sha256 != manifest.audio.sha256:
                raise Kept("its copy in the store is gone") from None
            made_from = tombstone.extracted_from or ""
        if parse_origin(made_from) is not None:
            raise Kept("the store was sent its audio alone, so there is no copy of it")
        self._burial.confirm(manifest, there)
        path = source / item.relative
        try:
            if _sha256(path) != manifest.audio.sha256:
                raise Kept("it has changed since it was transcribed")
            if stamp_of(path.stat()) != item.stamp:
                raise Kept("it is changing")
            if not self._dry_run:
                path.unlink()
        except OSError as error:
            raise unreadable(error) from error
        return Judged(item.relative, Verdict.DELETE, item.stamp.size)

    def _manifest_of(self, key: str, audio: Location) -> Manifest:
        for candidate in (key, collision_key(key, audio)):
            manifest = self._burial.manifest(self._roots.transcripts.join(f"{candidate}.{MANIFEST}"))
            if manifest is not None and manifest.path_to_audio == str(audio):
                return manifest
        raise Kept("it has no transcript")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def lifecycle_rule(audio: Location, days: int) -> str:
    """The rule with which S3 deletes stored audio by itself, as JSON for ``put-bucket-lifecycle-configuration``."""
    rule = {
        "ID": "lfk-audio",
        "Status": "Enabled",
        "Filter": {"Prefix": audio.key},
        "Expiration": {"Days": days},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": min(days, 7)},
    }
    return json.dumps({"Rules": [rule]}, indent=2)
