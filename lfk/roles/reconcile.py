"""What the store says is outstanding: audio without a transcript. The bucket is the source of truth, not a topic."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

from lfk.core.addressing import AudioAddress, Roots, collision_key, resolve
from lfk.core.errors import LfkError, RejectedReference
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


def send_outstanding(store: ObjectStore, roots: Roots, sender: ReferenceSender) -> int:
    """Send a reference for everything outstanding; returns how many were confirmed.

    Stops early, without an error, where the broker is full: what is left comes with the next reconcile.
    """
    confirmed: list[Exception | None] = []
    for info, _address in outstanding(store, roots):
        reference = AudioReference(
            path_to_audio=str(info.location),
            timestamp=int(time.time() * 1000),
            etag=info.etag,
            version_id=info.version_id,
            size=info.size,
        )
        try:
            sender.send(info.location, reference, confirmed.append)
        except LfkError as error:
            log.warning("reconciling pauses: %s", error)
            break
    sender.flush(30.0)
    return sum(error is None for error in confirmed)


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
