"""Frame labels made for the trellis of whisperx.align, where only the blank can stay: a letter is labelled on exactly
one frame and every other frame is blank.

A letter sits at its phone's onset, the last letter of a word at the word's end and the separator right behind it,
because whisperx lets a word run until the next label: so the last word of a segment, which no separator follows, also
ends where it should.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.aligner.speech import SAMPLE_RATE, SOURCES, TimedWord

BLANK, SEPARATOR = 0, 4
VOCABULARY: dict[str, int] = {
    symbol: index for index, symbol in enumerate(("<pad>", "<s>", "</s>", "<unk>", "|", "'", *string.ascii_lowercase))
}
# 20 ms frames of 25 ms windows, as wav2vec2 has them; see model.py for the layers that give these.
STRIDE = 320
WINDOW = 400
_FRAME = STRIDE / SAMPLE_RATE
_CENTRE = WINDOW / 2 / SAMPLE_RATE
# A gap of this many frames between words counts as a pause; the separator then stands in it.
_PAUSE_FRAMES = 2
IGNORED = -100
"""Label that torch's cross-entropy skips by default."""

PhoneIds = Mapping[tuple[str, str], int]
"""(source, phone) to label, counted from 1 in each source; 0 is silence."""


def frames(samples: int) -> int:
    """Frames that the model gives for so many samples, at least 400."""
    return (samples - WINDOW) // STRIDE + 1


def letter_labels(words: Sequence[TimedWord], count: int) -> NDArray[np.int64]:
    """Label of each of `count` frames: vocabulary index of a letter or separator, else blank."""
    labels = np.full(count, BLANK, np.int64)
    last = -1

    def put(frame: int, label: int) -> None:
        nonlocal last
        last = max(frame, last + 1)  # two letters never share a frame
        if last < count:
            labels[last] = label

    for index, word in enumerate(words):
        following = round(words[index + 1].start / _FRAME) if index + 1 < len(words) else None
        end = round(word.end / _FRAME)
        paused = following is None or following - end >= _PAUSE_FRAMES
        separator = end if paused or following is None else min(end, following) - 1
        for place, (letter, onset) in enumerate(zip(word.text, word.onsets, strict=True)):
            closes = place == len(word.text) - 1 and place > 0
            frame = round(onset / _FRAME)
            put(max(frame, separator - 1) if closes else frame, VOCABULARY[letter])
        put(separator, SEPARATOR)
    return labels


def phone_labels(words: Sequence[TimedWord], count: int, source: str, ids: PhoneIds) -> NDArray[np.int64]:
    """Phone label of each frame for words of one source; silence is 0, a phone without an id is ignored."""
    labels = np.zeros(count, np.int64)
    for word in words:
        for phone in word.phones:
            first = max(0, math.ceil((phone.start - _CENTRE) / _FRAME))
            behind = math.ceil((phone.end - _CENTRE) / _FRAME)
            labels[first:behind] = ids.get((source, phone.name), IGNORED)
    return labels


def phone_ids(spoken: Mapping[str, Sequence[TimedWord]], occurrences_min: int = 80) -> dict[tuple[str, str], int]:
    """Labels for the phones of each source that occur at least so often, most frequent first."""
    ids: dict[tuple[str, str], int] = {}
    for source in SOURCES:
        counts: dict[str, int] = {}
        for word in spoken.get(source, ()):
            for phone in word.phones:
                counts[phone.name] = counts.get(phone.name, 0) + 1
        ranked = sorted(
            (name for name, count in counts.items() if count >= occurrences_min), key=lambda n: (-counts[n], n)
        )
        ids.update({(source, name): label for label, name in enumerate(ranked, 1)})
    return ids
