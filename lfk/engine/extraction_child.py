"""The process that takes the audio out of one recording: ``python -m lfk.engine.extraction_child``.

Started by :mod:`lfk.engine.extraction` alone. Decodes as an engine does, so that what is sent is what an engine would
have heard, with the recording's own gaps kept as silence. Says what went wrong in one line of JSON.
"""

from __future__ import annotations

import argparse
import errno
import json
import resource
import sys
from pathlib import Path

import av
import numpy as np

from lfk.core.errors import AudioUndecodable, LfkError, ScratchFull
from lfk.engine.child import die_with
from lfk.engine.media import decode
from lfk.engine.samples import SAMPLE_RATE, Samples
from lfk.engine.wire import error_to_dict

#: By form: FFmpeg's container and codec, and bits a second (0: as many as it takes). 32 kbit/s of Opus is transparent
#: for speech at 16 kHz.
_ENCODERS = {"flac": ("flac", "flac", 0), "opus": ("ogg", "libopus", 32_000)}
#: Samples of a frame where the codec takes any number.
_FRAME_SAMPLES = 4096
#: Address space: twelve hours of mapped samples and as much again. What wants more has a forged header.
_MEMORY_BYTES = 8 << 30


def main(argv: list[str] | None = None) -> int:
    """Extract; 1 with the reason on standard output where that fails."""
    parser = argparse.ArgumentParser(prog="python -m lfk.engine.extraction_child")
    parser.add_argument("--parent", required=True, type=int, help="process id of the caller")
    parser.add_argument("--form", required=True, choices=sorted(_ENCODERS))
    parser.add_argument("--max-seconds", required=True, type=float)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args(argv)
    die_with(arguments.parent)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    try:
        extract(arguments.source, arguments.target, arguments.form, arguments.max_seconds)
    except LfkError as error:
        failure = error
    except MemoryError:
        failure = AudioUndecodable("it takes more memory than any recording should")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        failure = ScratchFull("no room for the audio of a video")
    else:
        return 0
    print(json.dumps(error_to_dict(failure)))
    return 1


def extract(source: Path, target: Path, form: str, max_seconds: float) -> None:
    """Write the audio of ``source`` to ``target``.

    Raises:
        MediaError, FileUnreadable, ScratchFull: see :func:`lfk.engine.media.decode`.
        OSError: no room for the target.
    """
    audio = decode(source, target.parent, max_seconds)
    container, codec, rate = _ENCODERS[form]
    with av.open(str(target), "w", format=container) as out:
        stream = out.add_stream(codec, rate=SAMPLE_RATE, layout="mono", format="s16")
        if rate:
            stream.bit_rate = rate
        stream.codec_context.open()
        step = stream.codec_context.frame_size or _FRAME_SAMPLES
        for start in range(0, len(audio.samples), step):
            out.mux(stream.encode(_frame(audio.samples[start : start + step], start)))
        out.mux(stream.encode(None))


def _frame(samples: Samples, start: int) -> av.AudioFrame:
    whole = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(whole.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    frame.pts = start
    return frame


if __name__ == "__main__":
    sys.exit(main())
