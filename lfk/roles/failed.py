"""The failures that the store records, as far as checking and sending again need them.

The one place that reads the form of these records here; a record that cannot be read is passed over with a warning.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lfk.core.addressing import Roots
from lfk.core.errors import LfkError
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.roles.parallel import in_parallel
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

_LIMIT = 256 * 1024


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
    folder = roots.records.join("failed").as_prefix()

    def read(info: ObjectInfo) -> Failed | None:
        return _read(store, info.location)

    yield from (one for one in in_parallel(read, store.list(folder)) if one is not None)


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


def _read(store: ObjectStore, location: Location) -> Failed | None:
    try:
        data = json.loads(store.read(location, limit=_LIMIT)[0])
        error = data.get("error") or {}
        return Failed(
            event_id=location.name.removesuffix(".json"),
            timestamp=int(data["timestamp"]),
            code=str(error.get("code", "internal")),
            message=str(error.get("message", "")),
            batch_id=None if data.get("batch_id") is None else str(data["batch_id"]),
            reference=_reference(data),
        )
    except (LfkError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.warning("%s is passed over: %s", location, error)
        return None


def _reference(data: Mapping[str, Any]) -> AudioReference | None:
    """What was asked: the message itself where the record keeps it, else what the announcement told of it."""
    path, pair = data.get("path_to_audio"), data.get("transcription_approach")
    if not isinstance(path, str):
        return None
    told = AudioReference(path_to_audio=path, transcription_approach=None if pair is None else str(pair))
    value = (data.get("record") or {}).get("value")
    if value is None:
        return told
    try:
        asked = json.loads(base64.b64decode(value, validate=True))
        options = asked.get("options") or {}
        if not isinstance(options, dict):
            return told
        return replace(told, language=asked.get("language"), options=options, force=bool(asked.get("force")))
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        return told
