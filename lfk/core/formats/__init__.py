"""Output formats: one module each, found by being here. A format is a pure rendering of a stored result.

A module in this package exposes ``FORMAT``, a :class:`Format`. The manifest format (``json``) is rendered last,
because it lists every other file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from typing import Any

from lfk.core.approaches import Approach
from lfk.core.location import Location
from lfk.core.paragraphs import PAUSE
from lfk.core.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Page:
    """All that a rendering may depend on, so that two writers of one result write the same bytes."""

    transcript: Transcript
    approach: Approach
    #: The audio's file name, for headings.
    title: str
    timestamps: bool
    #: The ``lfk`` object of the manifest; only the manifest format may use it.
    manifest: Mapping[str, Any] = field(default_factory=dict)
    #: Seconds of silence that begin a new paragraph.
    pause: float = PAUSE
    #: Where a page finds the audio unless told otherwise: an http(s) link, or raw text relative to the page.
    audio_href: str = ""


def audio_href(page: Location, audio: Location) -> str:
    """The way from ``page`` to ``audio``, as raw text for :attr:`Page.audio_href`; empty where they share no store."""
    if (page.scheme, page.bucket) != (audio.scheme, audio.bucket):
        return ""
    here, there = page.key.split("/")[:-1], audio.key.split("/")
    shared = len([*takewhile(lambda pair: pair[0] == pair[1], zip(here, there[:-1], strict=False))])
    return "/".join([*[".."] * (len(here) - shared), *there[shared:]])


@dataclass(frozen=True, slots=True)
class Format:
    """An output format. ``render`` returns the file's whole content."""

    name: str
    media_type: str
    render: Callable[[Page], bytes]

    @property
    def suffix(self) -> str:
        """Behind the transcript key."""
        return f".{self.name}"


#: The manifest: written last, so that its existence means that all it lists is there.
MANIFEST = "json"


@cache
def formats() -> Mapping[str, Format]:
    """Every format by name."""
    found: dict[str, Format] = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            form: Format = importlib.import_module(f"{__name__}.{module.name}").FORMAT
            found[form.name] = form
    return found
