"""Where a file of a source folder goes in the store, and what is asked for it: the three layouts of ``lfk sync``.

- ``approach``: ``<approach>/<model>/…`` is the key as it is; the path says what is asked. A first name that is no
  approach gets the defaults; an approach without a listed model is refused.
- ``free``: any tree; the approach and model that were given (else the defaults) go in front of the path.
- ``course``: ``week#/lesson#/video#.mp4``, bare (as ``free``) or below ``<approach>/<model>`` (as ``approach``);
  anything else is refused.

In ``free`` and bare ``course`` the key carries the approach too, so that the store alone still tells what is asked
for when every topic has been deleted. A prefix goes below approach and model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lfk.core.addressing import AudioAddress, Roots
from lfk.core.errors import InvalidLocation
from lfk.core.location import Location, check_key
from lfk.core.request import Request

_COURSE = re.compile(r"(?P<lead>[^/]+/[^/]+/)?week\d+/lesson\d+/video\d+\.mp4", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where one file goes; ``pair`` is the ``transcription_approach`` that its reference has to carry, if any."""

    address: AudioAddress
    pair: str | None
    #: How many characters of the key's end are the file's own path below approach, model and prefix.
    own: int

    @property
    def root(self) -> Location:
        """The prefix below approach, model and prefix, which the file shares with its like."""
        at = self.address.location
        return Location(at.scheme, at.bucket, at.key[: len(at.key) - self.own])


def place(layout: str, relative: str, prefix: str, request: Request, roots: Roots) -> Placed:
    """Place the file whose path below the source folder is ``relative``, with ``/`` between its parts.

    Raises:
        RejectedReference: the name cannot be a key, or does not fit the layout.
    """
    return _LAYOUTS[layout](check_key(relative), prefix, request, roots)


def check_prefix(prefix: str) -> str:
    """``prefix`` as it is put into keys: empty, or with one ``/`` at its end.

    Raises:
        InvalidLocation: it cannot be part of a key.
    """
    parts = prefix.strip("/")
    return f"{check_key(parts)}/" if parts else ""


def _approach(relative: str, prefix: str, request: Request, roots: Roots) -> Placed:
    # Resolved without the prefix first: a misfit must not become a proper path by being moved below one.
    address = request.resolve(str(roots.audio.join(relative)), roots)
    head = relative.removesuffix(address.rest)
    placed = request.resolve(str(roots.audio.join(head + prefix + address.rest)), roots) if prefix else address
    return Placed(placed, placed.pair if request.names_pair else None, len(address.rest))


def _free(relative: str, prefix: str, request: Request, roots: Roots) -> Placed:
    asked = request.completed(roots)
    key = f"{asked.approach}/{asked.model}/{prefix}{relative}"
    address = asked.resolve(str(roots.audio.join(key)), roots)
    return Placed(address, address.pair, len(relative))


def _course(relative: str, prefix: str, request: Request, roots: Roots) -> Placed:
    match = _COURSE.fullmatch(relative)
    if match is None:
        raise InvalidLocation(
            "does not fit the layout of a course",
            hint="name it week#/lesson#/video#.mp4, or choose another --layout",
        )
    return (_approach if match["lead"] else _free)(relative, prefix, request, roots)


_LAYOUTS: Mapping[str, Callable[[str, str, Request, Roots], Placed]] = {
    "approach": _approach,
    "free": _free,
    "course": _course,
}
