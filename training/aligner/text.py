"""The lines that are spoken: about half from the grammar, half strings of single words from CMUdict, whose many
names and rare spellings teach more letter-to-sound pairs than sentences can.

Refuses a dictionary with too few usable words, since the model would then overfit without anyone noticing.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

from training.aligner.grammar import common_words, sentence

_WORD = re.compile(r"[a-z]{2,12}")
_DICTIONARY_WORDS_MIN = 50_000
GRAMMAR_SHARE = 0.5
# wav2vec2's attention is quadratic in time; sixteen words are about six seconds.
WORDS_MAX = 16


def dictionary_words(path: Path) -> tuple[str, ...]:
    """Words of two to twelve letters from a CMUdict-format file (`word PH ON ES` per line), sorted.

    Raises ValueError if fewer than 50,000 remain.
    """
    with path.open(encoding="utf-8") as lines:
        words = {line.split(maxsplit=1)[0] for line in lines if line.strip()}
    usable = tuple(sorted(word for word in words if _WORD.fullmatch(word)))
    if len(usable) < _DICTIONARY_WORDS_MIN:
        raise ValueError(f"{path.name} has only {len(usable)} usable words")
    return usable


def bundled_dictionary() -> Path:
    """The CMUdict file inside the pocketsphinx package (BSD licence)."""
    from pocketsphinx import get_model_path

    return Path(get_model_path()) / "en-us" / "cmudict-en-us.dict"


def word_string(rng: random.Random, rare: tuple[str, ...], common: tuple[str, ...]) -> str:
    """Two to twelve words without grammar: sometimes all rare, mostly rare words among common ones."""
    share = rng.choice((0.3, 0.6, 1.0))
    count = rng.randint(2, 12)
    return " ".join(rng.choice(rare) if rng.random() < share else rng.choice(common) for _ in range(count))


def lines(count: int, seed: int, rare: tuple[str, ...], exclude: frozenset[str] = frozenset()) -> list[str]:
    """`count` different lines of 1 to 16 words, lower case, in random order; none of them is in `exclude`."""
    rng = random.Random(seed)
    common = common_words()
    made: dict[str, None] = {}
    while len(made) < count:
        line = sentence(rng) if rng.random() < GRAMMAR_SHARE else word_string(rng, rare, common)
        if line not in exclude and len(line.split()) <= WORDS_MAX:
            made[line] = None
    return list(made)
