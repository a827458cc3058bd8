"""What is to be synced, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lfk.core.addressing import Roots
from lfk.core.patterns import Selection
from lfk.core.request import Request


@dataclass(frozen=True, slots=True)
class SyncJob:
    """One source folder; ``source`` is as :func:`lfk.roles.source.open_source` returns it."""

    source: Path
    roots: Roots
    request: Request
    #: Who uploads; see :func:`lfk.roles.source.source_identity`.
    identity: str
    layout: str = "approach"
    prefix: str = ""
    selection: Selection = field(default_factory=Selection)
    transfers: int = 8
    #: Seconds that a file must not have been modified.
    settle: float = 1.0
    dry_run: bool = False
