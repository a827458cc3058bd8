"""Expands a small grammar of everyday English (grammar.txt), written for this project so that the training text has
no owner but the project.

It aims at ordinary sound sequences (function words, weak forms, numbers, dates, questions, short replies), not at
sense, and yields nothing but a-z, apostrophe and space.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

_RULES_FILE = Path(__file__).with_name("grammar.txt")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_RULE = re.compile(r"(?P<name>\w+) (?P<kind>[=:]) (?P<body>.+)")
_CONTINUED = re.compile(r"\n[ ]+")


def _read(path: Path) -> dict[str, tuple[str, ...]]:
    """Rule name to its alternatives. Raises ValueError at a line that is no rule."""
    rules: dict[str, tuple[str, ...]] = {}
    for line in _CONTINUED.sub(" ", path.read_text(encoding="utf-8")).splitlines():
        if not line or line.startswith("#"):
            continue
        if (rule := _RULE.fullmatch(line)) is None:
            raise ValueError(f"{path.name}: not a rule: {line!r}")
        body = rule["body"]
        rules[rule["name"]] = tuple(body.split(" | ") if rule["kind"] == "=" else body.split())
    return rules


RULES = _read(_RULES_FILE)


def sentence(rng: random.Random, rule: str = "sentence") -> str:
    """One random expansion of `rule`; raises KeyError for a rule that does not exist."""
    return _PLACEHOLDER.sub(lambda match: sentence(rng, match.group(1)), rng.choice(RULES[rule]))


def common_words() -> tuple[str, ...]:
    """Every word that the rules can produce, sorted, each once."""
    literal = (_PLACEHOLDER.sub(" ", alternative) for alternatives in RULES.values() for alternative in alternatives)
    return tuple(sorted({word for text in literal for word in text.split() if not word.startswith("'")}))
