"""What the store says is outstanding: audio without a transcript. The bucket is the source of truth, not a topic."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Set

from lfk.core.addressing import AudioAddress, Roots, collision_key, resolve
from lfk.core.errors import BrokerFull, LfkError, RejectedReference
from lfk.core.formats import MANIFEST
from lfk.core.location import Location
from lfk.core.media_types import is_media
from lfk.core.messages import AudioReference
from lfk.roles.failures import Failures
from lfk.roles.sender import ReferenceSender
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

#: How long an outage or a full broker is left alone before it is tried again.
_AGAIN_SECONDS = 10.0


def outstanding(store: ObjectStore, roots: Roots) -> Iterator[tuple[ObjectInfo, AudioAddress]]:
    """Audio under the audio root that has neither a transcript nor a failure newer than itself.

    Holds the names of all transcripts in memory (about 100 bytes each).
    """
    suffix = f".{MANIFEST}"
    done = {
        roots.transcripts.relative(info.location).removesuffix(suffix)
        for info in store.list(roots.transcripts)
        if info.location.key.endswith(suffix)
    }
    failed = dict(_failures(store, roots))
    claimed: set[str] = set()
    for info in store.list(roots.audio):
        if not is_media(info.location.name) or _is_ours(info.location, roots):
            continue
        try:
            address = resolve(str(info.location), None, roots)
        except RejectedReference as error:
            log.warning("%s is passed over: %s", info.location, error)
            continue
        key = address.transcript_key
        # Where two audios want one key, only the marked key tells whether the later one has a transcript.
        wanted = collision_key(key, info.location) if key in claimed else key
        claimed.add(key)
        if wanted not in done and failed.get(str(info.location), -1.0) < info.modified:
            yield info, address


class Reconciliation:
    """Reconciles on a thread of its own whenever it is asked to, one time after another."""

    def __init__(
        self, store: ObjectStore, roots: Roots, open_sender: Callable[[], ReferenceSender], stop: threading.Event
    ) -> None:
        """``open_sender`` opens the way to the topic that takes the references."""
        self._store = store
        self._roots = roots
        self._open_sender = open_sender
        self._stop = stop
        self._asked = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lfk-reconcile", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Look soon; returns at once."""
        self._asked.set()

    def close(self) -> None:
        """No more looks. One that is under way ends by itself: what it did not send, the next one will."""
        self._closed.set()
        self._asked.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            self._asked.wait()
            if self._closed.is_set():
                return
            self._asked.clear()
            try:
                self._reconcile()
            except LfkError as error:
                log.warning("reconciling is tried again in %.0f s: %s", _AGAIN_SECONDS, error)
                self._asked.set()
                self._closed.wait(_AGAIN_SECONDS)

    def _reconcile(self) -> None:
        sender = self._open_sender()
        try:
            reconciler = Reconciler(self._store, self._roots, sender, frozenset())
            while not reconciler.done and not self._closed.is_set() and not self._stop.is_set():
                reconciler.step()
                if not reconciler.done:
                    self._closed.wait(_AGAIN_SECONDS)
        finally:
            sender.close()
        log.warning("reconciled with the store: %d references sent again", reconciler.sent)


class Reconciler:
    """Sends a reference for everything outstanding, as far as the broker has room, then goes on from there."""

    def __init__(self, store: ObjectStore, roots: Roots, sender: ReferenceSender, known: Set[str]) -> None:
        """``known``: audio locations whose references are on their way already."""
        self._left = (info for info, _address in outstanding(store, roots) if str(info.location) not in known)
        self._next: ObjectInfo | None = None
        self._sender = sender
        self.sent = 0
        self.done = False

    def step(self) -> None:
        """Send until all is sent (``done``) or the broker is full.

        Raises:
            Unreachable: the store or the broker; what is left comes with the next step.
        """
        while not self.done:
            self._next = self._next or next(self._left, None)
            if self._next is None:
                self.done = True
                return
            try:
                self._send(self._next)
            except BrokerFull as error:
                log.info("reconciling goes on later: %s", error)
                return
            self._next = None
            self.sent += 1

    def _send(self, info: ObjectInfo) -> None:
        reference = AudioReference(
            path_to_audio=str(info.location),
            timestamp=int(time.time() * 1000),
            etag=info.etag,
            version_id=info.version_id,
            size=info.size,
        )

        def confirmed(error: Exception | None) -> None:
            if error is not None:
                log.warning("%s waits for the next reconcile: %s", info.location, error)

        self._sender.send(info.location, reference, confirmed)


def _is_ours(location: Location, roots: Roots) -> bool:
    """Transcripts and records that share a bucket with the audio are not audio."""
    return roots.transcripts.contains(location) or roots.records.contains(location)


def _failures(store: ObjectStore, roots: Roots) -> Iterator[tuple[str, float]]:
    """Audio location and time (seconds) of every recorded failure."""
    for found in Failures(store, roots.records).each():
        if found.record is None:
            log.warning("the failure of %s is passed over: %s", found.event_id, found.error)
        elif found.record.announcement.path_to_audio is not None:
            yield found.record.announcement.path_to_audio, found.record.announcement.timestamp / 1000
