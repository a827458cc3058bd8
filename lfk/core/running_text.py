"""A segment as it is written: its words in order, cleaned, with the blanks between them and a time for each.

Engines give the text with its blanks and, apart from it, bare words of which some have no time or no speaker; every
format needs both as one. The text decides what is written; where a word is not in the text, the words decide. What
has no time of its own gets one in proportion to its width between its neighbours, and says so (``timed`` is false).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from lfk.core.printable import printable
from lfk.core.transcript import Segment, Transcript, Word

#: Control, line and paragraph characters end a word.
_BREAKS = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029]+")
#: What could reorder the text around it, or that no output file may hold: bidi controls, byte order mark,
#: surrogates and noncharacters. Joiners stay: Persian, Hindi and others are misspelt without them.
_FORBIDDEN = re.compile(
    "[\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(chr(plane + last) for plane in range(0x10000, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
    + "]"
)
#: Han and kana, written without blanks, so that a line may end behind each (Korean has blanks).
_UNSPACED = "\u2e80-\u2fdf\u3005-\u3007\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_PIECE = re.compile(f"[{_UNSPACED}\U00020000-\U0003fffd]|[^{_UNSPACED}\U00020000-\U0003fffd]+")
#: Letters that stay with the one before (small kana, the long vowel mark, the iteration mark).
_NEVER_FIRST = frozenset("ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ々")
#: Characters of a speaker's label; a name is short, and what is longer would push the text aside.
LABEL_LIMIT = 60


@dataclass(frozen=True, slots=True)
class Written:
    """A word as written. Times are seconds; estimated unless ``timed``."""

    text: str
    #: No blank stands before it.
    glued: bool = False
    start: float = 0.0
    end: float = 0.0
    timed: bool = False
    speaker: str | None = None


def clean(text: str) -> str:
    """One line of text, safe in any file: runs of blanks become one, what could reorder or break it goes."""
    return " ".join(_FORBIDDEN.sub("", _BREAKS.sub(" ", text)).split())


def label(speaker: str | None) -> str | None:
    """A speaker's label on one line, cut to :data:`LABEL_LIMIT` characters; None where there is none."""
    return (printable(speaker.strip(), LABEL_LIMIT)[:LABEL_LIMIT].rstrip() or None) if speaker else None


def columns(text: str) -> int:
    """Width in columns of a fixed-width screen: wide East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(char) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def joined(words: tuple[Written, ...] | list[Written]) -> str:
    """The words as one text."""
    return "".join(word.text if word.glued or not at else f" {word.text}" for at, word in enumerate(words))


def written(segment: Segment) -> tuple[Written, ...]:
    """The segment's words as written, each with a time and, as far as anything tells, a speaker.

    A word without a speaker takes that of the word before it, else of the one behind it, else the segment's.
    """
    words = _with_marks(_located(segment) if segment.words else _pieces(clean(segment.text)))
    return tuple(_with_speakers(_with_times(words, segment), segment))


def unspaced(char: str) -> bool:
    """Whether ``char`` belongs to a script written without blanks, so that a line may end before and behind it."""
    return bool(re.match(f"[{_UNSPACED}\U00020000-\U0003fffd]", char))


def running(transcript: Transcript) -> Iterator[tuple[Segment, tuple[Written, ...]]]:
    """Every segment that has words, with them; the first is glued where its script needs no blank."""
    before = " "
    for segment in transcript.segments:
        words = written(segment)
        if words:
            first = replace(words[0], glued=_runs_on(before, words[0].text))
            before = words[-1].text
            yield segment, (first, *words[1:])


def _located(segment: Segment) -> list[Written]:
    """The segment's words where its text has them, with what stands between them."""
    text, at, found = clean(segment.text), 0, list[Written]()
    bare = [(clean(word.text), word) for word in segment.words]
    for spelling, word in bare:
        if not spelling:
            continue
        begin = text.find(spelling, at)
        if begin < 0:
            text = ""
            break
        between = text[at:begin]
        found += _pieces(between, glued=at > 0 and not between.startswith(" "))
        found.append(_timed(spelling, word, glued=begin > 0 and text[begin - 1] != " "))
        at = begin + len(spelling)
    if text:
        return found + _pieces(text[at:], glued=at > 0 and not text[at:].startswith(" "))
    found = []
    for spelling, word in bare:
        if spelling:
            found.append(_timed(spelling, word, glued=bool(found) and _runs_on(found[-1].text, spelling)))
    return found


def _timed(text: str, word: Word, glued: bool) -> Written:
    start, end = word.start, word.end
    if start is None or end is None or not (math.isfinite(start) and math.isfinite(end)):
        return Written(text, glued, speaker=word.speaker)
    return Written(text, glued, max(0.0, start), max(0.0, start, end), True, word.speaker)


def _runs_on(before: str, text: str) -> bool:
    """Whether these are written without a blank where nothing else says so."""
    mark = not text[0].isalnum() and unicodedata.east_asian_width(text[0]) in "WF"
    return (unspaced(text[0]) or mark) and unicodedata.east_asian_width(before[-1]) in "WF"


def _pieces(text: str, glued: bool = False) -> list[Written]:
    """Untimed text cut at its blanks and behind each unspaced character."""
    pieces = [Written(part, part_at > 0) for run in text.split() for part_at, part in enumerate(_PIECE.findall(run))]
    return [replace(pieces[0], glued=glued), *pieces[1:]] if pieces else []


def _with_marks(words: list[Written]) -> list[Written]:
    """Marks written without a blank join the word they stand by: opening ones the next, others the one before."""
    kept: list[Written] = []
    for word in words:
        before = kept[-1] if kept else None
        if before is None or not word.glued:
            kept.append(word)
        elif _opens(before.text):
            kept[-1] = replace(word, text=before.text + word.text, glued=before.glued)
        elif _stays_behind(word.text):
            end = max(before.end, word.end) if before.timed and word.timed else before.end
            kept[-1] = replace(before, text=before.text + word.text, end=end)
        else:
            kept.append(word)
    return kept


def _opens(text: str) -> bool:
    return all(unicodedata.category(char) in ("Ps", "Pi") for char in text)


def _stays_behind(text: str) -> bool:
    return text[0] in _NEVER_FIRST or not (_opens(text) or any(char.isalnum() for char in text))


def _with_times(words: list[Written], segment: Segment) -> list[Written]:
    """Words without a time share what lies between their neighbours (or the segment's ends) by their width."""
    first = max(0.0, segment.start) if math.isfinite(segment.start) else 0.0
    last = max(first, segment.end) if math.isfinite(segment.end) else first
    done: list[Written] = []
    at = 0
    while at < len(words):
        upto = at
        while upto < len(words) and not words[upto].timed:
            upto += 1
        begin = done[-1].end if done else first
        end = words[upto].start if upto < len(words) else last
        if not done and end < begin:  # the first timed word begins before its segment
            begin = end
        done += _shared(words[at:upto], begin, max(begin, end))
        if upto < len(words):
            done.append(words[upto])
        at = upto + 1
    return done


def _shared(words: list[Written], begin: float, end: float) -> Iterator[Written]:
    widths = [max(1, columns(word.text)) for word in words]
    each = (end - begin) / max(1, sum(widths))
    marks = [begin + each * passed for passed in accumulate(widths)]
    for word, start, until in zip(words, [begin, *marks], marks, strict=False):
        yield replace(word, start=start, end=until)


def _with_speakers(words: list[Written], segment: Segment) -> Iterator[Written]:
    known = next((word.speaker for word in words if word.speaker), segment.speaker)
    for word in words:
        known = word.speaker or known
        yield replace(word, speaker=label(known))
