"""Which letters of a word stand for which of its phones, learnt from the corpus, so that each letter gets a time.

Hard expectation maximisation: every word is cut so that each letter takes zero to three phones and the product of
P(phones | letter) is largest (Viterbi), the table is counted anew from the cuts, and so on. The first round only
prefers one phone per letter along the diagonal. A word with more than three phones per letter has no cut.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

from training.aligner.speech import SpokenWord

Phones = tuple[str, ...]
Cut = tuple[int, ...]
"""How many phones each letter takes; as long as the word."""

_PHONES_PER_LETTER_MAX = 3
_ROUNDS = 6
# A frequent word counts this often at most, or "the" would rule the letters t, h and e.
_COUNT_CAP = 5
_UNSEEN, _UNSEEN_PER_PHONE = -9.0, -2.0  # log scores of a pair that no cut has used yet
_FIRST_SLOPE, _FIRST_UNEVEN = -3.0, -1.5  # first round: distance from the diagonal, and taking other than one phone

Table = dict[tuple[str, Phones], float]


def _first_score(letter_place: float, phone_place: float, taken: int) -> float:
    return _FIRST_SLOPE * abs(letter_place - phone_place) + (0.0 if taken == 1 else _FIRST_UNEVEN)


def best_cut(word: str, phones: Phones, table: Table | None) -> Cut | None:
    """The best cut of `phones` over the letters of `word`; None if there are too many phones."""
    letters, total = len(word), len(phones)
    if total > _PHONES_PER_LETTER_MAX * letters:
        return None
    scores: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for index, letter in enumerate(word):
        row: dict[int, tuple[float, int]] = {}
        for used, (score, _) in scores[-1].items():
            for taken in range(min(_PHONES_PER_LETTER_MAX, total - used) + 1):
                chunk = phones[used : used + taken]
                if table is None:
                    gain = _first_score((index + 0.5) / letters, (used + taken / 2) / total, taken)
                else:
                    gain = table.get((letter, chunk), _UNSEEN + _UNSEEN_PER_PHONE * taken)
                if (found := row.get(used + taken)) is None or score + gain > found[0]:
                    row[used + taken] = (score + gain, taken)
        scores.append(row)
    cut: list[int] = []
    used = total
    for row in reversed(scores[1:]):
        cut.append(row[used][1])
        used -= cut[-1]
    return tuple(reversed(cut))


def _counted(cuts: Iterable[tuple[str, Phones, Cut, int]]) -> Table:
    pairs: Counter[tuple[str, Phones]] = Counter()
    letters: Counter[str] = Counter()
    for word, phones, cut, count in cuts:
        used = 0
        for letter, taken in zip(word, cut, strict=True):
            pairs[letter, phones[used : used + taken]] += min(count, _COUNT_CAP)
            letters[letter] += min(count, _COUNT_CAP)
            used += taken
    return {pair: math.log(count / letters[pair[0]]) for pair, count in pairs.items()}


class LetterTimes:
    """Gives each letter of a spoken word its onset; built from all words of one synthesiser (one phone alphabet)."""

    def __init__(self, words: Iterable[SpokenWord]) -> None:
        seen = Counter((word.text, tuple(phone.name for phone in word.phones)) for word in words)
        table: Table | None = None
        for _ in range(_ROUNDS):
            cut_with = partial(best_cut, table=table)
            cuts = {pair: cut_with(*pair) for pair in seen}
            table = _counted((*pair, cut, seen[pair]) for pair, cut in cuts.items() if cut is not None)
        self._cuts = cuts

    def onsets(self, word: SpokenWord) -> list[float]:
        """Start of each letter in seconds, not decreasing; evenly spread where the word has no cut.

        Letters that share one group of phones (silent letters join the group on their left) are spread over it.
        """
        cut = self._cuts[word.text, tuple(phone.name for phone in word.phones)]
        if cut is None:
            return _spread(word.start, word.end, len(word.text))
        onsets: list[float] = []
        for letters, first, last in _groups(cut):
            onsets += _spread(word.phones[first].start, word.phones[last].end, letters)
        return onsets


def _groups(cut: Sequence[int]) -> list[tuple[int, int, int]]:
    """(letters, first phone, last phone) of each run of letters that shares phones."""
    groups: list[tuple[int, int, int]] = []
    used = waiting = 0
    for taken in cut:
        if taken:
            groups.append((1 + waiting, used, used + taken - 1))
            used, waiting = used + taken, 0
        elif groups:
            letters, first, last = groups[-1]
            groups[-1] = (letters + 1, first, last)
        else:
            waiting += 1
    return groups


def _spread(start: float, end: float, count: int) -> list[float]:
    return [start + (end - start) * index / count for index in range(count)]
