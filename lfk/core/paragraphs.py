"""The words of a transcript grouped for reading: a line per segment, paragraphs at pauses, or turns of speakers.

Pure; refuses nothing: what has no time or speaker stays with what it stands beside (see ``running_text``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from lfk.core.approaches import Layout
from lfk.core.running_text import Written, joined, label, running
from lfk.core.transcript import Transcript, Turn

#: Seconds of silence that begin a new paragraph, unless the operator says otherwise.
PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Block:
    """What is written together. Times are seconds; ``speaker`` is not set in paragraphs."""

    start: float
    end: float
    words: tuple[Written, ...]
    speaker: str | None = None
    #: Where it differs from the transcript's own.
    language: str | None = None

    @property
    def text(self) -> str:
        """On one line."""
        return joined(self.words)


def blocks(transcript: Transcript, layout: Layout, pause: float = PAUSE) -> Iterator[Block]:
    """Grouped as ``layout`` says; ``pause`` (seconds) matters to paragraphs only."""
    if layout == "lines":
        return lines(transcript)
    if layout == "paragraphs":
        return paragraphs(transcript, pause)
    return turns(transcript)


def lines(transcript: Transcript) -> Iterator[Block]:
    """One block per segment, from the segment's own start; it carries the segment's speaker."""
    for segment, words in running(transcript):
        start = max(0.0, segment.start)
        speaker = label(segment.speaker) or words[0].speaker
        yield Block(start, max(start, segment.end), words, speaker, segment.language)


def paragraphs(transcript: Transcript, pause: float = PAUSE) -> Iterator[Block]:
    """A new block where nobody has spoken for at least ``pause`` seconds, and where the language changes."""
    for language, words in _by_language(transcript):
        for group in split_at_pauses(words, pause):
            yield _block(group, language)


def turns(transcript: Transcript) -> Iterator[Block]:
    """A new block where the speaker or the language changes."""
    for language, words in _by_language(transcript):
        for speaker, group in groupby(words, lambda word: word.speaker):
            yield _block(tuple(group), language, speaker)


def speaker_turns(transcript: Transcript) -> list[Turn]:
    """Who talks when, in order of time: what the diariser found, else what the speakers of the words tell."""
    given = [Turn(turn.start, turn.end, name) for turn in transcript.turns if (name := label(turn.speaker))]
    told = given or [Turn(block.start, block.end, block.speaker) for block in turns(transcript) if block.speaker]
    spans = [turn for turn in told if 0 <= turn.start < turn.end < math.inf]
    return sorted(spans, key=lambda turn: (turn.start, turn.end, turn.speaker))


def split_at_pauses(words: Iterable[Written], pause: float) -> Iterator[tuple[Written, ...]]:
    """The words in groups between which nobody spoke for at least ``pause`` seconds.

    Counted from when anybody was last heard: an interjection inside a longer sentence is no pause behind it.
    """
    group: list[Written] = []
    heard = 0.0
    for word in words:
        if group and word.start - heard >= pause:
            yield tuple(group)
            group = []
        heard = max(heard, word.end)
        group.append(word)
    if group:
        yield tuple(group)


def _by_language(transcript: Transcript) -> Iterator[tuple[str | None, list[Written]]]:
    for language, spoken in groupby(running(transcript), lambda item: item[0].language):
        yield language, [word for _, words in spoken for word in words]


def _block(words: tuple[Written, ...], language: str | None, speaker: str | None = None) -> Block:
    return Block(words[0].start, max(word.end for word in words), words, speaker, language)
