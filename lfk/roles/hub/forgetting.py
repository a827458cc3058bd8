"""What a hub does about audio that was removed on request before its job, or while its job was at work.

``lfk forget`` writes a note, then searches, then removes. A hub looks for the note after its last write: what it wrote
before the search is found by it, and what it wrote later it takes back here. Should the hub die in between, its
reference is not answered yet, and the next hub comes by :meth:`Forgetting.instead`.
"""

from __future__ import annotations

import logging

from lfk.core.addressing import AudioAddress, Roots
from lfk.core.errors import AudioForgotten, LfkError, ObjectMissing, Unreachable
from lfk.core.forget_target import Target
from lfk.core.location import Location
from lfk.core.manifest import AudioVersion
from lfk.roles.forgotten import Forgotten, forgotten
from lfk.roles.traces import Kind, Traces
from lfk.stores.base import ObjectStore

log = logging.getLogger(__name__)

#: What stays where the name is in use again: the transcript is of the new audio.
_OF_TRANSCRIPTS = frozenset({Kind.NAMES, Kind.MANIFEST, Kind.TRANSCRIPT, Kind.COPY, Kind.OWNER})


class Forgetting:
    """See the module. Safe for use by several threads."""

    def __init__(self, store: ObjectStore, roots: Roots, copies: tuple[ObjectStore, Location] | None) -> None:
        self._store = store
        self._roots = roots
        self._forgotten = Forgotten(store, roots.records)
        self._traces = Traces(store, roots, copies=copies)

    def refuse(self, audio: Location, *, modified: float, sha256: str) -> None:
        """Before an engine begins.

        Raises:
            AudioForgotten: these bytes were forgotten.
        """
        self._forgotten.refuse(audio, modified=modified, sha256=sha256)

    def confirm(self, address: AudioAddress, own: AudioVersion | None, there: AudioVersion) -> None:
        """After the last write of a job, before it is answered. ``there`` is what the transcript is of now.

        Raises:
            AudioForgotten: it was forgotten meanwhile; what was written is taken back.
        """
        for version in dict.fromkeys((there, own or there)):
            try:
                self.refuse(address.location, modified=version.modified, sha256=version.sha256)
            except AudioForgotten:
                self._erase(address, transcripts=version == there)
                raise

    def instead(self, address: AudioAddress | None, error: LfkError) -> LfkError:
        """The error that a job has come to: where its audio was forgotten, that, and nothing of it is left."""
        if address is None or isinstance(error, AudioForgotten | Unreachable):
            return error
        try:
            if not self._forgotten.holds(address.location) or self._is_there(address.location):
                return error
            self._erase(address, transcripts=True)
        except LfkError as trouble:
            log.info("not looked whether it was forgotten: %s", trouble)
            return error
        return forgotten()

    def confirm_failure(self, address: AudioAddress | None) -> None:
        """After a failure was recorded.

        Raises:
            AudioForgotten: its audio was forgotten meanwhile; the record is taken back.
        """
        if address is not None and self._forgotten.holds(address.location) and not self._is_there(address.location):
            self._erase(address, transcripts=True)
            raise forgotten()

    def _is_there(self, audio: Location) -> bool:
        try:
            self._store.stat(audio)
        except ObjectMissing:
            return False
        return True

    def _erase(self, address: AudioAddress, *, transcripts: bool) -> None:
        """Take back what was written of it; audio itself is not a hub's to delete here."""
        log.warning("audio was removed on request: what was made of it is taken back")
        kept = {Kind.AUDIO, *(() if transcripts else _OF_TRANSCRIPTS)}
        for trace in self._traces.find([Target(address.location, address.rest)]).traces:
            if trace.kind not in kept:
                self._traces.remove(trace)
