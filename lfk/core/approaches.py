"""Approaches as data: which stages run, and how the text is laid out. A new approach is one entry here.

Refuses nothing by itself; :func:`parse_approach` turns what users write into one of these or a typed error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lfk.core.errors import UnknownApproach, UnknownModel

Stage = Literal["transcribe", "align", "diarise"]
Layout = Literal["lines", "paragraphs", "turns"]


@dataclass(frozen=True, slots=True)
class Approach:
    """A recipe: ``stages`` run in order after decoding; ``layout`` is how ``txt`` and ``html`` group the words."""

    name: str
    stages: tuple[Stage, ...]
    layout: Layout
    aliases: tuple[str, ...] = ()


APPROACHES: Mapping[str, Approach] = {
    approach.name: approach
    for approach in (
        Approach("simple", ("transcribe",), "lines"),
        Approach("segmentation", ("transcribe", "align"), "paragraphs"),
        Approach("diarisation", ("transcribe", "align", "diarise"), "turns", aliases=("diarization",)),
    )
}

_BY_NAME = {name: a for a in APPROACHES.values() for name in (a.name, *a.aliases)}

#: Models that an operator may list, with the exact form that a plain name stands for.
KNOWN_MODELS: Mapping[str, str] = {
    "tiny": "tiny",
    "tiny.en": "tiny.en",
    "base": "base",
    "base.en": "base.en",
    "small": "small",
    "small.en": "small.en",
    "medium": "medium",
    "medium.en": "medium.en",
    "large": "large-v3",
    "large-v1": "large-v1",
    "large-v2": "large-v2",
    "large-v3": "large-v3",
    "large-v3-turbo": "large-v3-turbo",
    "turbo": "large-v3-turbo",
    "distil-large-v3": "distil-large-v3",
}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The operator's allow-list of models, and what serves each of them.

    ``served_by`` maps a listed name to the exact model whose weights do the work (``tiny`` → ``tiny.en`` where only
    those are at hand); what was asked for stays in keys, what served it stays in provenance.
    """

    served_by: Mapping[str, str] = field(default_factory=lambda: dict(KNOWN_MODELS))

    def find(self, text: str) -> str | None:
        """The listed model that ``text`` names without regard to case, or None."""
        name = text.lower()
        return name if name in self.served_by else None

    def require(self, text: str) -> str:
        """As :meth:`find`.

        Raises:
            UnknownModel: it is not listed.
        """
        name = self.find(text)
        if name is None:
            raise UnknownModel(f"no model is called {text[:80]!r} here; listed: {', '.join(sorted(self.served_by))}")
        return name


def find_approach(text: str) -> Approach | None:
    """The approach that ``text`` names without regard to case, aliases resolved, or None."""
    return _BY_NAME.get(text.lower())


def require_approach(text: str) -> Approach:
    """As :func:`find_approach`.

    Raises:
        UnknownApproach: there is none of that name.
    """
    approach = find_approach(text)
    if approach is None:
        raise UnknownApproach(f"no approach is called {text[:80]!r}; there are {', '.join(APPROACHES)}")
    return approach


def parse_pair(text: str, catalogue: Catalogue) -> tuple[Approach, str]:
    """Parse ``approach.model`` (``diarisation.base``, ``simple.tiny.en``): the first dot divides.

    Raises:
        UnknownApproach, UnknownModel: either half is not known here.
    """
    name, dot, model = text.strip().partition(".")
    approach = require_approach(name)
    if not dot:
        raise UnknownModel(f"{text[:80]!r} names no model; write {approach.name}.MODEL")
    return approach, catalogue.require(model)
