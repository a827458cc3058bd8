"""The part of sync that one worker thread does for one file: look, compare, upload. It owns no state.

Where that is asked for, it is the audio of a video that goes up, and not the video. Refuses to overwrite what came
from another source, and to upload a file that changed since it was found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from lfk.core.errors import BucketMissing, ContentChanged, ObjectMissing, SourceConflict
from lfk.core.extraction import EXTRACTED_FROM, FORMS, Origin, holds_video, parse_origin
from lfk.core.identity import upload_mark
from lfk.core.location import Location
from lfk.core.media_types import content_type
from lfk.core.sync_plan import Action, Content, Decision, Known, Remote, Stamp, decide, needs_hash
from lfk.roles.forgotten import Forgotten, forgotten
from lfk.roles.scan import stamp_of
from lfk.roles.tombstones import Tombstones
from lfk.stores.base import REFERRED, SHA256, SOURCE, IfAbsent, IfMatch, ObjectInfo, ObjectStore

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
    #: It is known that there was nothing a moment ago.
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What was decided and (unless it was a dry run) done; ``known`` describes the object that is there now."""

    decision: Decision
    known: Known | None


class Extractor(Protocol):
    """Takes the audio out of recordings. Safe for use by several threads."""

    #: One of :data:`lfk.core.extraction.FORMS`.
    form: str

    def extracted(self, path: Path, stopped: Callable[[], bool]) -> AbstractContextManager[Path]:
        """A file with the audio of ``path``, which goes with the block.

        Raises:
            MediaError: it is no recording, or has no audio.
            FileUnreadable: it cannot be read.
            ScratchFull: no room for the audio.
            InterruptedError: ``stopped`` said so.
        """


