"""The names of speakers in the store: ``<records>/speakers/<transcript key>.json``, written only on what was seen."""

from __future__ import annotations

import logging

from lfk.core.errors import ObjectMissing
from lfk.core.location import Location
from lfk.core.speaker_names import MAX_RECORD_BYTES, SpeakerNames
from lfk.stores.base import IfAbsent, IfMatch, ObjectStore

log = logging.getLogger(__name__)


def speakers_folder(records: Location) -> Location:
    """Where the names of all transcripts are."""
    return records.join("speakers").as_prefix()


class NameRecords:
    """Safe for use by several threads."""

    def __init__(self, store: ObjectStore, records: Location) -> None:
        self._store = store
        self._folder = speakers_folder(records)

    def load(self, key: str, job_id: str) -> tuple[SpeakerNames, str | None]:
        """The names for this job's labels, and the ETag of the record as it is; None where there is none."""
        location = self._at(key)
        try:
            data, info = self._store.read(location, limit=MAX_RECORD_BYTES)
        except ObjectMissing:
            return SpeakerNames(job_id), None
        try:
            found = SpeakerNames.from_bytes(data)
        except ValueError as error:
            log.warning("%s is passed over: %s", location, error)
            return SpeakerNames(job_id), info.etag
        return (found if found.job_id == job_id else SpeakerNames(job_id)), info.etag

    def save(self, key: str, names: SpeakerNames, seen: str | None) -> str:
        """Keep names; ``seen`` is the ETag that :meth:`load` gave. Returns the new one.

        Raises:
            PreconditionFailed: somebody else has named speakers since.
        """
        condition = IfAbsent() if seen is None else IfMatch(seen)
        info = self._store.put(self._at(key), names.to_bytes(), content_type="application/json", condition=condition)
        return info.etag

    def drop(self, key: str) -> None:
        """Take all names of a transcript away."""
        self._store.delete(self._at(key))

    def _at(self, key: str) -> Location:
        return self._folder.join(f"{key}.json")
