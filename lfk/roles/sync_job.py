"""What is to be synced, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lfk.core.addressing import Roots
from lfk.core.patterns import Selection
from lfk.core.request import Request


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What becomes of a source once its copy is verified: deleted, or moved into the folder ``move_to``."""

    move_to: Path | None = None
    #: Not before its transcript is verified, too.
    needs_transcript: bool = False


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
    #: Seconds after which an upload that was broken off is removed from the store; 0 means never.
    sweep_after: float = 0.0
    #: The form in which videos send their audio alone; empty: they go whole.
    extract: str = ""
    #: None: every source stays.
    afterwards: Afterwards | None = None
    #: Name of the marker that tells that the whole tree is in the store, as ``done.txt``; empty: there is none.
    done_marker: str = ""
    dry_run: bool = False

    @property
    def own_paths(self) -> tuple[Path, ...]:
        """Folders of this machine that are never a source, even where they lie inside one."""
        places = (self.roots.audio, self.roots.transcripts, self.roots.records)
        stores = tuple(Path("/" + place.key).resolve() for place in places if place.scheme == "file")
        moved = self.afterwards.move_to if self.afterwards is not None else None
        return stores if moved is None else (*stores, moved)
