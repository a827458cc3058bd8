"""Which paths below a folder are wanted: the patterns of ``--include`` and ``--exclude``.

A pattern with a ``/`` is held against the whole path and against each folder that leads to it, one without against
each name in it; ``*``, ``?`` and ``[…]`` as in shells, except that ``*`` also crosses ``/``. An exclusion wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Selection:
    """No inclusion means everything."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def wants(self, relative: str) -> bool:
        """Whether the file at this path (``/`` between its parts) is wanted."""
        return not self.excludes(relative) and (not self.include or _any(self.include, relative))

    def excludes(self, relative: str) -> bool:
        """Whether this file, or everything in this folder, is unwanted."""
        return bool(self.exclude) and _any(self.exclude, relative)


def _any(patterns: Sequence[str], relative: str) -> bool:
    parts = relative.split("/")
    leads = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return any(
        fnmatchcase(text, pattern.strip("/")) for pattern in patterns for text in (leads if "/" in pattern else parts)
    )
