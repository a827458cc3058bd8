"""What the page stands on: everything its handlers use, put together by the wiring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lfk.core.addressing import Roots
from lfk.core.messages import AudioReference
from lfk.roles.catalogue import Catalogue
from lfk.roles.deposit import Depositor
from lfk.roles.pulse import PulseTaker
from lfk.roles.speaker_names import NameRecords
from lfk.stores.base import ObjectStore
from lfk.web.events import WebEvent


@dataclass(frozen=True, slots=True)
class Site:
    """``retry`` and ``discard`` take the id of an event and raise LfkError; the first returns what was sent."""

    store: ObjectStore
    roots: Roots
    catalogue: Catalogue
    names: NameRecords
    depositor: Depositor
    pulse: PulseTaker
    retry: Callable[[str], AudioReference | None]
    discard: Callable[[str], None]
    #: Names that lead here, besides addresses and localhost.
    hosts: Sequence[str]
    #: What has to be shown by whoever changes something; empty: nobody can.
    token: str
    #: Bytes of one upload.
    max_upload: int
    #: Where uploads are kept on the way, and bytes of all of them at a time; a single one is never larger.
    scratch: Path
    room: int
    #: Seconds that links to the store work.
    link_seconds: int
    #: Is told what happens; called from the event loop, so it must not block.
    report: Callable[[WebEvent], None] = lambda _event: None
