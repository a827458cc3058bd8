"""Praat TextGrid in the long text form (Praat manual, "TextGrid file formats"): tiers of words, segments, speakers.

Every tier is gapless from 0 to the end, as Praat demands: silence is an interval without text. Intervals of a tier
cannot overlap, so overlapping speech opens a second tier of the same kind (``words 2``) and nothing is cut or lost.
Words that could not be aligned have estimated times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lfk.core.formats import Format, Page
from lfk.core.paragraphs import lines, speaker_turns
from lfk.core.timecode import milliseconds


@dataclass(frozen=True, slots=True)
class _Interval:
    """Whole milliseconds."""

    start: int
    end: int
    text: str


def _render(page: Page) -> bytes:
    rows = list(lines(page.transcript))
    kinds = {
        "words": [_interval(word.start, word.end, word.text) for row in rows for word in row.words],
        "segments": [_interval(row.start, row.end, row.text) for row in rows],
        "speakers": [_interval(turn.start, turn.end, turn.speaker) for turn in speaker_turns(page.transcript)],
    }
    ends = [interval.end for intervals in kinds.values() for interval in intervals]
    end = max([1, milliseconds(page.transcript.duration or 0), *ends])
    tiers = [
        (name if number == 1 else f"{name} {number}", tier)
        for name, intervals in kinds.items()
        for number, tier in enumerate(_tiers(intervals), start=1)
    ]
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_seconds(end)}"]
    body = [f"tiers? <exists>\nsize = {len(tiers)}\nitem []:"]
    for number, (name, tier) in enumerate(tiers, start=1):
        body += _item(number, name, list(_gapless(tier, end)), end)
    return "\n".join([*head, *body, ""]).encode()


def _interval(start: float, end: float, text: str) -> _Interval:
    """Praat refuses intervals without length: the shortest is a millisecond."""
    begin = milliseconds(start)
    return _Interval(begin, max(begin + 1, milliseconds(end)), text)


def _tiers(intervals: Iterable[_Interval]) -> list[list[_Interval]]:
    """As few tiers as hold the intervals without overlap; at least one."""
    tiers: list[list[_Interval]] = [[]]
    for interval in sorted(intervals, key=lambda item: (item.start, item.end)):
        free = next((tier for tier in tiers if not tier or tier[-1].end <= interval.start), None)
        if free is None:
            tiers.append(free := [])
        free.append(interval)
    return tiers


def _gapless(tier: Sequence[_Interval], end: int) -> Iterator[_Interval]:
    at = 0
    for interval in tier:
        if interval.start > at:
            yield _Interval(at, interval.start, "")
        yield interval
        at = interval.end
    if at < end:
        yield _Interval(at, end, "")


def _item(number: int, name: str, tier: Sequence[_Interval], end: int) -> Iterator[str]:
    yield f"    item [{number}]:"
    yield '        class = "IntervalTier"'
    yield f"        name = {_quoted(name)}"
    yield "        xmin = 0"
    yield f"        xmax = {_seconds(end)}"
    yield f"        intervals: size = {len(tier)}"
    for at, interval in enumerate(tier, start=1):
        yield f"        intervals [{at}]:"
        yield f"            xmin = {_seconds(interval.start)}"
        yield f"            xmax = {_seconds(interval.end)}"
        yield f"            text = {_quoted(interval.text)}"


def _seconds(total: int) -> str:
    return f"{total // 1000}.{total % 1000:03d}" if total else "0"


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


FORMAT = Format("textgrid", "text/plain; charset=utf-8", _render)
