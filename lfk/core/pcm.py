"""PCM in messages: the header that a chunk carries beside its samples, and the wav file made of both.

The older tool's producers put what Python's ``wave.getparams()`` says into ``params``, the values joined by commas;
others print the tuple itself, or name the values. All of these are read; what comes out is one strict value, and
anything that is no uncompressed PCM is refused.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from lfk.core.errors import MalformedMessage

#: Bytes of the header that :func:`wav_header` makes.
HEADER_BYTES = 44
#: The most bytes of samples that a wav file can hold: its sizes are 32-bit numbers.
MOST_DATA_BYTES = 2**32 - 1 - HEADER_BYTES

#: The names and the order of ``wave.getparams()``.
_NAMES = ("nchannels", "sampwidth", "framerate", "nframes", "comptype", "compname")
#: Beyond these no recording is: channels, bytes of a sample, samples a second.
_MOST_CHANNELS = 64
_WIDTHS = range(1, 5)
_MOST_RATE = 768_000
#: What writers put there who do not know the number of frames yet.
_UNKNOWN_FRAMES = 2**31 - 1
_PCM = 1

_WRAPPED = re.compile(r"(?:_?wave_params|wave\.\w+)?\s*[(\[{](?P<inner>.*)[)\]}]", re.DOTALL)
_NAMED = re.compile(r"""['"]?(?P<name>[a-z]+)['"]?\s*[=:]\s*(?P<value>.*)""", re.DOTALL)

_HINT = "write nchannels,sampwidth,framerate,nframes,comptype,compname as Python's wave.getparams() has them"


@dataclass(frozen=True, slots=True)
class Pcm:
    """How samples are laid out. ``width`` is the bytes of one sample of one channel, ``rate`` is frames a second."""

    channels: int
    width: int
    rate: int
    #: Frames that the sender says there are, of the audio or of this chunk; None if it does not know.
    frames: int | None = None

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.width

    def same_form(self, other: Pcm) -> bool:
        """Whether samples of both may stand in one file."""
        return (self.channels, self.width, self.rate) == (other.channels, other.width, other.rate)

    def __str__(self) -> str:
        """As ``params`` of a message."""
        return f"{self.channels},{self.width},{self.rate},{self.frames or 0},NONE,not compressed"


def parse_params(text: str) -> Pcm:
    """The layout that the ``params`` of a chunk describe.

    Raises:
        MalformedMessage: it is none of the known spellings, or no uncompressed PCM.
    """
    values = _values(text)
    channels, width, rate = (_number(values, name) for name in _NAMES[:3])
    frames = _number(values, "nframes") if values.get("nframes") else 0
    if not (1 <= channels <= _MOST_CHANNELS and width in _WIDTHS and 1 <= rate <= _MOST_RATE):
        raise _refused(text, "no recording is laid out like that")
    if values.get("comptype", "NONE").upper() not in ("NONE", ""):
        raise _refused(text, "the samples are compressed")
    return Pcm(channels, width, rate, frames if 0 < frames < _UNKNOWN_FRAMES else None)


def wav_header(pcm: Pcm, data_bytes: int) -> bytes:
    """The first :data:`HEADER_BYTES` bytes of a wav file that ends after ``data_bytes`` bytes of samples.

    Raises:
        ValueError: a wav file cannot hold so many.
    """
    if data_bytes > MOST_DATA_BYTES:
        raise ValueError(f"a wav file holds at most {MOST_DATA_BYTES} bytes of samples")
    form = struct.pack(
        "<HHIIHH", _PCM, pcm.channels, pcm.rate, pcm.rate * pcm.frame_bytes, pcm.frame_bytes, pcm.width * 8
    )
    size = HEADER_BYTES - 8 + data_bytes
    return (
        b"RIFF" + struct.pack("<I", size) + b"WAVEfmt \x10\x00\x00\x00" + form + b"data" + struct.pack("<I", data_bytes)
    )


def read_wav_header(head: bytes, size: int) -> Pcm | None:
    """The layout of a wav file of ``size`` bytes that begins with ``head``, if header and samples are all it holds.

    Then :func:`wav_header` gives the very same bytes back; of any other file (with tags, of other forms) it is None.
    """
    if len(head) < HEADER_BYTES or head[:4] != b"RIFF" or size - HEADER_BYTES > MOST_DATA_BYTES:
        return None
    channels, rate, frame_bytes = struct.unpack("<HI4xH", head[22:34])
    width = frame_bytes // channels if channels else 0
    if not (1 <= channels <= _MOST_CHANNELS and width in _WIDTHS and 1 <= rate <= _MOST_RATE):
        return None
    data = size - HEADER_BYTES
    pcm = Pcm(channels, width, rate, data // frame_bytes)
    whole = data % frame_bytes == 0 and data > 0
    return pcm if whole and wav_header(pcm, data) == head[:HEADER_BYTES] else None


def _values(text: str) -> dict[str, str]:
    """Each value by its name, without quotes."""
    stripped = text.strip()
    wrapped = _WRAPPED.fullmatch(stripped)
    parts = [part.strip() for part in (wrapped["inner"] if wrapped else stripped).split(",")]
    if parts and not parts[-1]:
        # The comma that ends a tuple.
        parts.pop()
    if not 3 <= len(parts) <= len(_NAMES):
        raise _refused(text, f"{len(parts)} values instead of 3 to {len(_NAMES)}")
    named = [_NAMED.fullmatch(part) for part in parts]
    if not any(named):
        return {name: part.strip("'\" ") for name, part in zip(_NAMES, parts, strict=False)}
    values = {match["name"]: match["value"].strip("'\" ") for match in named if match}
    if len(values) != len(parts) or not values.keys() <= set(_NAMES):
        raise _refused(text, "some of its values have no name that is known")
    return values


def _number(values: dict[str, str], name: str) -> int:
    digits = values.get(name, "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        raise MalformedMessage(f"params: {name} is {digits[:40]!r} and no number", hint=_HINT)
    return int(digits)


def _refused(text: str, why: str) -> MalformedMessage:
    return MalformedMessage(f"params: {text[:120]!r}: {why}", hint=_HINT)
