"""The audio itself, in a file or in messages."""

from __future__ import annotations

from lfk.core.errors.base import LfkError


class MediaError(LfkError):
    """The audio itself is the problem."""

    code = "media_error"
    hint = "play the file, convert it (for example to wav or flac) and upload it again"


class AudioEmpty(MediaError):
    """Zero bytes, or no samples."""

    code = "audio_empty"
    hint = "the file holds no audio; record or upload it again"


class AudioUndecodable(MediaError):
    """Not a media file, or broken beyond use."""

    code = "audio_undecodable"


class NoAudioTrack(MediaError):
    """A video without sound."""

    code = "no_audio_track"
    hint = "the file has no audio track; upload the one that has"


class AudioTooLong(MediaError):
    """Over LFK_MAX_DURATION."""

    code = "audio_too_long"
    hint = "split the recording, or raise LFK_MAX_DURATION"


class AudioTooLarge(MediaError):
    """Over LFK_MAX_AUDIO_BYTES."""

    code = "audio_too_large"
    hint = "split or compress the recording, or raise LFK_MAX_AUDIO_BYTES"


class ChunkError(LfkError):
    """Audio that came in messages and could not be joined."""

    code = "chunk_error"
    hint = "send the file again with `lfk chunks send`, or upload it with `lfk sync`"


class ChunksIncomplete(ChunkError):
    """The last chunk came, but not all that belong before it."""

    code = "chunks_incomplete"


class ChunksTimedOut(ChunkError):
    """The rest of an audio did not come within LFK_CHUNK_TIMEOUT."""

    code = "chunks_timed_out"
    hint = "send the file again; where senders pause for longer, raise LFK_CHUNK_TIMEOUT"


class ChunksMixed(ChunkError):
    """Chunks of one name that are not of one audio."""

    code = "chunks_mixed"
