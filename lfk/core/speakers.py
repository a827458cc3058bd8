"""Whose words: each word that has a time gets the speaker of its own turn, else of the nearest.

Pure arithmetic on times, as turns and words come from two models that know nothing of each other. A word without
times keeps the speaker it has: guessing from its neighbours is left to whoever shows the text.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lfk.core.transcript import Turn, Word


def assign_speakers(words: Sequence[Word], turns: Sequence[Turn]) -> tuple[Word, ...]:
    """The words in their order, each with a time carrying a speaker; all unchanged if there are no turns.

    Of several speakers the one who talks longest during the word wins; if none does, the one whose turn is nearest;
    if that is a tie, the one who spoke first. Neither words nor turns need be sorted, and turns may overlap. With w
    words, t turns and s speakers it takes O(t log t + w s log t).
    """
    speech = _speech_by_speaker(turns)
    return tuple(_assigned(word, speech) for word in words)


@dataclass(frozen=True, slots=True)
class _Speech:
    """All that one speaker says: disjoint spans in order of time, and the seconds spoken before each."""

    speaker: str
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    before: tuple[float, ...]

    def until(self, time: float) -> float:
        """Seconds spoken before ``time``."""
        at = bisect_right(self.starts, time) - 1
        return 0.0 if at < 0 else self.before[at] + min(time, self.ends[at]) - self.starts[at]

    def gap(self, start: float, end: float) -> float:
        """Seconds of silence between [start, end] and the nearest span; 0 where they touch."""
        after = bisect_right(self.starts, end)
        gaps = [max(0.0, start - self.ends[at]) for at in (after - 1,) if at >= 0]
        gaps += [self.starts[at] - end for at in (after,) if at < len(self.starts)]
        return min(gaps)


def _speech_by_speaker(turns: Iterable[Turn]) -> list[_Speech]:
    spans: dict[str, list[list[float]]] = {}
    for turn in sorted(turns, key=lambda turn: (turn.start, turn.end)):
        own = spans.setdefault(turn.speaker, [])
        if own and turn.start <= own[-1][1]:
            own[-1][1] = max(own[-1][1], turn.end)
        else:
            own.append([turn.start, turn.end])
    return [_speech(speaker, own) for speaker, own in spans.items()]


def _speech(speaker: str, spans: list[list[float]]) -> _Speech:
    before = [0.0]
    for start, end in spans[:-1]:
        before.append(before[-1] + end - start)
    return _Speech(speaker, tuple(start for start, _ in spans), tuple(end for _, end in spans), tuple(before))


def _assigned(word: Word, speech: list[_Speech]) -> Word:
    times = [time for time in (word.start, word.end) if time is not None and math.isfinite(time)]
    if not times or not speech:
        return word
    start, end = min(times), max(times)
    best = min(speech, key=lambda own: (own.until(start) - own.until(end), own.gap(start, end)))
    return replace(word, speaker=best.speaker)
