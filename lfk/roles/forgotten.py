"""Notes of forgotten audio in the store: asked by hubs before they answer and by sync before it uploads."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable

from lfk.core.errors import AccessDenied, AudioForgotten, BucketMissing, ObjectMissing, PreconditionFailed
from lfk.core.forgotten import KEY_BYTES, MAX_NOTE_BYTES, ForgottenNote, content_mark, content_marks, note_name
from lfk.core.location import Location
from lfk.stores.base import IfAbsent, ObjectStore

log = logging.getLogger(__name__)

_KEY_LIMIT = 1024
#: For whoever asks about many: how long it is believed which notes there are.
LISTED_SECONDS = 60.0


class Forgotten:
    """See the module. Safe for use by several threads."""

    def __init__(
        self,
        store: ObjectStore,
        records: Location,
        *,
        listed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``listed``: asks for the list of all notes once a minute, and for none that is not on it."""
        self._store = store
        self._folder = records.join("forgotten").as_prefix()
        self._listed = listed
        self._clock = clock
        self._lock = threading.Lock()
        self._secret: bytes | None = None
        self._names: frozenset[str] = frozenset()
        self._looked: float | None = None

    def refuse(self, audio: Location, *, modified: float, sha256: str | None) -> None:
        """Stand in the way of audio that was forgotten.

        Args:
            modified: when the store got these bytes, seconds since the epoch.
            sha256: of these bytes, where it is known.

        Raises:
            AudioForgotten: it is what was forgotten.
        """
        note = self._find(audio)
        if note is not None and note.covers(self._key(), modified=modified, sha256=sha256):
            raise forgotten()

    def holds(self, audio: Location) -> bool:
        """Whether there is a note of it at all."""
        return self._find(audio) is not None

    def keep(self, audio: Location, hashes: Iterable[str]) -> None:
        """Write a note, or add to the one that is there; ``hashes`` are the sha256 of its contents."""
        secret = self._key(make=True)
        known = self._read(secret, audio)
        marks = content_marks(secret, hashes) | (known.contents if known is not None else frozenset())
        self._store.put(self._at(secret, audio), ForgottenNote(marks).to_bytes(), content_type="application/json")

    def lift(self, audio: Location) -> bool:
        """Let it come again; whether there was a note."""
        secret = self._key()
        if not secret or self._read(secret, audio) is None:
            return False
        self._store.purge(self._at(secret, audio))
        return True

    def is_content(self, audio: Location, sha256: str) -> bool:
        """Whether these bytes were forgotten under that name."""
        note = self._find(audio)
        return note is not None and content_mark(self._key(), sha256) in note.contents

    def _find(self, audio: Location) -> ForgottenNote | None:
        if self._listed and not self._anything():
            return None
        secret = self._key()
        if not secret or (self._listed and note_name(secret, audio) not in self._names):
            return None
        return self._read(secret, audio)

    def _read(self, secret: bytes, audio: Location) -> ForgottenNote | None:
        at = self._at(secret, audio)
        try:
            data, info = self._store.read(at, limit=MAX_NOTE_BYTES)
        except ObjectMissing:
            return None
        try:
            return ForgottenNote.from_bytes(data, info.modified)
        except (ValueError, RecursionError) as error:
            # The name alone says that it was forgotten; what was there by then stays so.
            log.warning("%s is damaged: %s", at, error)
            return ForgottenNote(frozenset(), info.modified)

    def _anything(self) -> bool:
        with self._lock:
            if self._looked is None or self._clock() - self._looked >= LISTED_SECONDS:
                self._names = self._list()
                self._looked = self._clock()
            return bool(self._names)

    def _list(self) -> frozenset[str]:
        try:
            return frozenset(info.location.name for info in self._store.list(self._folder))
        except BucketMissing:
            return frozenset()
        except AccessDenied as error:
            log.warning("what was forgotten may be uploaded again, as this role may not read the notes: %s", error)
            return frozenset()

    def _key(self, *, make: bool = False) -> bytes:
        """The key of this store; empty where nothing was ever forgotten. Once there, it never changes."""
        if self._secret is not None:
            return self._secret
        at = self._folder.join("key")
        while True:
            try:
                self._secret = self._store.read(at, limit=_KEY_LIMIT)[0]
            except ObjectMissing:
                if not make:
                    return b""
            else:
                return self._secret
            try:
                fresh = secrets.token_hex(KEY_BYTES).encode("ascii")
                self._store.put(at, fresh, content_type="text/plain", condition=IfAbsent())
            except PreconditionFailed:
                continue

    def _at(self, secret: bytes, audio: Location) -> Location:
        return self._folder.join(note_name(secret, audio))


def forgotten() -> AudioForgotten:
    """Names nothing: what the message is about must not come back by it."""
    return AudioForgotten("this audio was removed on request, with all that was made of it")
