"""Subtitle cues from a transcript, within the limits that people can read.

At most 42 columns a line, 2 lines, 1 to 7 seconds, no two cues at once: the customary limits of broadcasters and
streaming services (BBC subtitle guidelines; Netflix timed text style guide, 42 characters, 5/6 to 7 s). Columns, not
characters: a wide East Asian character takes two. Within a stretch of speech the breaks are chosen together, by
dynamic programming, so that no cue is left with one word because the one before was filled up.

All words come out, in order. Where people speak at once, or faster than a cue may be short, a cue begins late rather
than overlap the one before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lfk.core.running_text import Written, columns, joined, running, unspaced
from lfk.core.timecode import milliseconds
from lfk.core.transcript import Transcript

COLUMNS = 42
LINES = 2
#: Columns of a speaker's label.
LEAD = 24
SHORTEST_MS = 1000
LONGEST_MS = 7000
#: Columns a second that a viewer reads without hurry (Netflix: 17 to 20 for adults); a cue gives way to the next
#: speaker once it has been up for so long.
READING_SPEED = 20
#: Seconds of silence across which no cue stays up: past this the text would be there without the voice.
SILENCE = 1.0

#: What it costs to end a cue somewhere, against :data:`_EACH` for one cue more.
_EACH = 1.0
_AT_CLAUSE = 0.35
_AT_WORD = 0.8
_INSIDE_WORD = 4.0
_TOO_SHORT = 1.5
_SENTENCE_ENDS = frozenset(".!?…。！？؟।")
_CLAUSE_ENDS = frozenset(",;:—–、，；：،؛")
#: Mr. St. J. No.: a stop behind so short a capitalised word ends no sentence as a rule.
_SHORT = re.compile(r"[^\W\d_]{1,3}\.")
_CLOSERS = "\"'”’»)]」』）】"


@dataclass(frozen=True, slots=True)
class Cue:
    """One timed entry. Times are whole milliseconds."""

    start: int
    end: int
    lines: tuple[str, ...]
    speaker: str | None


def cues(transcript: Transcript, labelled: bool = False) -> list[Cue]:
    """The transcript as cues. ``labelled`` writes ``[SPEAKER_00]: `` into the text wherever the speaker changes."""
    made: list[_Draft] = []
    for stretch in _stretches(_fitting(transcript)):
        speaker = stretch[0].speaker
        changed = not made or made[-1].words[0].speaker != speaker
        lead = f"[{_cut(speaker)}]:" if labelled and changed and speaker else ""
        made += _broken(stretch, lead)
    return _timed(made)


@dataclass(frozen=True, slots=True)
class _Draft:
    """The words of a cue, and what its first line begins with."""

    words: tuple[Written, ...]
    lead: str = ""


def _fitting(transcript: Transcript) -> Iterator[Written]:
    """All words; those wider than a line come in parts."""
    for _, words in running(transcript):
        for word in words:
            yield from [word] if columns(word.text) <= COLUMNS else _parts(word)


def _parts(word: Written) -> Iterator[Written]:
    """A word cut so that each part fits a line, its time shared by width."""
    total, begun, part, width = columns(word.text), 0, "", 0
    glued = word.glued

    def cut() -> Written:
        share = (word.end - word.start) / max(1, total)
        return replace(
            word, text=part, glued=glued, start=word.start + share * begun, end=word.start + share * (begun + width)
        )

    for char in word.text:
        if width + columns(char) > COLUMNS:
            yield cut()
            glued, begun, part, width = True, begun + width, "", 0
        part += char
        width += columns(char)
    yield cut()


def _cut(speaker: str) -> str:
    """As much of a label as leaves room for text beside it."""
    while columns(speaker) > LEAD:
        speaker = speaker[:-1]
    return speaker


def _stretches(words: Iterator[Written]) -> Iterator[list[Written]]:
    """Words of one speaker without a silence between them."""
    stretch: list[Written] = []
    heard = 0.0
    for word in words:
        if stretch and (word.speaker != stretch[-1].speaker or word.start - heard >= SILENCE):
            yield stretch
            stretch = []
        heard = max(heard, word.end) if stretch else word.end
        stretch.append(word)
    if stretch:
        yield stretch


def _broken(words: Sequence[Written], lead: str) -> list[_Draft]:
    """The cheapest way to divide ``words`` into cues that each fit."""
    best = [0.0] + [math.inf] * len(words)
    came = [0] * (len(words) + 1)
    for begin in range(len(words)):
        for end, width in _fits(words, begin, lead if begin == 0 else ""):
            cost = best[begin] + _cost(words, begin, end, width)
            if cost < best[end]:
                best[end], came[end] = cost, begin
    cuts = [len(words)]
    while cuts[-1]:
        cuts.append(came[cuts[-1]])
    cuts.reverse()
    return [_Draft(tuple(words[a:b]), lead if a == 0 else "") for a, b in pairwise(cuts)]


def _fits(words: Sequence[Written], begin: int, lead: str) -> Iterator[tuple[int, int]]:
    """Each end such that ``words[begin:end]`` fits one cue, with its columns. The first word always does."""
    line, width, last = 1, columns(lead), words[begin].end
    for at in range(begin, len(words)):
        word = words[at]
        blank = 0 if (word.glued if at > begin else not lead) else 1
        wide = columns(word.text)
        if width + blank + wide > COLUMNS:
            line, width = line + 1, -blank
        last = max(last, word.end)
        if at > begin and (line > LINES or milliseconds(last) - milliseconds(words[begin].start) > LONGEST_MS):
            return
        width += blank + wide
        yield at + 1, (line - 1) * COLUMNS + width


def _cost(words: Sequence[Written], begin: int, end: int, width: int) -> float:
    """What a cue of ``words[begin:end]`` costs: itself, how empty it is, how short, and where it ends."""
    cost = _EACH + (1 - width / (COLUMNS * LINES)) ** 2
    if end < len(words):
        cost += _break_cost(words[end - 1], words[end])
        if milliseconds(words[end].start) - milliseconds(words[begin].start) < SHORTEST_MS:
            cost += _TOO_SHORT
    return cost


def _break_cost(before: Written, after: Written) -> float:
    bare = before.text.rstrip(_CLOSERS)
    if bare and bare[-1] in _SENTENCE_ENDS and not (bare[0].isupper() and _SHORT.fullmatch(bare)):
        return 0.0
    if bare and bare[-1] in _CLAUSE_ENDS:
        return _AT_CLAUSE
    return _AT_WORD if _may_part(before, after) else _INSIDE_WORD


def _may_part(before: Written, after: Written) -> bool:
    return not after.glued or unspaced(after.text[0]) or unspaced(before.text[-1])


def _timed(drafts: Sequence[_Draft]) -> list[Cue]:
    """Give each cue its time: its words' own, within the limits, and never before the last one is gone."""
    done: list[Cue] = []
    for at, draft in enumerate(drafts):
        lines = _lines(draft)
        start = max(milliseconds(draft.words[0].start), done[-1].end if done else 0)
        end = max(milliseconds(max(word.end for word in draft.words)), start)
        if at + 1 < len(drafts):
            following = milliseconds(drafts[at + 1].words[0].start)
            needed = 1000 * sum(map(columns, lines)) // READING_SPEED
            end = min(end, max(following, start + needed))
        end = min(max(end, start + SHORTEST_MS), start + LONGEST_MS)
        done.append(Cue(start, end, lines, draft.words[0].speaker))
    return done


def _lines(draft: _Draft) -> tuple[str, ...]:
    """One line where all fits, else the two of most equal width, ending on a mark where that is no worse by much."""
    words = draft.words
    whole = _line(draft.lead, words)
    if columns(whole) <= COLUMNS:
        return (whole,)
    choices = []
    for at in range(1 if not draft.lead else 0, len(words)):
        pair = (_line(draft.lead, words[:at]), joined(words[at:]))
        widths = [columns(line) for line in pair]
        if max(widths) <= COLUMNS:
            cost = 40 * _break_cost(words[at - 1], words[at]) if at else 0
            choices.append((abs(widths[0] - widths[1]) + cost, pair))
    return min(choices)[1]


def _line(lead: str, words: Sequence[Written]) -> str:
    return f"{lead} {joined(tuple(words))}".strip() if lead else joined(tuple(words))
