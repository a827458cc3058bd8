"""One pass of sync: a folder's recordings go into the store, and a reference goes out for each."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from lfk.core.errors import BucketMissing, LfkError
from lfk.roles.done_marker import DoneMarkers
from lfk.roles.scan import Found, Misfit, Scan
from lfk.roles.sieve import Sieve
from lfk.roles.source import own_folders, refuse_own_folder
from lfk.roles.sync_events import Summary
from lfk.roles.sync_files import FileSync
from lfk.roles.sync_job import SyncJob
from lfk.stores.base import ObjectStore

log = logging.getLogger(__name__)

#: Between looks for what uploads left behind; it is found a day late anyway.
_SWEEP_SECONDS = 3600.0


class Synchroniser:
    """A folder and the :class:`FileSync` that takes its files on. One owner at a time."""

    def __init__(self, job: SyncJob, store: ObjectStore, files: FileSync) -> None:
        """``files`` was made for the same job and store.

        Raises:
            UsageError: the folder lies in the store's own audio folder.
        """
        refuse_own_folder(job.source, job.roots.audio)
        self._next_sweep = 0.0
        self._job = job
        self._store = store
        self.files = files

    def run(self) -> Summary:
        """One pass. An outage on the way ends it early and stands in the summary.

        Raises:
            LfkError: the store's audio root cannot be used at all.
        """
        begun = time.monotonic()
        self.prepare()
        for item in self.scan():
            self.take(item)
        self.files.finish()
        self.mark()
        self.files.summary.seconds = time.monotonic() - begun
        return self.files.summary

    def prepare(self) -> None:
        """Confirm that the audio root is there; a store folder of this machine is made if it is missing."""
        audio = self._job.roots.audio
        try:
            self._store.check(audio)
        except BucketMissing:
            if audio.scheme != "file":
                raise
            if not self._job.dry_run:
                self._store.ensure(audio)

    def scan(self, *, trust: bool = False) -> Iterator[Found | Misfit]:
        """What is in the folder now and has to be looked at; ends early where nothing more is to be begun.

        Without ``trust`` the store is listed, to pass over what is unchanged; but not where what is unchanged is to
        leave the folder.
        """
        self._sweep_when_due()
        walk = self.walk()
        sift = not trust and self._job.afterwards is None
        for item in Sieve(self._store, self.files).sift(walk) if sift else walk:
            if self.files.over:
                break
            yield item
        self.files.summary.ignored = walk.ignored

    def mark(self) -> None:
        """Once nothing is under way: tell with a marker, where that is asked for, that the tree is in the store.

        Raises:
            LfkError: the store refuses, or is out of reach.
        """
        if self._job.done_marker and not (self._job.dry_run or self.files.over):
            markers = DoneMarkers(self._store, self.files.placing, self._job.identity, self._job.done_marker)
            self.files.summary.marking = markers.mark(self.walk())

    def walk(self) -> Scan:
        """The folder as it is now."""
        return Scan(self._job.source, self._job.selection, own_folders(self._job.own_paths))

    def _sweep_when_due(self) -> None:
        """Remove what uploads left in the store when they were killed, and nobody has taken up since."""
        job = self._job
        if job.dry_run or not job.sweep_after or time.monotonic() < self._next_sweep:
            return
        self._next_sweep = time.monotonic() + _SWEEP_SECONDS
        try:
            swept = self._store.sweep(job.roots.audio, older_than=job.sweep_after)
        except LfkError as error:
            # Who may only write objects may not look for these; somebody else's sync, or a lifecycle rule, will.
            log.info("uploads that were broken off cannot be looked for: %s", error)
        else:
            if swept:
                log.info("%d uploads that were broken off are removed", swept)

    def take(self, item: Found | Misfit, *, trust: bool = False) -> None:
        """Take on what a scan has found; ``trust`` as in :meth:`FileSync.offer`."""
        if isinstance(item, Found):
            self.files.offer(item, trust=trust)
        else:
            self.files.refuse(item)
