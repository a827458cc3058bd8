"""Recordings turned into what the networks hear: mono float32 samples at 16 kHz, in a mapped file.

Decoded with PyAV, which brings FFmpeg's libraries along, so no system ffmpeg is needed. Samples go through a scratch
file that is mapped and has no name: hours of audio cost disk (64 kB a second) and not memory, and nothing is
left behind. Recordings are hostile: only plain local files are opened, only by demuxers that read one file and open
no other (no playlists, no concatenation, no devices), never over a network protocol, never by a decoder of pictures,
and never with more memory than recordings need, whatever their tables declare.

Refused: what is no recording, has no audio track or no samples, or is longer than allowed. What is damaged or cut
short but holds audio is used, with a warning.
"""

from __future__ import annotations

import mmap
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import av
import av.error
import numpy as np
from av.codec import Codec, codecs_available
from av.codec.codec import UnknownCodecError
from av.stream import Disposition
from numpy.typing import NDArray

from lfk.core.errors import AudioEmpty, AudioTooLong, AudioUndecodable, FileUnreadable, NoAudioTrack, ScratchFull
from lfk.engine.memory import memory_ceiling
from lfk.engine.samples import SAMPLE_RATE, Resampler, Samples, mono

#: Demuxers of single files, by FFmpeg's names. Not here, on purpose: hls, dash, concat, sdp, image2, lavfi and all
#: others that follow what a file names.
DEMUXERS = (
    "3gp aac ac3 aiff amr amrnb amrwb ape asf au avi caf dts eac3 flac flv gsm matroska mov mp3 mp4 mpeg mpegts "
    "mxf ogg rm tta voc w64 wav webm wv"
)
#: What decoding may take beside the samples: the index of a day of video is some 200 MB. Tables that ask for more
#: are forged.
_MOST_MEMORY = 1 << 30
#: Containers whose timestamps are measured and not counted, so that a gap in them is a gap in the recording.
_TIMED = frozenset({"mov", "mp4", "matroska", "webm", "mpegts", "asf", "flv", "ogg"})
#: A gap is filled with silence so that later times stay right: not below this (jitter), and not above this (a clock
#: that was set, or a forged time).
_LEAST_GAP_SECONDS = 0.5
_MOST_GAP_SECONDS = 600.0
#: No speech codec gets by with less (Opus takes about 50 in silence), so a file of this many bytes for each second
#: that it declares may well be as long as it says, and one with fewer is lying.
_CREDIBLE_BYTES_PER_SECOND = 50
_SAMPLE_BYTES = 4
#: Where Linux shows a process's open files to others of the same user, files without a name included.
_OPEN_FILES = "/proc/{}/fd/{}"
_SHARES = Path("/proc/self/fd").is_dir()
#: Less than this and 2 % may lack before a file counts as cut short: declared lengths are rounded.
_LACKING_SECONDS = 1.0
_LACKING_PART = 0.02

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Audio:
    """A decoded recording. ``samples`` is float32, mono, 16 kHz, shape (samples,), within -1 and 1."""

    samples: Samples
    warnings: tuple[str, ...]
    _pages: mmap.mmap
    #: What another process on this machine opens to hear the same samples (:func:`opened`); None where it cannot.
    name: str | None = None

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLE_RATE

    def release(self) -> None:
        """Let go of the pages that were read; they come back from the file when they are read again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._pages.madvise(mmap.MADV_DONTNEED)


def decode(path: Path, scratch: Path, max_seconds: float, progress: Progress | None = None) -> Audio:
    """Decode the default (else the first) audio track of a recording.

    Args:
        path: a plain local file.
        scratch: folder for the samples; nothing stays in it.
        max_seconds: longest recording taken, in seconds.
        progress: called with the part that is through, 0–1, as far as the file declares its length.

    Raises:
        AudioEmpty, AudioUndecodable, NoAudioTrack, AudioTooLong: see the module.
        FileUnreadable: not a plain file, or not ours to read.
        ScratchFull, OSError: no room in ``scratch``.
    """
    size = _plain_size(path)
    with tempfile.TemporaryFile(dir=scratch, buffering=0) as file:
        try:
            with memory_ceiling(_MOST_MEMORY):
                warnings = _fill(file, path, size, scratch, max_seconds, progress)
        except MemoryError as error:
            raise AudioUndecodable("decoding it would take more memory than any recording needs") from error
        # Outside: these pages count as memory until they are found to be the file's.
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        handle = os.dup(file.fileno())
    weakref.finalize(pages, os.close, handle)
    samples: Samples = np.frombuffer(pages, dtype=np.float32)
    return Audio(samples, warnings, pages, _OPEN_FILES.format(os.getpid(), handle) if _SHARES else None)


def opened(name: str) -> Samples:
    """The samples that another engine of this hub has decoded.

    Raises:
        OSError: that engine has ended, or let go of them.
    """
    with Path(name).open("rb", buffering=0) as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    samples: Samples = np.frombuffer(pages, dtype=np.float32)
    return samples


def _fill(
    file: IO[bytes], path: Path, size: int, scratch: Path, max_seconds: float, progress: Progress | None
) -> tuple[str, ...]:
    """Every sample into the file; what people should know of the recording."""
    with _container(path) as container:
        stream = _track(container, path)
        declared = container.duration / av.time_base if container.duration else 0.0
        if size >= declared * _CREDIBLE_BYTES_PER_SECOND:
            if declared > max_seconds:
                raise AudioTooLong(_too_long(declared, max_seconds))
            _check_room(declared, scratch)
        decoder = _Decoder(container, stream, file, max_seconds)
        decoder.run(declared, progress)
    if not decoder.written:
        if decoder.damaged:
            raise AudioUndecodable("nothing in its audio track can be decoded")
        raise AudioEmpty("its audio track holds no samples")
    return tuple(decoder.warnings(declared))


@cache
def _options() -> dict[str, str]:
    """What FFmpeg is held to. Only decoders of sound: those of pictures, which it would try just to describe a video,
    are most of its code, and take most of the time of opening one."""
    sound = set()
    for name in codecs_available:
        with suppress(UnknownCodecError):
            codec = Codec(name, "r")
            if codec.type == "audio":
                sound.add(codec.name)
    return {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(DEMUXERS.split()),
        "codec_whitelist": ",".join(sorted(sound)),
    }


def _plain_size(path: Path) -> int:
    try:
        about = path.stat()
    except OSError as error:
        raise FileUnreadable(f"cannot read the audio: {error.strerror}") from error
    if not stat.S_ISREG(about.st_mode):
        raise FileUnreadable("the audio is not a plain file")
    if about.st_size == 0:
        raise AudioEmpty("the file has no bytes")
    return about.st_size


@contextmanager
def _container(path: Path) -> Iterator[Any]:
    try:
        # With the protocol named, nothing in the file's own name can be taken for one.
        container = av.open(f"file:{path.absolute()}", options=_options(), metadata_errors="replace")
    except MemoryError:
        raise
    except (av.error.PermissionError, av.error.FileNotFoundError) as error:
        raise FileUnreadable(f"cannot read the audio: {error.strerror}") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise AudioUndecodable("it is not a recording in any known format, or its beginning is damaged") from error
    with container:
        yield container


def _track(container: Any, path: Path) -> Any:
    tracks = list(container.streams.audio)
    if not tracks:
        if container.streams:
            raise NoAudioTrack(f"a {container.format.name.partition(',')[0]} file without an audio track")
        raise AudioUndecodable("it holds no track of any kind")
    track = next((one for one in tracks if one.disposition & Disposition.default), tracks[0])
    if track.codec_context is None:
        raise AudioUndecodable(f"no decoder for the audio track of {path.suffix or 'this file'}")
    return track


def _check_room(seconds: float, scratch: Path) -> None:
    """Before minutes go into decoding what will not fit."""
    needed = round(seconds * SAMPLE_RATE) * _SAMPLE_BYTES
    free = shutil.disk_usage(scratch).free
    if free < needed:
        raise ScratchFull(f"decoded it takes {needed >> 20} MiB of scratch; there are {free >> 20} MiB")


def _too_long(seconds: float, limit: float) -> str:
    return f"the recording is {seconds / 3600:.1f} h long or longer; the limit is {limit / 3600:.1f} h"


class _Decoder:
    """From packets to samples in a file."""

    def __init__(self, container: Any, stream: Any, file: IO[bytes], max_seconds: float) -> None:
        self._container = container
        self._stream = stream
        self._file = file
        self._max_seconds = max_seconds
        self._resampler = Resampler(self._write)
        self._timed = not _TIMED.isdisjoint(container.format.name.split(","))
        #: What is taken off timestamps; set anew where they jump.
        self._origin = (container.start_time or 0) / av.time_base
        #: Seconds of audio handed to the resampler, silence included.
        self._at = 0.0
        #: Samples in the file.
        self.written = 0
        self.damaged = 0
        self._jumps = 0
        self._invalid = 0

    def run(self, declared: float, progress: Progress | None) -> None:
        """Decode all there is.

        Raises:
            AudioTooLong: there is more than allowed.
            AudioUndecodable: its sample rate or format makes no sense.
        """
        for frame in self._frames():
            samples, invalid = mono(frame)
            self._invalid += invalid
            self._keep_time(frame)
            self._resampler.feed(samples, frame.sample_rate)
            self._advance(len(samples) / frame.sample_rate)
            if progress is not None and declared > 0:
                progress(min(1.0, self._at / declared))
        self._resampler.end()

    def warnings(self, declared: float) -> Iterator[str]:
        """What people should know of this recording."""
        held = self.written / SAMPLE_RATE
        if self.damaged:
            yield f"the recording is damaged: {self.damaged} of its packets could not be decoded and are left out"
        lacking = declared - held
        if lacking > _LACKING_SECONDS and lacking > declared * _LACKING_PART:
            yield f"the recording seems cut short: it declares {declared:.1f} s and holds {held:.1f} s"
        if self._jumps:
            yield "the recording's own clock jumps: times behind that point may differ from a player's"
        if self._invalid:
            yield f"{self._invalid} samples were not numbers and are taken for silence"

    def _frames(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except IndexError:
                # A track that begins in the middle, which PyAV does not know of; its packet is read.
                packets = self._container.demux(self._stream)
                continue
            except MemoryError:
                raise
            except av.error.FFmpegError:
                self.damaged += 1
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except (av.error.FFmpegError, ValueError):
                self.damaged += 1
                continue
            yield from frames

    def _keep_time(self, frame: Any) -> None:
        """Silence where the recording has a gap, so that what follows keeps its time."""
        if not self._timed or frame.pts is None or frame.time_base is None:
            return
        gap = float(frame.pts * frame.time_base) - self._origin - self._at
        if abs(gap) < _LEAST_GAP_SECONDS:
            return
        if 0 < gap <= _MOST_GAP_SECONDS:
            self._silence(gap, frame.sample_rate)
        else:
            self._origin += gap
            self._jumps += 1

    def _silence(self, seconds: float, rate: int) -> None:
        left = round(seconds * rate)
        while left > 0:
            block = min(left, rate)
            self._resampler.feed(np.zeros(block, dtype=np.float32), rate)
            self._advance(block / rate)
            left -= block

    def _advance(self, seconds: float) -> None:
        self._at += seconds
        if self._at > self._max_seconds:
            raise AudioTooLong(_too_long(self._at, self._max_seconds))

    def _write(self, samples: NDArray[np.float32]) -> None:
        view = memoryview(np.clip(samples, -1.0, 1.0).tobytes())
        self.written += len(samples)
        while view:
            view = view[self._file.write(view) or 0 :]
