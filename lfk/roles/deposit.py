"""Takes in one file that a person gives: into the store under a free name, then its reference.

The rules are sync's: the same content is not stored twice, other content is never overwritten. Unlike a folder,
people do not know of each other's files, so what would be a conflict gets the next free name (``talk-2.wav``).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lfk.core.addressing import AudioAddress, Roots
from lfk.core.answered import answers
from lfk.core.batch import Entry
from lfk.core.errors import BrokerUnreachable, InvalidLocation, LfkError, PreconditionFailed, SourceConflict
from lfk.core.layout import Placed, check_prefix, place
from lfk.core.media_types import MEDIA_TYPES, content_type, is_media
from lfk.core.messages import AudioReference
from lfk.core.request import Request
from lfk.core.running_text import clean
from lfk.core.sync_plan import Action, Known
from lfk.roles.forgotten import Forgotten
from lfk.roles.results import Results
from lfk.roles.rolling import RollingRecorder
from lfk.roles.scan import stamp_of
from lfk.roles.sender import ReferenceSender
from lfk.roles.tombstones import Tombstones
from lfk.roles.uploader import Task, Uploader
from lfk.stores.base import ObjectStore

#: Bytes of a name: file systems take 255, and a transcript's suffix and a number come behind it.
_MAX_NAME = 200
#: Files of one name that are kept apart; whoever gives more of them gives them better names.
_NAMES = 100
#: How often a name is tried whose object others keep writing.
_ATTEMPTS = 4
#: How long the broker may take to confirm the reference.
_CONFIRM_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wish:
    """A file that may be sent: the name under which it would be kept, and what is asked for it."""

    name: str
    request: Request


@dataclass(frozen=True, slots=True)
class Deposited:
    """What became of a file."""

    #: Of its transcript, once there is one.
    key: str
    #: As it is called in the store.
    name: str
    #: Bytes.
    size: int
    #: It was there already, with the same content.
    known: bool
    #: ETag of a manifest that is there already and is not what was asked; None where there is no such.
    before: str | None = None


class Depositor:
    """Safe for use by several threads."""

    def __init__(
        self,
        store: ObjectStore,
        roots: Roots,
        prefix: str,
        open_sender: Callable[[], AbstractContextManager[ReferenceSender]],
        recorder: RollingRecorder,
    ) -> None:
        """``prefix`` goes below approach and model; ``recorder`` keeps what the store alone would not bring back.

        Raises:
            InvalidLocation: it cannot be part of a key.
        """
        self._store = store
        self._roots = roots
        self._prefix = check_prefix(prefix)
        self._open_sender = open_sender
        self._recorder = recorder
        self._results = Results(store, roots)
        self._tombstones = Tombstones(store, roots.records)
        self._forgotten = Forgotten(store, roots.records, listed=True)

    def check(self, name: str, approach: str, model: str, options: Mapping[str, str]) -> Wish:
        """What would be done with such a file, decided before any byte of it is taken.

        Raises:
            InvalidLocation: no recording is called that.
            UnknownApproach, UnknownModel: not offered here.
            InvalidOption: no hub would take the options.
        """
        wish = Wish(_name(name), Request.make(approach, model, options, self._roots))
        self._place(wish.name, wish.request)
        return wish

    def take(self, path: Path, wish: Wish, stopped: Callable[[], bool]) -> Deposited:
        """Keep the file at ``path``, whose suffix is that of its name, and refer to it.

        Raises:
            Stopped: told to stop.
            AudioForgotten: this very recording was removed on request.
            StoreError, Unreachable: store or broker.
        """
        # Nobody else uploads as this, so what is there is never taken for an older version of this file.
        source = f"web:{uuid.uuid4().hex}"
        uploader = Uploader(self._store, source, stopped, tombstones=self._tombstones, forgotten=self._forgotten)
        for candidate in _names(wish.name):
            placed = self._place(candidate, wish.request)
            try:
                action, known = _upload(uploader, path, placed)
            except SourceConflict:
                continue
            before = self._refer(wish.request, placed, known)
            is_known = action is not Action.UPLOAD
            return Deposited(placed.address.transcript_key, candidate, known.stored.size, is_known, before)
        raise SourceConflict(
            f"{_NAMES} recordings are called {wish.name[:80]!r} already", hint="rename the file, then send it again"
        )

    def _place(self, name: str, request: Request) -> Placed:
        return place("free", name, self._prefix, request, self._roots)

    def _refer(self, request: Request, placed: Placed, known: Known) -> str | None:
        """Send the reference; returns the ETag of a manifest that is not what it asks for, where there is one."""
        address = placed.address
        reference = request.reference(
            address,
            placed.pair,
            int(time.time() * 1000),
            etag=known.etag,
            version_id=known.version_id,
            sha256=known.stored.sha256,
            size=known.stored.size,
            content_type=content_type(address.location.name),
        )
        reference = self._recorder.admit(reference, address)
        # Looked at before any hub can know of it.
        before = self._unanswering(reference, address)
        self._send(address, reference)
        return before

    def _unanswering(self, reference: AudioReference, address: AudioAddress) -> str | None:
        there = self._results.manifest(address.transcript_key)
        if there is None or there[0].path_to_audio != str(address.location):
            return None
        manifest, etag = there
        answered = manifest.audio.etag == reference.etag and answers(manifest, Entry(reference), address)
        return None if answered else etag

    def _send(self, address: AudioAddress, reference: AudioReference) -> None:
        told = threading.Event()
        errors: list[Exception] = []

        def confirmed(error: Exception | None) -> None:
            errors.extend([] if error is None else [error])
            told.set()

        with self._open_sender() as sender:
            sender.send(address.location, reference, confirmed)
            if not told.is_set():
                sender.flush(_CONFIRM_SECONDS)
        if not told.is_set():
            raise BrokerUnreachable(f"the reference was not confirmed in {_CONFIRM_SECONDS:.0f} s")
        if errors:
            raise errors[0] if isinstance(errors[0], LfkError) else BrokerUnreachable(str(errors[0]))


def _upload(uploader: Uploader, path: Path, placed: Placed) -> tuple[Action, Known]:
    task = Task(path, stamp_of(path.stat()), placed.address.location, None, "")
    attempt = 1
    while True:
        try:
            result = uploader.process(task, lambda _size: None)
        except PreconditionFailed:
            # Another's object has come there in between; now that it is there it decides.
            if attempt == _ATTEMPTS:
                raise
            attempt += 1
        else:
            assert result.known is not None  # noqa: S101 - only a dry run knows of nothing afterwards
            return result.decision.action, result.known


def _name(name: str) -> str:
    kept = clean(name.replace("\\", "/").rpartition("/")[2])
    if not is_media(kept):
        known = ", ".join(sorted(MEDIA_TYPES))
        raise InvalidLocation(f"{kept[:80]!r} is not the name of a recording", hint=f"names end in one of: {known}")
    if len(kept.encode("utf-8", "surrogatepass")) > _MAX_NAME:
        raise InvalidLocation(f"{kept[:60]!r}… is too long for a name", hint=f"use at most {_MAX_NAME} bytes")
    return kept


def _names(name: str) -> Iterator[str]:
    stem, dot, suffix = name.rpartition(".")
    yield name
    for number in range(2, _NAMES + 1):
        yield f"{stem}-{number}{dot}{suffix}"
