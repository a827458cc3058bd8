"""The part of sync that one worker thread does for one file: look, compare, upload. It owns no state.

Refuses to overwrite what came from another source, and to upload a file that changed since it was found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lfk.core.errors import BucketMissing, ContentChanged, ObjectMissing, SourceConflict
from lfk.core.identity import upload_mark
from lfk.core.location import Location
from lfk.core.media_types import content_type
from lfk.core.sync_plan import Action, Decision, Known, Remote, Stamp, decide, needs_hash
from lfk.roles.scan import stamp_of
from lfk.roles.tombstones import Tombstones
from lfk.stores.base import REFERRED, SHA256, SOURCE, IfAbsent, IfMatch, ObjectStore

#: Read at a time while hashing: large enough that calls cost nothing, small enough for many threads.
_BLOCK = 1 << 20


class Stopped(Exception):
    """The command was told to stop while this file was under way."""


@dataclass(frozen=True, slots=True)
class Task:
    """One file as it was found, and where it goes. ``known`` is what is remembered for that very location."""

    path: Path
    stamp: Stamp
    location: Location
    known: Known | None
    #: Identity of what would be asked now.
    request: str


@dataclass(frozen=True, slots=True)
class Result:
    """What was decided and (unless it was a dry run) done; ``known`` describes the object that is there now."""

    decision: Decision
    known: Known | None


class Uploader:
    """Safe for use by several threads."""

    def __init__(
        self,
        store: ObjectStore,
        source: str,
        stopped: Callable[[], bool],
        *,
        tombstones: Tombstones | None = None,
        dry_run: bool = False,
    ) -> None:
        """``source`` says who uploads and is kept with each object; ASCII, as metadata has to be.

        ``tombstones`` are of audio that was deleted on request, which is not uploaded again.
        """
        self._tombstones = tombstones
        self._store = store
        self._source = source
        self._stopped = stopped
        self._dry_run = dry_run

    def process(self, task: Task, moved: Callable[[int], None]) -> Result:
        """Bring one file's content into the store, if it is not there.

        Raises:
            Stopped: told to stop.
            SourceConflict: another source's object is there.
            ContentChanged: the file changed while it was read.
            PreconditionFailed: the object changed since it was looked at.
            OSError: the local file.
            LfkError: the store's.
        """
        if self._stopped():
            raise Stopped
        remote = self._look(task.location)
        buried = self._buried(task.location) if remote is None else None
        remote = remote or buried
        sha256 = self._hash(task) if needs_hash(task.stamp, task.known, remote) else None
        decision = decide(task.stamp, task.known, remote, sha256, source=self._source, request=task.request)
        if buried is not None and decision.action in (Action.UPLOAD, Action.CONFLICT):
            # Other content than what was deleted there: nothing is in its way.
            decision, remote = Decision(Action.UPLOAD), None
        if decision.action is Action.CONFLICT and remote is not None:
            raise _conflict(task.location, remote)
        if decision.action is Action.UPLOAD or remote is None:
            return Result(decision, None if self._dry_run else self._upload(task, decision, moved))
        return Result(decision, _remembered(task, remote, sha256))

    def _look(self, location: Location) -> Remote | None:
        try:
            info = self._store.stat(location)
        except ObjectMissing:
            return None
        except BucketMissing:
            # A store folder that a real pass would make first.
            if self._dry_run and location.scheme == "file":
                return None
            raise
        return Remote(info.size, info.etag, info.version_id, info.metadata.get(SHA256), info.metadata.get(SOURCE))

    def _buried(self, location: Location) -> Remote | None:
        """What was there before it was deleted on request, once its transcript had been verified."""
        found = self._tombstones.find(location) if self._tombstones is not None else None
        return None if found is None else Remote(found.size, found.etag, found.version_id, found.sha256, None)

    def _upload(self, task: Task, decision: Decision, moved: Callable[[int], None]) -> Known:
        def progress(size: int) -> None:
            if self._stopped():
                raise Stopped
            moved(size)

        _confirm_unchanged(task)
        info, sha256 = self._store.upload(
            task.path,
            task.location,
            content_type=content_type(task.path.name) or "application/octet-stream",
            metadata={SOURCE: self._source, REFERRED: upload_mark(str(task.location))},
            condition=IfAbsent() if decision.replaces is None else IfMatch(decision.replaces),
            progress=progress,
        )
        if info.size != task.stamp.size:
            raise ContentChanged(f"{info.size} bytes were uploaded of what had {task.stamp.size}")
        return Known(task.stamp, str(task.location), sha256, info.etag, info.version_id)

    def _hash(self, task: Task) -> str:
        digest = hashlib.sha256()
        with task.path.open("rb") as file:
            while block := file.read(_BLOCK):
                if self._stopped():
                    raise Stopped
                digest.update(block)
        _confirm_unchanged(task)
        return digest.hexdigest()


def _remembered(task: Task, remote: Remote, sha256: str | None) -> Known:
    """What to remember of an object that is there already with this content."""
    known = task.known
    content = sha256 or (known.sha256 if known is not None else "")
    confirmed = known.confirmed if known is not None and (known.etag, known.sha256) == (remote.etag, content) else ""
    return Known(task.stamp, str(task.location), content, remote.etag, remote.version_id, confirmed)


def _confirm_unchanged(task: Task) -> None:
    if stamp_of(task.path.stat()) != task.stamp:
        raise ContentChanged("it changed since it was found")


def _conflict(location: Location, remote: Remote) -> SourceConflict:
    if remote.source is None:
        return SourceConflict(
            f"{location} is there, and was not uploaded by `lfk sync`",
            hint="use `lfk submit` for what is in the store already, or --prefix to keep both",
        )
    host = remote.source.partition(":")[0]
    return SourceConflict(f"{location} was uploaded from another source ({host}) with other content")
