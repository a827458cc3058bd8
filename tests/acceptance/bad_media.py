"""Recordings that something is wrong with, made on the spot."""

from __future__ import annotations

import math
import os
import struct
import wave
from collections.abc import Callable, Mapping
from pathlib import Path


def tone(path: Path, seconds: float, *, rate: int = 16000, channels: int = 1, level: float = 0.3) -> None:
    """A wav file with a 440 Hz tone; ``level`` 0 is silence."""
    frames = [int(32767 * level * math.sin(2 * math.pi * 440 * n / rate)) for n in range(int(seconds * rate))]
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(channels)
        audio.setsampwidth(2)
        audio.setframerate(rate)
        audio.writeframes(b"".join(struct.pack("<h", frame) * channels for frame in frames))


def video(path: Path, *, sound: bool) -> None:
    """A second of grey mp4, with or without a sound track."""
    import av

    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        track = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        for _ in range(10):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        if track is not None:
            frame_of_sound = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame_of_sound.sample_rate = 16000
            for plane in frame_of_sound.planes:
                plane.update(bytes(plane.buffer_size))
            for number in range(16):
                frame_of_sound.pts = number * 1024
                container.mux(track.encode(frame_of_sound))
            container.mux(track.encode(None))


def truncated(path: Path) -> None:
    """An mp4 that ends before its index, as an upload that was cut off does."""
    video(path, sound=True)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov")])


#: What the hub says of each: the code of the failure.
FAILS: Mapping[str, tuple[str, Callable[[Path], object]]] = {
    "text.wav": ("audio_undecodable", lambda path: path.write_text("this is no audio\n" * 50)),
    "truncated.mp4": ("audio_undecodable", truncated),
    "silent film.mp4": ("no_audio_track", lambda path: video(path, sound=False)),
    "playlist.wav": ("audio_undecodable", lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")),
    "noise.mp3": ("audio_undecodable", lambda path: path.write_bytes(os.urandom(4096))),
}

#: What is odd, and fine all the same.
WORKS: Mapping[str, Callable[[Path], object]] = {
    "short.wav": lambda path: tone(path, 0.05),
    "silence.wav": lambda path: tone(path, 3.0, level=0.0),
    "wide.wav": lambda path: tone(path, 1.0, rate=96000, channels=8),
    "film.mp4": lambda path: video(path, sound=True),
}
