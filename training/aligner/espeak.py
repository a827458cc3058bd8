"""Speech with exact times from espeak-ng (libespeak-ng1) through its C interface.

The library is GPL-3; only sound that it made is used, nothing of it is linked into or shipped with lfk.
Word events carry the position of the word in the text, phoneme events its phones. Refuses a line for which a word
has no phone or a phone no word.
"""

from __future__ import annotations

import ctypes
import math
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from training.aligner.speech import SAMPLE_RATE, Phone, Speech, SpokenWord, TimesUnusable

# Repeated names are more likely; accents and variants all exist in espeak-ng 1.51 ("en-gb" takes no variant there).
ACCENTS = tuple(
    "en-us en-us en-us en-us en-gb-x-rp en-gb-x-rp en-gb-x-gbcwmd en-us-nyc en-gb-scotland en-029".split()  # noqa: SIM905
)
VARIANTS = tuple(
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 Alex Alicia Andrea Andy Annie Denis Gene Henrique Hugo Jacky Lee Marco "  # noqa: SIM905
    "Mario Michael anika antonio belinda benjamin boris caleb david ed edward john linda max miguel norbert paul pedro "
    "quincy rob robert sandro shelby steph travis victor zac".split()
)
RATE_RANGE = (120, 210)  # words per minute
PITCH_RANGE = (15, 85)  # espeak's own scale, 0 to 100
INTONATION_RANGE = (20, 80)  # likewise
# enum and event numbers of speak_lib.h
_AUDIO_RETRIEVAL, _WITH_PHONEME_EVENTS, _BUFFER_MS = 1, 1, 500
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 3, 4
_EVENT_END_OF_LIST, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_UTF8 = 1
# The last phone has no successor; it ends where the sound last exceeds this (int16 units, 10 ms blocks).
_AUDIBLE_PEAK, _BLOCK = 150, SAMPLE_RATE // 100
# A phone is at least this long, in seconds: half of what the model can resolve.
_PHONE_MIN = 0.01


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class _Heard:
    """A word event (`text_position`, counted from 1, is set) or a phone event (`phone` is set; empty is a pause)."""

    seconds: float
    text_position: int = 0
    phone: str | None = None


class Espeak:
    """One espeak-ng per process: the library keeps its state in globals. Raises OSError if it is not installed."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._rate = self._library.espeak_Initialize(_AUDIO_RETRIEVAL, _BUFFER_MS, None, _WITH_PHONEME_EVENTS)
        if self._rate <= 0:
            raise OSError("espeak-ng has no data files")
        self._pieces: list[NDArray[np.int16]] = []
        self._events: list[_Heard] = []
        self._callback = _Callback(self._receive)  # kept: the library only holds its address
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: object, count: int, events: object) -> int:
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        index = 0
        while (event := events[index]).type != _EVENT_END_OF_LIST:
            seconds = event.sample / self._rate
            if event.type == _EVENT_WORD:
                self._events.append(_Heard(seconds, text_position=event.text_position))
            elif event.type == _EVENT_PHONEME:
                name = event.id.string.decode("utf-8", "ignore")
                self._events.append(_Heard(seconds, phone="" if name.startswith("_") else name))
            index += 1
        return 0

    def speak(self, line: str, voice: str, rate: int, pitch: int, intonation: int) -> Speech:
        """`line` in `voice` (accent+variant).

        Raises ValueError for an accent that is not installed, TimesUnusable if the events do not fit the words.
        """
        if self._library.espeak_SetVoiceByName(voice.encode("ascii")) != 0:
            raise ValueError(f"espeak-ng has no voice {voice}")
        settings = ((_PARAMETER_RATE, rate), (_PARAMETER_PITCH, pitch), (_PARAMETER_RANGE, intonation))
        for parameter, value in settings:
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces.clear()
        self._events.clear()
        text = line.encode("ascii") + b"\0"
        self._library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._pieces:
            raise TimesUnusable("no sound")
        samples = self._resampled()
        return Speech("espeak", voice, samples, self._words(line, _audible_end(samples)))

    def _resampled(self) -> NDArray[np.int16]:
        sound = np.concatenate(self._pieces).astype(np.float32)
        common = math.gcd(SAMPLE_RATE, self._rate)
        resampled = resample_poly(sound, SAMPLE_RATE // common, self._rate // common)
        return np.clip(resampled, -32768, 32767).astype(np.int16)

    def _words(self, line: str, audible_end: float) -> tuple[SpokenWord, ...]:
        texts = line.split()
        index_at = {}
        position = 1
        for index, text in enumerate(texts):
            index_at[position] = index
            position += len(text) + 1
        phones: list[list[Phone]] = [[] for _ in texts]
        current: int | None = None
        followers = [*self._events[1:], _Heard(audible_end)]
        for event, follower in zip(self._events, followers, strict=True):
            if event.text_position:
                current = index_at.get(event.text_position)
            elif event.phone:
                if current is None:
                    raise TimesUnusable(f"phone {event.phone} belongs to no word")
                end = min(follower.seconds, audible_end)
                phones[current].append(Phone(event.phone, event.seconds, max(end, event.seconds + _PHONE_MIN)))
        if not all(phones):
            raise TimesUnusable("a word without phones")
        return tuple(SpokenWord(text, tuple(spoken)) for text, spoken in zip(texts, phones, strict=True))


def _audible_end(samples: NDArray[np.int16]) -> float:
    blocks = np.abs(samples[: len(samples) // _BLOCK * _BLOCK].astype(np.int32)).reshape(-1, _BLOCK).max(axis=1)
    loud = np.flatnonzero(blocks > _AUDIBLE_PEAK)
    return float((loud[-1] + 1) * _BLOCK / SAMPLE_RATE) if len(loud) else 0.0


def random_speech(espeak: Espeak, line: str, rng: random.Random) -> Speech:
    """`line` in a random accent, variant, rate, pitch and intonation."""
    voice = f"{rng.choice(ACCENTS)}+{rng.choice(VARIANTS)}"
    return espeak.speak(
        line, voice, rng.randint(*RATE_RANGE), rng.randint(*PITCH_RANGE), rng.randint(*INTONATION_RANGE)
    )
