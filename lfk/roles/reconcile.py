"""What the store says is outstanding: audio without a transcript. The bucket is the source of truth, not a topic."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Set

from lfk.core.addressing import AudioAddress, Roots, collision_key, resolve
from lfk.core.errors import BrokerFull, LfkError, RejectedReference
from lfk.core.formats import MANIFEST
from lfk.core.location import Location
from lfk.core.media_types import is_media
from lfk.core.messages import AudioReference
from lfk.roles.sender import ReferenceSender
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

_FAILURE_LIMIT = 256 * 1024


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
    for info in store.list(roots.records.join("failed").as_prefix()):
        try:
            data = json.loads(store.read(info.location, limit=_FAILURE_LIMIT)[0])
            yield str(data["path_to_audio"]), float(data["timestamp"]) / 1000
        except (LfkError, ValueError, KeyError, TypeError) as error:
            log.warning("%s is passed over: %s", info.location, error)
