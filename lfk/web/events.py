"""What happens on the page, as it is told to whoever counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from lfk.core.errors import LfkError


@dataclass(frozen=True, slots=True)
class Answered:
    """A request got an answer, ``seconds`` after its head had come."""

    method: str
    #: The pattern of the addresses that it is one of; empty where there is none.
    route: str
    #: Of HTTP.
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Taken:
    """A recording was taken in and referred to."""

    #: Bytes.
    size: int
    #: It was there already.
    known: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A recording was not taken in."""

    error: LfkError


WebEvent: TypeAlias = Answered | Taken | Refused
