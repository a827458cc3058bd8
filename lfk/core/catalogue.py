"""A list of recordings for people: one row each, its state, and which rows are meant by a search.

Values in, values out; where rows come from, and how many are held, is :mod:`lfk.roles.catalogue`'s business.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice


class State(str, Enum):
    """Where a recording stands."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Row:
    """One recording. ``key`` is its transcript key, empty for a failure that no recording is known of."""

    key: str
    name: str
    state: State
    #: When it came into this state, as far as the store tells: seconds since the epoch.
    time: float
    #: ``approach.model``, as far as it is known.
    pair: str = ""
    #: Location of the audio; empty where the store no longer has it.
    audio: str = ""
    #: Bytes of the audio.
    size: int = 0
    #: The failure: event, error code, message and what to do.
    event: str = ""
    code: str = ""
    message: str = ""
    hint: str = ""
    #: What a hub is at: the stage, and which part of the audio it is through (0 to 1).
    stage: str = ""
    part: float = 0.0
    #: ETag of the manifest.
    etag: str = ""

    def at_work(self, stage: str, part: float) -> Row:
        """The same while a hub works on it."""
        return replace(self, state=State.WORKING, stage=stage, part=part)


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows are meant; empty means all. ``text`` is sought in keys and causes, word by word."""

    text: str = ""
    state: State | None = None
    approach: str = ""
    model: str = ""

    def admits(self, row: Row) -> bool:
        """Whether the row is meant."""
        approach, _dot, model = row.pair.partition(".")
        if self.state is not None and row.state is not self.state:
            return False
        if (self.approach and approach != self.approach) or (self.model and model != self.model):
            return False
        if not self.text:
            return True
        there = plain(f"{row.key or row.name} {row.code}")
        return all(word in there for word in plain(self.text).split())

    def page(self, rows: Iterable[Row], offset: int, limit: int) -> Iterator[Row]:
        """So many of those that are meant, from a place on."""
        return islice((row for row in rows if self.admits(row)), offset, offset + limit)


def plain(text: str) -> str:
    """Text as it is compared: without regard to case and accents."""
    if text.isascii():
        return text.lower()
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)).lower()
