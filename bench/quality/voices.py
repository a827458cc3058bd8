"""Voices for the quality bench: speech synthesised on this machine, and human clips from a Debian package.

Nothing is downloaded. ``flite`` and ``espeak-ng`` are run as programs; the human clips are those of Debian's
``pocketsphinx-testdata``. Both programs are deterministic, so a script and a seed give the same samples again.
A voice is spoken of by its name only; how it is made stays in here.
"""

from __future__ import annotations

import io
import subprocess
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

SAMPLE_RATE = 16_000
HUMAN_FOLDER = Path("/usr/share/pocketsphinx/test/data")
# A sentence takes a fraction of a second; a synthesiser that needs a minute hangs.
SYNTHESIS_TIMEOUT_SECONDS = 60.0
# A frame this far below the loudest one is silence, also in recordings with a little hiss.
SILENCE_BELOW_PEAK_DB = 35.0
# Pauses shorter than this belong to the speech around them: the rule of NIST's Rich Transcription evaluations.
BRIDGED_PAUSE_SECONDS = 0.3
FRAME = SAMPLE_RATE // 100


@dataclass(frozen=True)
class Voice:
    """One voice: ``family`` tells which voices are too alike to meet in one conversation (one of each family)."""

    name: str
    engine: str
    family: str
    scale: float = 1.0
    pitch: int = 50


@dataclass(frozen=True)
class Human:
    """A human reader: a fixed set of clips (path, text) of one person."""

    name: str
    family: str
    clips: tuple[tuple[Path, str], ...]


def _flite(name: str, scale: float = 1.0) -> Voice:
    return Voice(name if scale == 1.0 else f"{name}@{scale}", "flite", name, scale)


def _espeak(name: str, sex: str, pitch: int) -> Voice:
    return Voice(name, "espeak", f"espeak-{sex}", pitch=pitch)


def _transcribed(folder: str, transcription: str) -> tuple[tuple[Path, str], ...]:
    """Clips of a folder with its transcription file: lines of ``<s> text </s> (name)``."""
    clips = []
    for line in (HUMAN_FOLDER / folder / transcription).read_text().splitlines():
        text, _, name = line.rpartition(" (")
        clips.append(
            (HUMAN_FOLDER / folder / f"{name.rstrip(')')}.wav", text.replace("<s>", "").replace("</s>", "").strip())
        )
    return tuple(clips)


def librivox_reader() -> Human:
    """The reader of five sentences of "Sense and Sensibility", 24.7 s."""
    return Human("librivox", "human", _transcribed("librivox", "transcription"))


def card_player() -> Human:
    """Somebody who names playing cards, 9.6 s: short phrases in a noisy room."""
    return Human("cards", "human", _transcribed("cards", "cards.transcription"))


# The two halves share no voice: flite's four are natural in one and scaled (other vocal tract and pitch) in the other.
DEV_VOICES = (
    _flite("kal16", 1.12),
    _flite("kal16", 0.9),
    _flite("awb", 0.92),
    _flite("awb", 1.1),
    _flite("rms", 1.13),
    _flite("rms", 0.93),
    _flite("slt", 0.93),
    _flite("slt", 1.08),
    _espeak("en-us+m3", "male", 45),
    _espeak("en-gb-scotland+m5", "male", 40),
    _espeak("en-gb-x-rp+m7", "male", 60),
    _espeak("en-029+f2", "female", 55),
    _espeak("en-gb-x-rp+f4", "female", 50),
    _espeak("en-us-nyc+Andrea", "female", 45),
)
TEST_VOICES = (
    _flite("kal16"),
    _flite("awb"),
    _flite("rms"),
    _flite("slt"),
    _espeak("en-us+m1", "male", 50),
    _espeak("en-gb-x-rp+m2", "male", 35),
    _espeak("en-029+m4", "male", 45),
    _espeak("en-us-nyc+Michael", "male", 50),
    _espeak("en-gb-scotland+f1", "female", 50),
    _espeak("en-us+f3", "female", 60),
    _espeak("en-gb-x-rp+f5", "female", 45),
    _espeak("en-029+linda", "female", 50),
)


def read_wav(data: bytes) -> np.ndarray:
    """Mono 16-bit PCM at any rate as float32 in [-1, 1] at 16 kHz (raw headerless clips are 16 kHz already)."""
    if not data.startswith(b"RIFF"):
        return np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768
    # espeak-ng writes a length of 2**31 when it streams, so the frames are counted from the bytes that came.
    with wave.open(io.BytesIO(data)) as source:
        rate = source.getframerate()
        samples = np.frombuffer(source.readframes(len(data) // 2), dtype="<i2").astype(np.float32) / 32768
    return _resample(samples, Fraction(SAMPLE_RATE, rate))


def write_wav(target: Path | io.BytesIO, samples: np.ndarray) -> None:
    """Write float samples as mono 16-bit PCM at 16 kHz."""
    with wave.open(str(target) if isinstance(target, Path) else target, "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(SAMPLE_RATE)
        sink.writeframes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())


def speak(voice: Voice, text: str, *, stretch: float = 1.0) -> np.ndarray:
    """Synthesise ``text`` as float32 mono at 16 kHz; ``stretch`` above 1 speaks slower."""
    if voice.engine == "flite":
        # Played faster by `scale`, pitch and formants rise; the stretch keeps the tempo.
        command = ["flite", "-voice", voice.family, "--setf", f"duration_stretch={stretch * voice.scale:.3f}"]
        command += ["-t", text, "-o", "/dev/stdout"]
    else:
        speed = str(round(165 / stretch))
        command = ["espeak-ng", "-v", voice.name, "-p", str(voice.pitch), "-s", speed, "--stdout", text]
    done = subprocess.run(command, capture_output=True, check=True, timeout=SYNTHESIS_TIMEOUT_SECONDS)
    samples = read_wav(done.stdout)
    return samples if voice.scale == 1.0 else _resample(samples, 1 / Fraction(voice.scale).limit_denominator(100))


def speech_regions(samples: np.ndarray) -> list[tuple[float, float]]:
    """Where a clean recording holds speech, in seconds: loud 10 ms frames, short pauses bridged."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    level = 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-12)
    loud = np.flatnonzero(level > level.max() - SILENCE_BELOW_PEAK_DB)
    breaks = np.flatnonzero(np.diff(loud) * 0.01 > BRIDGED_PAUSE_SECONDS)
    firsts = loud[np.concatenate(([0], breaks + 1))]
    lasts = loud[np.concatenate((breaks, [len(loud) - 1]))]
    return [(float(first) * 0.01, float(last + 1) * 0.01) for first, last in zip(firsts, lasts, strict=True)]


def _resample(samples: np.ndarray, factor: Fraction) -> np.ndarray:
    if factor == 1:
        return samples
    return resample_poly(samples, factor.numerator, factor.denominator).astype(np.float32)
