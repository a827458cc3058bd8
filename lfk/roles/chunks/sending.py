"""Sends files as chunks: read once, in flat memory, numbered, and proved by a digest in the last chunk.

A wav file of plain PCM goes as ``params`` and samples, which the older tool's readers understand too; it is taken so
only where header and samples make up the very same file again. Every other file goes byte for byte.
"""

from __future__ import annotations

import hashlib
import os
import queue
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lfk.brokers.base import Publisher, Record
from lfk.brokers.codec import Codec
from lfk.core.addressing import Roots
from lfk.core.chunks import CHUNK_TYPE, EVENT_SOURCE, MOST_CHUNKS, AudioChunk
from lfk.core.cloudevents import event_headers
from lfk.core.errors import (
    AudioEmpty,
    AudioTooLarge,
    FileUnreadable,
    InvalidLocation,
    Kind,
    LfkError,
    MessageTooLarge,
    Unreachable,
)
from lfk.core.layout import place
from lfk.core.media_types import content_type, is_media
from lfk.core.pcm import HEADER_BYTES, Pcm, read_wav_header
from lfk.core.request import Request
from lfk.stores.local_file import SourceFile

#: What Kafka itself adds to a record and its batch, at most.
_FRAMING_BYTES = 256
#: How long one wait for confirmations lasts, after which it is looked whether to stop.
_TICK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class SendPlan:
    """What a sender is told once."""

    topic: str
    #: Bytes of audio in one message, and the most that a message may have in all.
    frames: int
    message: int
    layout: str
    prefix: str
    request: Request
    roots: Roots
    #: The folder that names are taken below, if any.
    folder: Path | None
    #: Who sends.
    source: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one file."""

    name: str
    path_to_audio: str = ""
    size: int = 0
    chunks: int = 0
    error: LfkError | None = None


@dataclass(slots=True)
class SendSummary:
    """What became of all of them; ``outage`` is what ended it early."""

    sent: int = 0
    failed: int = 0
    size: int = 0
    chunks: int = 0
    seconds: float = 0.0
    outage: LfkError | None = None


class ChunkSender:
    """See the module. One file at a time, as chunks of one file should not wait behind another's."""

    def __init__(
        self,
        publisher: Publisher | None,
        codec: Codec,
        plan: SendPlan,
        report: Callable[[Sent], None],
        stopped: Callable[[], bool],
        moved: Callable[[int], None] = lambda _size: None,
    ) -> None:
        """Without a publisher it is a dry run. ``moved`` is told of bytes as they are sent."""
        self._publisher = publisher
        self._codec = codec
        self._plan = plan
        self._report = report
        self._stopped = stopped
        self._moved = moved

    def run(self, files: list[Path]) -> SendSummary:
        """Send every file; one that cannot be sent is reported, and the others go on."""
        begun = time.monotonic()
        summary = SendSummary()
        for path in files:
            if self._stopped() or summary.outage is not None:
                break
            try:
                sent = self._send(path)
            except LfkError as error:
                if isinstance(error, Unreachable) or error.kind is Kind.FATAL:
                    summary.outage = error
                    break
                sent = Sent(str(path), error=error)
            if sent is None:
                break
            summary.sent += sent.error is None
            summary.failed += sent.error is not None
            summary.size += sent.size
            summary.chunks += sent.chunks
            self._report(sent)
        summary.seconds = time.monotonic() - begun
        return summary

    def _send(self, path: Path) -> Sent | None:
        """Send one file; None if it was told to stop, which leaves an audio without its last chunk behind."""
        chunk = self._describe(path)
        try:
            with SourceFile(path) as file:
                chunk = replace(chunk, size=file.size)
                if not file.size:
                    raise AudioEmpty("the file is empty (0 bytes)")
                pcm = self._samples(path, file)
                step = self._plan.frames if pcm is None else self._plan.frames // pcm.frame_bytes * pcm.frame_bytes
                if step <= 0:
                    raise MessageTooLarge("a message has no room for audio", hint="raise MAX_MESSAGE_SIZE")
                lead = HEADER_BYTES if pcm is not None else 0
                count = -(-(file.size - lead) // step)
                if count > MOST_CHUNKS:
                    raise AudioTooLarge(f"it would be sent in {count} chunks", hint="raise MAX_MESSAGE_SIZE")
                if self._publisher is None:
                    return Sent(str(path), chunk.path_to_audio, file.size, count)
                params = None if pcm is None else str(pcm)
                chunks = _cut(replace(chunk, params=params, chunk_count=count), file, lead, step)
                return self._publish(path, chunks, self._publisher)
        except OSError as error:
            raise FileUnreadable(f"it cannot be read: {error.strerror}") from error

    def _publish(self, path: Path, chunks: Iterator[AudioChunk], publisher: Publisher) -> Sent | None:
        answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        waiting = count = size = 0
        for chunk in chunks:
            if self._stopped():
                return None
            publisher.send(self._record(chunk), answers.put)
            waiting += 1
            count += 1
            size = chunk.size or 0
            self._moved(len(chunk.frames))
            while not answers.empty():
                waiting -= _confirmed(answers.get())
        while waiting:
            try:
                waiting -= _confirmed(answers.get(timeout=_TICK_SECONDS))
            except queue.Empty:
                if self._stopped():
                    return None
        return Sent(str(path), chunk.path_to_audio, size, count)

    def _record(self, chunk: AudioChunk) -> Record:
        """A chunk as a record, which keeps to one partition with all others of its path.

        Raises:
            MessageTooLarge: it is larger than the topic takes.
        """
        key, value = chunk.path_to_audio.encode("utf-8"), self._codec.encode_chunk(chunk)
        event = f"{chunk.upload_id}-{chunk.chunk_index}"
        headers = event_headers(event=event, type_=CHUNK_TYPE, source=EVENT_SOURCE, timestamp=chunk.timestamp or 0)
        size = len(key) + len(value) + sum(len(name) + len(text) for name, text in headers.items()) + _FRAMING_BYTES
        if size > self._plan.message:
            raise MessageTooLarge(
                f"a chunk makes a message of {size} bytes, over MAX_MESSAGE_SIZE ({self._plan.message})",
                hint="lower JSON_RATIO, or raise MAX_MESSAGE_SIZE for sender, topic and broker",
            )
        return Record(self._plan.topic, key, value, headers)

    def _describe(self, path: Path) -> AudioChunk:
        """What all chunks of a file have in common.

        Raises:
            RejectedReference: it cannot be asked for like that.
        """
        plan = self._plan
        if not is_media(path.name):
            raise InvalidLocation("it is not the name of a recording", hint="send audio or video files")
        named = plan.request.resolve(self._name(path), plan.roots).location
        relative = plan.roots.audio.relative(named)
        placed = place(plan.layout, relative, plan.prefix, plan.request, plan.roots)
        return AudioChunk(
            path_to_audio=plan.roots.audio.relative(placed.address.location),
            transcription_approach=placed.pair,
            upload_id=uuid.uuid4().hex,
            source=plan.source,
            content_type=content_type(path.name),
            language=plan.request.language,
            options=plan.request.options,
        )

    def _name(self, path: Path) -> str:
        """The path below the source folder, or as it was given; of an absolute one elsewhere, the name alone."""
        folder = self._plan.folder
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links, whose own name counts
        if folder is not None and absolute.is_relative_to(folder):
            return absolute.relative_to(folder).as_posix()
        if path.is_absolute() or ".." in path.parts:
            return path.name
        return path.as_posix()

    def _samples(self, path: Path, file: SourceFile) -> Pcm | None:
        if not path.name.lower().endswith(".wav"):
            return None
        return read_wav_header(file.read(0, min(HEADER_BYTES, file.size)), file.size)


def _cut(common: AudioChunk, file: SourceFile, lead: int, step: int) -> Iterator[AudioChunk]:
    """The chunks of a file. The last one carries the digest of all of it, header included.

    Raises:
        ContentChanged: the file changed since it was opened; the last chunk is not made then.
    """
    digest = hashlib.sha256(file.read(0, lead))
    count = common.chunk_count or 0
    for index in range(count):
        offset = lead + index * step
        frames = file.read(offset, min(step, file.size - offset))
        digest.update(frames)
        chunk = replace(common, frames=frames, chunk_index=index, timestamp=int(time.time() * 1000))
        if index == count - 1:
            file.confirm()
            chunk = replace(chunk, final=True, sha256=digest.hexdigest())
        yield chunk


def _confirmed(error: Exception | None) -> int:
    """One more confirmation.

    Raises:
        LfkError: it says that a chunk could not be sent.
    """
    if error is not None:
        raise error
    return 1
