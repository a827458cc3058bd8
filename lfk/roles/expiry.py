"""Deletes stored audio in time, where that is asked for: once its transcript is announced, proved, and nobody waits.

Each look takes what is due, some hundred recordings at most, and goes on behind them the next time::

    1. what is recorded as expiring, and was for the grace time     .lfk/expiring/
    2. is the audio still what was transcribed?                     gone or replaced: the record goes
    3. is the transcript whole?                                     every file read and compared
    4. does anybody wait for the audio?                             topics, outbox, open batches, failures
    5. the tombstone, then the audio, then the record               each may be the last step before a crash

What is not deleted keeps its record and is looked at again. Several hubs may do this at once: each step finds what
the other has done.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from lfk.core.addressing import Roots
from lfk.core.errors import LfkError, ObjectMissing, Unreachable
from lfk.core.location import Location, parse_location
from lfk.core.manifest import Manifest
from lfk.core.printable import printable
from lfk.roles.burial import Burial, Kept
from lfk.roles.expiring import Due, Expiring
from lfk.roles.parallel import in_parallel
from lfk.roles.pending import Pending
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

#: Recordings of one look: bounds its memory, its time, and how old its knowledge of what is pending may become.
_MOST = 500
#: Recordings that are proved or deleted at a time; a hub's jobs need the store, too.
_AT_A_TIME = 4
#: Seconds for which it is believed that nobody waits. A hub may stand still in between (a machine that sleeps, a store
#: that hangs), and somebody may refer to the audio meanwhile; what is left comes with the next look.
_BELIEVED = 30.0
#: Longest text of an error that is told on.
_TEXT = 200


@dataclass(slots=True)
class Look:
    """What a look has come to."""

    #: Recordings whose grace time is not over, as far as they were listed.
    waiting: int = 0
    deleted: int = 0
    #: Bytes of those.
    size: int = 0
    #: Why others stay for now, counted.
    kept: Counter[str] = field(default_factory=Counter)
    #: What went wrong with one of them.
    failed: int = 0
    error: str = ""
    #: All that is recorded was looked at; otherwise there is more behind it.
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Proved:
    """Audio that is transcribed: what the store says of it, and its transcript's manifest."""

    due: Due
    audio: ObjectInfo
    manifest: Manifest
    transcript: Location


@dataclass(frozen=True, slots=True)
class _Not:
    """What is not deleted: why it stays, or what went wrong."""

    what: Location
    why: str = ""
    error: Exception | None = None


class Expiry:
    """See the module. One owner."""

    def __init__(
        self,
        store: ObjectStore,
        roots: Roots,
        pending: Pending,
        grace: float,
        stop: threading.Event,
        *,
        clock: Callable[[], float] = time.time,
        most: int = _MOST,
    ) -> None:
        """``grace``: seconds that audio stays after the last time that its transcript was announced."""
        self._store = store
        self._roots = roots
        self._pending = pending
        self._grace = grace
        self._stop = stop
        self._clock = clock
        self._most = most
        self._expiring = Expiring(store, roots.records)
        self._burial = Burial(store, roots, clock)
        #: Key of the last record that was looked at; None at the beginning.
        self._after: str | None = None

    def look(self) -> Look:
        """Look once.

        Raises:
            Unreachable: store or broker; what was deleted by then is, and the rest comes with the next look.
        """
        look = Look()
        proved: list[_Proved] = []
        for answer in in_parallel(self._prove, self._due(look), _AT_A_TIME):
            if isinstance(answer, _Proved):
                proved.append(answer)
            elif answer is not None:
                _tell(look, answer)
        if not proved or self._stop.is_set():
            return look
        held = self._pending.of([one.due.audio for one in proved])
        # From its end on, as with a long backlog the question itself takes a while.
        asked = self._clock()
        for one in proved:
            if one.due.audio in held:
                _tell(look, _Not(one.due.audio, held[one.due.audio]))
        free = [one for one in proved if one.due.audio not in held]
        for one, outcome in zip(free, in_parallel(partial(self._delete, asked), free, _AT_A_TIME), strict=True):
            if outcome is None:
                look.deleted += 1
                look.size += one.audio.size
            elif outcome.why or outcome.error:
                _tell(look, outcome)
        return look

    def _due(self, look: Look) -> list[Location]:
        """Records that are old enough, from behind the last look on."""
        due: list[Location] = []
        for info in self._expiring.listed(self._after):
            if self._clock() - info.modified < self._grace:
                look.waiting += 1
            elif len(due) == self._most:
                look.complete = False
                self._after = due[-1].key
                return due
            else:
                due.append(info.location)
        self._after = None
        return due

    def _prove(self, record: Location) -> _Proved | _Not | None:
        """On a reader's thread: what is recorded, if the audio may go as far as the store knows."""
        if self._stop.is_set():
            return None
        try:
            due = self._expiring.read(record)
            return None if due is None else self._proved(due)
        except Kept as kept:
            return _Not(record, str(kept))
        except Unreachable:
            raise
        except (LfkError, ValueError) as error:
            return _Not(record, error=error)

    def _proved(self, due: Due) -> _Proved | None:
        if not self._roots.audio.contains(due.audio):
            raise Kept("it is outside the audio root")
        tombstone = due.tombstone
        try:
            audio = self._store.stat(due.audio)
        except ObjectMissing:
            # By an earlier look, which may have died right after; or by somebody else, and that is their business.
            self._burial.finish(due.audio)
            self._expiring.drop(due)
            return None
        if (audio.etag, audio.size) != (tombstone.etag, tombstone.size):
            # Other audio by now, which gets a record of its own with its own transcript.
            self._expiring.drop(due)
            return None
        transcript = parse_location(tombstone.transcript)
        if not self._roots.transcripts.contains(transcript):
            raise Kept("its transcript is outside the transcripts root")
        manifest = self._burial.manifest(transcript)
        if manifest is None or manifest.path_to_audio != str(due.audio):
            raise Kept("its transcript is gone")
        self._burial.confirm(manifest, audio)
        return _Proved(due, audio, manifest, transcript)

    def _delete(self, asked: float, one: _Proved) -> _Not | None:
        """On a reader's thread: delete it; None once that is done. ``asked``: when it was seen that nobody waits."""
        audio = one.due.audio
        if self._stop.is_set():
            return _Not(audio)
        if not 0 <= self._clock() - asked <= _BELIEVED:
            return _Not(audio, "it is asked again whether anybody waits for it")
        try:
            self._burial.bury(one.manifest, one.audio, one.transcript)
            self._expiring.drop(one.due)
        except Kept as kept:
            return _Not(audio, str(kept))
        except Unreachable:
            raise
        except LfkError as error:
            return _Not(audio, error=error)
        log.info("deleted, as its transcript is there: %s", audio)
        return None


def _tell(look: Look, left: _Not) -> None:
    if left.error is None:
        look.kept[left.why] += 1
        log.debug("%s stays: %s", left.what, left.why)
    else:
        look.failed += 1
        look.error = printable(f"{left.what}: {left.error}", _TEXT)
        # One of them is enough: what keeps one mostly keeps them all.
        log.log(logging.WARNING if look.failed == 1 else logging.DEBUG, "not deleted: %s: %s", left.what, left.error)
