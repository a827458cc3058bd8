"""Speech with exact times from flite (libflite1, BSD-style licence; CMU voices) through its C interface.

The relation `Segment` holds one item per phone with its end time; the path below leads from a phone to the
whitespace-separated token it belongs to. Refuses a line whose tokens do not match its words.
"""

from __future__ import annotations

import ctypes
import random

import numpy as np
from numpy.typing import NDArray

from training.aligner.speech import SAMPLE_RATE, Phone, Speech, SpokenWord, TimesUnusable

VOICES = ("kal16", "awb", "rms", "slt")
# Speaking rate: the voice's own durations times this.
STRETCH_RANGE = (0.75, 1.35)
_TOKEN_OF_PHONE = b"R:SylStructure.parent.parent.R:Token.parent"
_PAUSE = "pau"


class _Wave(ctypes.Structure):
    """cst_wave of cst_wave.h."""

    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class _Voice(ctypes.Structure):
    """The first two fields of cst_voice (cst_voice.h)."""

    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


_POINTER = ctypes.c_void_p
_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "flite_init": (ctypes.c_int, ()),
    "flite_synth_text": (_POINTER, (ctypes.c_char_p, _POINTER)),
    "utt_wave": (ctypes.POINTER(_Wave), (_POINTER,)),
    "delete_utterance": (None, (_POINTER,)),
    "utt_relation": (_POINTER, (_POINTER, ctypes.c_char_p)),
    "relation_head": (_POINTER, (_POINTER,)),
    "item_next": (_POINTER, (_POINTER,)),
    "item_feat_string": (ctypes.c_char_p, (_POINTER, ctypes.c_char_p)),
    "item_feat_float": (ctypes.c_float, (_POINTER, ctypes.c_char_p)),
    "path_to_item": (_POINTER, (_POINTER, ctypes.c_char_p)),
    "feat_set_float": (None, (_POINTER, ctypes.c_char_p, ctypes.c_float)),
}


class Flite:
    """The four 16 kHz voices; loading takes about a second. Raises OSError if libflite1 is not installed."""

    def __init__(self) -> None:
        self._libraries = [
            ctypes.CDLL(f"lib{name}.so.1", mode=ctypes.RTLD_GLOBAL)
            for name in ("flite", "flite_usenglish", "flite_cmulex")
        ]
        self._flite = self._libraries[0]
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._flite, name)
            function.restype, function.argtypes = result, arguments
        self._flite.flite_init()
        self._voices = {name: self._register(name) for name in VOICES}

    def _register(self, name: str) -> int:
        library = ctypes.CDLL(f"libflite_cmu_us_{name}.so.1")
        self._libraries.append(library)
        register = getattr(library, f"register_cmu_us_{name}")
        register.restype, register.argtypes = _POINTER, (ctypes.c_char_p,)
        return int(register(None))

    def speak(self, line: str, voice: str, stretch: float) -> Speech:
        """`line` in `voice`, durations times `stretch`. Raises TimesUnusable if tokens and words differ."""
        address = self._voices[voice]
        features = ctypes.cast(address, ctypes.POINTER(_Voice)).contents.features
        self._flite.feat_set_float(features, b"duration_stretch", stretch)
        utterance = self._flite.flite_synth_text(line.encode("ascii"), address)
        try:
            words = self._words(utterance, line.split())
            samples = self._samples(utterance)
        finally:
            self._flite.delete_utterance(utterance)
        return Speech("flite", voice, samples, words)

    def _samples(self, utterance: int) -> NDArray[np.int16]:
        wave = self._flite.utt_wave(utterance).contents
        if (wave.sample_rate, wave.num_channels) != (SAMPLE_RATE, 1):
            raise TimesUnusable(f"{wave.sample_rate} Hz, {wave.num_channels} channels")
        return np.ctypeslib.as_array(wave.samples, shape=(wave.num_samples,)).copy()

    def _words(self, utterance: int, texts: list[str]) -> tuple[SpokenWord, ...]:
        by_token: dict[int, list[Phone]] = {}
        item = self._flite.relation_head(self._flite.utt_relation(utterance, b"Segment"))
        start = 0.0
        while item:
            name = self._flite.item_feat_string(item, b"name").decode("ascii")
            end = float(self._flite.item_feat_float(item, b"end"))
            token = self._flite.path_to_item(item, _TOKEN_OF_PHONE)
            if name != _PAUSE and token:
                by_token.setdefault(int(token), []).append(Phone(name, start, end))
            start = end
            item = self._flite.item_next(item)
        if len(by_token) != len(texts):
            raise TimesUnusable(f"{len(by_token)} tokens for {len(texts)} words")
        return tuple(SpokenWord(text, tuple(phones)) for text, phones in zip(texts, by_token.values(), strict=True))


def random_speech(flite: Flite, line: str, rng: random.Random) -> Speech:
    """`line` in a random voice at a random rate."""
    return flite.speak(line, rng.choice(VOICES), rng.uniform(*STRETCH_RANGE))
