"""The failures that the store records, as far as checking and sending again need them.

A record that cannot be read is passed over with a warning.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lfk.core.addressing import Roots
from lfk.core.failure_record import FailureRecord
from lfk.core.messages import AudioReference
from lfk.roles.failures import Failures
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failed:
    """One failure. ``reference`` is what was asked, as far as the record keeps it."""

    event_id: str
    #: Milliseconds since the epoch.
    timestamp: int
    code: str
    message: str
    batch_id: str | None = None
    #: None where the message that failed could not be read.
    reference: AudioReference | None = None

    @property
    def path(self) -> str | None:
        """Location of the audio."""
        return None if self.reference is None else self.reference.path_to_audio


def failures(store: ObjectStore, roots: Roots) -> Iterator[Failed]:
    """Every recorded failure, in the order of event ids."""
    for found in Failures(store, roots.records).each():
        if found.record is None:
            log.warning("the failure of %s is passed over: %s", found.event_id, found.error)
        else:
            yield _failed(found.record)


class NewestFailures:
    """When each audio failed last, for each approach and model; held in memory, as there are few."""

    def __init__(self, found: Iterable[Failed]) -> None:
        self._newest: dict[tuple[str, str | None], float] = {}
        for one in found:
            if one.reference is not None:
                key = (one.reference.path_to_audio, one.reference.transcription_approach)
                self._newest[key] = max(self._newest.get(key, 0.0), one.timestamp / 1000)

    def since(self, info: ObjectInfo, pair: str) -> bool:
        """Whether the audio, as it is now, has failed at ``pair`` (or before it was known what was asked)."""
        return self._last(info, pair) >= info.modified

    def ever(self, info: ObjectInfo, pair: str) -> bool:
        """As :meth:`since`, but also if the audio was replaced afterwards."""
        return self._last(info, pair) >= 0

    def _last(self, info: ObjectInfo, pair: str) -> float:
        path = str(info.location)
        return max(self._newest.get((path, asked), -1.0) for asked in (pair, None))


def _failed(record: FailureRecord) -> Failed:
    told = record.announcement
    return Failed(
        event_id=record.event_id,
        timestamp=told.timestamp,
        code=record.error.code,
        message=record.error.message,
        batch_id=told.batch_id,
        reference=_reference(record),
    )


def _reference(record: FailureRecord) -> AudioReference | None:
    """What was asked: the message itself where the record keeps it, else what the announcement told of it."""
    path, pair = record.announcement.path_to_audio, record.announcement.transcription_approach
    if path is None:
        return None
    told = AudioReference(path_to_audio=path, transcription_approach=pair)
    value = record.original.value if record.original is not None else None
    if value is None:
        return told
    try:
        asked = json.loads(value)
        options = asked.get("options") or {}
        if not isinstance(options, dict):
            return told
        return replace(told, language=asked.get("language"), options=options, force=bool(asked.get("force")))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return told
