"""Stores a joined audio as one object, and makes the reference to it. Runs on the gateway's storing threads.

Refused: places outside the audio root, names that are no recordings, overwriting what came another way, and what was
removed on request. An outage of the store is waited out; nothing of the audio is given up for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.chunks import AudioChunk
from lfk.core.errors import (
    AudioEmpty,
    AudioTooLarge,
    BucketMissing,
    ChunksMixed,
    ContentChanged,
    ForbiddenLocation,
    InvalidLocation,
    ObjectMissing,
    PreconditionFailed,
    SourceConflict,
    StoreFull,
    Unreachable,
)
from lfk.core.identity import upload_mark
from lfk.core.location import Location
from lfk.core.media_types import content_type, is_media
from lfk.core.messages import AudioReference
from lfk.core.pcm import HEADER_BYTES, wav_header
from lfk.roles.chunks.audio import Audio, Stopped
from lfk.roles.chunks.spool import Spool, WholeFile
from lfk.roles.forgotten import Forgotten, forgotten
from lfk.stores.base import REFERRED, SHA256, SOURCE, IfAbsent, IfMatch, ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

#: What an object's metadata says of where it came from, before the sender's own name.
_SOURCE = "chunks"
#: How long an outage of the store is waited for before it is asked again.
_OUTAGE_SECONDS = 5.0
#: How often an object may be replaced by others between a look at it and a write.
_ATTEMPTS = 5


class Keeper:
    """See the module. Safe for use by several threads."""

    def __init__(self, store: ObjectStore, roots: Roots, spool: Spool, stop: threading.Event) -> None:
        """``stop`` ends transfers and waiting; what was not stored then is joined again by the next gateway."""
        self._store = store
        self._roots = roots
        self._forgotten = Forgotten(store, roots.records, listed=True)
        self._spool = spool
        self._stop = stop

    def address(self, chunk: AudioChunk) -> AudioAddress:
        """Where the audio of a chunk goes.

        Raises:
            RejectedReference: nowhere here.
        """
        address = resolve(chunk.path_to_audio, chunk.transcription_approach, self._roots)
        location = address.location
        own = self._roots.records.contains(location) or self._roots.transcripts.contains(location)
        if own or not self._roots.audio.contains(location):
            raise ForbiddenLocation(f"{location} is not a place for audio that comes in messages")
        if not is_media(location.name):
            raise InvalidLocation(f"{location.name[:200]!r} is not the name of a recording")
        # The place of what is stored here is known; where the path's literal form would lead is not asked.
        return address.at(location)

    def keep(self, audio: Audio, address: AudioAddress) -> AudioReference:
        """Bring a complete audio into the store.

        Raises:
            Stopped: told to stop.
            LfkError: it cannot be stored.
        """
        whole = self._whole(audio)
        source = f"{_SOURCE}:{audio.asked.source}" if audio.asked.source else _SOURCE
        pcm = audio.assembly.pcm
        media = "audio/wav" if pcm is not None else content_type(address.location.name) or "application/octet-stream"
        info = self._through_outages(lambda: self._store_once(whole, address.location, source, media))
        asked = audio.asked
        return AudioReference(
            path_to_audio=str(address.location),
            transcription_approach=asked.transcription_approach,
            timestamp=int(time.time() * 1000),
            etag=info.etag,
            version_id=info.version_id,
            sha256=whole.sha256,
            size=whole.size,
            duration=(whole.size - HEADER_BYTES) / pcm.frame_bytes / pcm.rate if pcm is not None else None,
            content_type=media,
            language=asked.language,
            options=asked.options,
            batch_id=asked.batch_id,
        )

    def _whole(self, audio: Audio) -> WholeFile:
        pieces = audio.assembly.pieces()
        data = sum(piece.length for piece in pieces)
        if audio.file is None or not data:
            raise AudioEmpty("its chunks hold no audio", hint="send references to LFK_TOPIC_AUDIO, audio in frames")
        pcm = audio.assembly.pcm
        try:
            header = wav_header(pcm, data) if pcm is not None else b""
        except ValueError as error:
            raise AudioTooLarge(str(error), hint="send it as flac, or upload it with `lfk sync`") from error
        whole = self._spool.finish(audio.file, pieces, header)
        if audio.size not in (None, whole.size) or audio.sha256 not in (None, whole.sha256):
            raise ChunksMixed("what was joined is not the file that its sender describes (size or sha256 differ)")
        return whole

    def _store_once(self, whole: WholeFile, location: Location, source: str, media: str) -> ObjectInfo:
        """Upload unless the same content is there; look again where others wrote in between."""
        attempt = 1
        while True:
            there = self._look(location)
            if there is None and self._forgotten.is_content(location, whole.sha256):
                # Chunks that were sent, or are delivered again, after it was removed.
                raise forgotten()
            if there is not None and (there.size, there.metadata.get(SHA256)) == (whole.size, whole.sha256):
                return there
            if there is not None and there.metadata.get(SOURCE) != source:
                raise SourceConflict(
                    f"{location} is there, with other content, and did not come from this sender's chunks",
                    hint="send it under another name, or with --prefix (LFK_SYNC_PREFIX)",
                )
            try:
                info, _sha256 = self._store.upload(
                    whole.path,
                    location,
                    content_type=media,
                    metadata={SOURCE: source, REFERRED: upload_mark(str(location))},
                    condition=IfAbsent() if there is None else IfMatch(there.etag),
                    progress=self._go_on,
                )
            except (PreconditionFailed, ContentChanged):
                if attempt == _ATTEMPTS:
                    raise
                attempt += 1
            else:
                return info

    def _look(self, location: Location) -> ObjectInfo | None:
        try:
            return self._store.stat(location)
        except ObjectMissing:
            return None

    def _go_on(self, _size: int) -> None:
        if self._stop.is_set():
            raise Stopped

    def _through_outages(self, action: Callable[[], ObjectInfo]) -> ObjectInfo:
        while True:
            try:
                self._go_on(0)
                return action()
            except (Unreachable, StoreFull, BucketMissing) as error:
                log.warning("a joined audio waits for the store: %s", error)
                if self._stop.wait(_OUTAGE_SECONDS):
                    raise Stopped from error
