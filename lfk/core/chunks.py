"""The audio-driven way: one chunk of audio as a message, and which bytes of what has come are the audio.

Two kinds of sender are understood. lfk's own number their chunks and name their upload, so any order, interleaving
and repetition is sorted out by number. The older tool's chunks carry nothing of the kind: there the order within a
partition counts, ``final`` ends the audio, and the number of frames that ``params`` declare proves that neither more
nor less has come. What cannot be proved to be one whole audio is refused, never guessed at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any

from lfk.core.errors import ChunksIncomplete, ChunksMixed
from lfk.core.pcm import Pcm, parse_params

#: No message may be larger than this, whatever the topic allows: it is held in memory as a whole, a few times over.
MAX_CHUNK_BYTES = 64 << 20
#: An audio in more chunks than this is refused: each costs memory until the last one is there.
MOST_CHUNKS = 200_000

CHUNK_TYPE = "lfk.audio.chunk"
#: The CloudEvents source of chunks, and of what the gateway sends.
EVENT_SOURCE = "lfk/chunks"

#: How many missing chunks an error names.
_SHOWN = 5

_AGAIN = "send the file again, or upload it with `lfk sync`; `lfk chunks send` numbers its chunks"


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """One message of the chunks' topic. Only ``path_to_audio`` is always there."""

    path_to_audio: str
    frames: bytes = b""
    #: Last message of this audio.
    final: bool = False
    #: Layout of the samples in ``frames``; None: they are bytes of the file as it is.
    params: str | None = None
    transcription_approach: str | None = None
    #: Tells the uploads of one path apart; only lfk's own senders have it, with the two fields that follow.
    upload_id: str | None = None
    #: Counted from 0.
    chunk_index: int | None = None
    chunk_count: int | None = None
    #: Who sends, as kept with the stored object.
    source: str | None = None
    #: When the message was made, milliseconds since the epoch.
    timestamp: int | None = None
    #: Of the whole file: hex digest (in the last chunk alone), bytes, media type.
    sha256: str | None = None
    size: int | None = None
    content_type: str | None = None
    language: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    batch_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Without the fields that have no value; ``frames`` are raw bytes, which each codec writes in its own way."""
        values = asdict(self)
        return {name: value for name, value in values.items() if value is not None and (name != "options" or value)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AudioChunk:
        """From data that the schema has accepted, with ``frames`` as bytes; unknown fields are ignored."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known and value is not None})

    @property
    def numbered(self) -> bool:
        """Its place in the audio is known."""
        return self.upload_id is not None and self.chunk_index is not None


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one chunk in the spool."""

    start: int
    length: int
    digest: bytes
    #: Frames that the chunk's own params declare; None if they do not.
    declared: int | None = None
    #: When its record was made, milliseconds since the epoch: a producer's retry keeps it.
    made: int = 0


class Assembly:
    """What has come of one audio. Pure bookkeeping: the bytes themselves are in a spool that somebody else keeps."""

    def __init__(self, *, numbered: bool) -> None:
        self._numbered = numbered
        self._pieces: dict[int, Piece] = {}
        self._end = 0
        self._highest = 0
        self._count: int | None = None
        self._final = False
        self.pcm: Pcm | None = None

    @property
    def received(self) -> int:
        """Bytes that the spool holds."""
        return self._end

    @property
    def chunks(self) -> int:
        """Chunks that the spool holds."""
        return len(self._pieces)

    @property
    def final(self) -> bool:
        """The last chunk is among what has come."""
        return self._final

    @property
    def complete(self) -> bool:
        """Nothing more is to come."""
        return self._final and (not self._numbered or len(self._pieces) == self._count)

    @property
    def missing(self) -> str:
        """Which chunks have not come, in words."""
        if not self._numbered:
            return "the last of them"
        most = self._count if self._count is not None else self._highest + 2
        gaps = [str(number) for number in range(most) if number not in self._pieces]
        return ", ".join(gaps[:_SHOWN]) + (f" and {len(gaps) - _SHOWN} more" if len(gaps) > _SHOWN else "")

    def take(self, chunk: AudioChunk, made: int) -> bool:
        """Take one chunk in; whether the spool has to append its frames (it has not come before).

        ``made`` is the time of its record.

        Raises:
            MalformedMessage: its params are not readable.
            ChunksMixed: it is no part of the audio that the earlier ones are of, or there are too many.
        """
        pcm = self._form(chunk)
        digest = hashlib.blake2b(chunk.frames, digest_size=16).digest()
        new = self._place(chunk, digest) if self._numbered else bool(chunk.frames)
        if new:
            if len(self._pieces) >= MOST_CHUNKS:
                raise ChunksMixed(f"the audio comes in more than {MOST_CHUNKS} chunks", hint="send larger chunks")
            number = chunk.chunk_index if self._numbered and chunk.chunk_index is not None else len(self._pieces)
            declared = pcm.frames if pcm is not None else None
            self._pieces[number] = Piece(self._end, len(chunk.frames), digest, declared, made)
            self._end += len(chunk.frames)
        self._final = self._final or chunk.final
        return new

    def pieces(self) -> Sequence[Piece]:
        """The audio, in its order, once it is :attr:`complete`.

        Raises:
            ChunksIncomplete, ChunksMixed: what has come is not one whole audio.
        """
        ordered = [self._pieces[number] for number in sorted(self._pieces)]
        if not self._numbered and self.pcm is not None:
            ordered = _proved(ordered, self.pcm)
        total = sum(piece.length for piece in ordered)
        if self.pcm is not None and total % self.pcm.frame_bytes:
            raise ChunksMixed(f"{total} bytes of samples are no whole number of frames")
        return ordered

    def _form(self, chunk: AudioChunk) -> Pcm | None:
        """Check that the samples fit those that came before."""
        pcm = parse_params(chunk.params) if chunk.params and chunk.params.strip() else None
        if pcm is None:
            return None
        if self.pcm is None:
            if self._end:
                raise ChunksMixed("a chunk with params follows chunks without")
            self.pcm = pcm
        elif not self.pcm.same_form(pcm):
            raise ChunksMixed(f"a chunk of the form {pcm} follows one of the form {self.pcm}")
        return pcm

    def _place(self, chunk: AudioChunk, digest: bytes) -> bool:
        """Whether a numbered chunk is new."""
        number, count = chunk.chunk_index or 0, chunk.chunk_count
        if chunk.final and count is None:
            count = number + 1
        if count is not None:
            if self._count not in (None, count) or max(number, self._highest) >= count:
                raise ChunksMixed(f"chunk {number} says that there are {count}, which others contradict")
            self._count = count
        self._highest = max(number, self._highest)
        there = self._pieces.get(number)
        if there is not None and there.digest != digest:
            raise ChunksMixed(f"chunk {number} came twice with different content")
        return there is None


def _proved(pieces: Sequence[Piece], pcm: Pcm) -> list[Piece]:
    """Unnumbered pieces that are the audio: all of them, or what is left without those that were sent twice."""
    total = sum(piece.length for piece in pieces)
    declared = {piece.declared for piece in pieces}
    if None in declared or all(piece.length == (piece.declared or 0) * pcm.frame_bytes for piece in pieces):
        # Nothing is known of the whole, or each chunk tells its own length.
        return list(pieces)
    if len(declared) != 1:
        raise ChunksMixed("the chunks declare different lengths of the audio", hint=_AGAIN)
    whole = (pieces[0].declared or 0) * pcm.frame_bytes
    if total == whole:
        return list(pieces)
    if total < whole:
        raise ChunksIncomplete(f"{total} bytes of samples came of {whole} that params declare", hint=_AGAIN)
    found = [kept for kept in (_once(pieces), _last_run(pieces, whole)) if sum(p.length for p in kept) == whole]
    if found and all([p.digest for p in kept] == [p.digest for p in found[0]] for kept in found):
        return found[0]
    raise ChunksMixed(
        f"{total} bytes of samples came where params declare {whole}: chunks of several files of this name", hint=_AGAIN
    )


def _once(pieces: Sequence[Piece]) -> list[Piece]:
    """Without the chunks that a producer's retry repeats: of the content and time of the one before them."""
    kept: list[Piece] = []
    for piece in pieces:
        if not kept or (piece.digest, piece.made) != (kept[-1].digest, kept[-1].made):
            kept.append(piece)
    return kept


def _last_run(pieces: Sequence[Piece], whole: int) -> list[Piece]:
    """The last run of a producer that was started again; what goes before it has to be beginnings of the same.

    A single chunk is no beginning to rely on: it could as well be the first of two equal ones, as those of silence
    are, with a chunk of somebody else further on that makes up for it.
    """
    left, begin = whole, len(pieces)
    while begin and left > 0:
        begin -= 1
        left -= pieces[begin].length
    kept = list(pieces[begin:])
    if any(one.digest == other.digest for one, other in pairwise(kept)):
        # Where chunks equal each other, it could be anything.
        return []
    if any(later.made < earlier.made for earlier, later in pairwise(pieces)):
        # Not one producer after the other.
        return []
    at = longest = 0
    for piece in pieces[:begin]:
        if at < len(kept) and piece.digest == kept[at].digest:
            at += 1
        elif piece.digest == kept[0].digest:
            at = 1
        else:
            return []
        longest = max(longest, at)
    return kept if longest > 1 else []