class Uploader:
    """Safe for use by several threads."""

    def __init__(
        self,
        store: ObjectStore,
        source: str,
        stopped: Callable[[], bool],
        *,
        tombstones: Tombstones | None = None,
        forgotten: Forgotten | None = None,
        extractor: Extractor | None = None,
        dry_run: bool = False,
    ) -> None:
        """``source`` says who uploads and is kept with each object; ASCII, as metadata has to be.

        ``tombstones`` are of audio that was deleted on request, which is not uploaded again; ``forgotten`` are notes of
        what was removed with all that was made of it, which is refused.
        """
        self._tombstones = tombstones
        self._forgotten = forgotten
        self._store = store
        self._source = source
        self._stopped = stopped
        self._extractor = extractor
        self._dry_run = dry_run

    def process(self, task: Task, moved: Callable[[int], None]) -> Result:
        """Bring one file's content into the store, if it is not there.

        Raises:
            Stopped: told to stop.
            SourceConflict: another source's object is there.
            AudioForgotten: this content was removed on request.
            ContentChanged: the file changed while it was read.
            PreconditionFailed: the object changed since it was looked at.
            OSError: the local file.
            LfkError: the store's.
        """
        if self._stopped():
            raise Stopped
        there, buried = self._look(task)
        remote = self._as_source(there) if there is not None else None
        sha256 = self._hash(task) if needs_hash(task.stamp, task.known, remote) else None
        decision = decide(task.stamp, task.known, remote, sha256, source=self._source, request=task.request)
        if buried and decision.action in (Action.UPLOAD, Action.CONFLICT):
            # Other content than what was deleted there: nothing is in its way.
            decision, there = Decision(Action.UPLOAD), None
        if decision.action is Action.CONFLICT and remote is not None:
            raise _conflict(task.location, remote)
        if there is None and self._forgotten is not None and self._forgotten.holds(task.location):
            sha256 = sha256 or self._hash(task)
            if self._forgotten.is_content(task.location, sha256):
                raise forgotten()
        if decision.action is Action.UPLOAD or there is None:
            return Result(decision, None if self._dry_run else self._upload(task, decision, moved, sha256))
        return Result(decision, self._remembered(task, there, sha256))

    def _look(self, task: Task) -> tuple[ObjectInfo | None, bool]:
        """The object, or what it was before it was deleted on request; the last value says whether it was."""
        try:
            if not task.absent:
                with suppress(ObjectMissing):
                    return self._store.stat(task.location), False
            found = self._tombstones.find(task.location) if self._tombstones is not None else None
        except BucketMissing:
            # A store folder that a real pass would make first.
            if self._dry_run and task.location.scheme == "file":
                return None, False
            raise
        if found is None:
            return None, False
        told = {SHA256: found.sha256, EXTRACTED_FROM: found.extracted_from or ""}
        return ObjectInfo(task.location, found.size, found.etag, found.modified, found.version_id, metadata=told), True

    def _as_source(self, info: ObjectInfo) -> Remote:
        """The object, as it compares with a file."""
        origin = self._origin(info)
        size, sha256 = (info.size, info.metadata.get(SHA256)) if origin is None else (origin.size, origin.sha256)
        return Remote(size, info.etag, info.version_id, sha256, info.metadata.get(SOURCE))

    def _origin(self, info: ObjectInfo) -> Content | None:
        """The file that the object holds the audio of, in the form that is asked for."""
        origin = parse_origin(info.metadata.get(EXTRACTED_FROM, ""))
        wanted = self._extractor.form if self._extractor is not None else None
        return origin.file if origin is not None and origin.form == wanted else None

    def _upload(self, task: Task, decision: Decision, moved: Callable[[int], None], sha256: str | None) -> Known:
        _confirm_unchanged(task)
        if self._extractor is not None and holds_video(task.path.name):
            sha256 = sha256 or self._hash(task)
            if (known := self._upload_audio(task, decision, moved, sha256, self._extractor)) is not None:
                return known
        kind = content_type(task.path.name) or "application/octet-stream"
        info, sha256 = self._send(task.path, task, decision, moved, kind, {})
        if info.size != task.stamp.size:
            raise ContentChanged(f"{info.size} bytes were uploaded of what had {task.stamp.size}")
        return Known(task.stamp, str(task.location), sha256, info.etag, info.version_id)

    def _upload_audio(
        self, task: Task, decision: Decision, moved: Callable[[int], None], sha256: str, extractor: Extractor
    ) -> Known | None:
        """Send the audio alone; None where that is no smaller than the whole."""
        origin = Origin(extractor.form, Content(task.stamp.size, sha256))
        try:
            with extractor.extracted(task.path, self._stopped) as audio:
                _confirm_unchanged(task)
                if audio.stat().st_size >= task.stamp.size:
                    return None
                kind, metadata = FORMS[extractor.form], {EXTRACTED_FROM: str(origin)}
                info, extracted = self._send(audio, task, decision, moved, kind, metadata)
        except InterruptedError as error:
            raise Stopped from error
        content = Content(info.size, extracted)
        return Known(
            task.stamp, str(task.location), sha256, info.etag, info.version_id, extracted=content, form=extractor.form
        )

    def _send(
        self,
        path: Path,
        task: Task,
        decision: Decision,
        moved: Callable[[int], None],
        kind: str,
        metadata: dict[str, str],
    ) -> tuple[ObjectInfo, str]:
        def progress(size: int) -> None:
            if self._stopped():
                raise Stopped
            moved(size)

        return self._store.upload(
            path,
            task.location,
            content_type=kind,
            metadata={SOURCE: self._source, REFERRED: upload_mark(str(task.location)), **metadata},
            condition=IfAbsent() if decision.replaces is None else IfMatch(decision.replaces),
            progress=progress,
        )

    def _hash(self, task: Task) -> str:
        digest = hashlib.sha256()
        with task.path.open("rb") as file:
            while block := file.read(_BLOCK):
                if self._stopped():
                    raise Stopped
                digest.update(block)
        _confirm_unchanged(task)
        return digest.hexdigest()

    def _remembered(self, task: Task, there: ObjectInfo, sha256: str | None) -> Known:
        """What to remember of an object that is there already with this content."""
        known = task.known
        content = sha256 or (known.sha256 if known is not None else "")
        at_known = known is not None and (known.etag, known.sha256) == (there.etag, content)
        if known is not None and at_known:
            return replace(known, stamp=task.stamp, version_id=there.version_id)
        form, extracted = "", None
        if self._extractor is not None and self._origin(there) is not None:
            form, extracted = self._extractor.form, Content(there.size, there.metadata.get(SHA256, ""))
        return Known(
            task.stamp, str(task.location), content, there.etag, there.version_id, extracted=extracted, form=form
        )


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
