"""The failures that are recorded in the store: written by hubs, looked at, sent again and discarded by people.

The store is their source of truth, so nothing here needs a broker or a topic. One small object each,
``<records>/failed/<event_id>.json``; whoever reads many reads several at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lfk.core.errors import FailureMissing, FailureUnreadable, LfkError, ObjectMissing, StoreError, UsageError
from lfk.core.failure_record import MAX_RECORD_BYTES, FailureRecord, is_event_id
from lfk.core.location import Location
from lfk.core.printable import printable
from lfk.roles.parallel import in_parallel
from lfk.stores.base import ObjectStore

#: The least of an event id that is looked for: fewer characters name too much by accident.
_LEAST_ID = 4
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded failure; where it cannot be read there is an error instead of a record."""

    event_id: str
    record: FailureRecord | None = None
    error: LfkError | None = None


class Failures:
    """See the module. Safe for use by several threads."""

    def __init__(self, store: ObjectStore, records: Location) -> None:
        self._store = store
        self._folder = records.join("failed").as_prefix()

    def location(self, event: str) -> Location:
        """Where the failure of a reference is recorded.

        Raises:
            FailureMissing: ``event`` is no identity of an event, so nothing can be recorded under it.
        """
        if not is_event_id(event):
            raise FailureMissing(f"{printable(event, 80)!r} is not the id of an event")
        return self._folder.join(f"{event}{_SUFFIX}")

    def save(self, record: FailureRecord) -> None:
        """Keep a failure, then forget the one that it repeats: a reference that was sent again has one record."""
        location = self.location(record.event_id)
        self._store.put(location, record.to_bytes(), content_type="application/json")
        repeated = record.announcement.causation_id
        if repeated is not None and repeated != record.event_id:
            self.forget(repeated)

    def forget(self, event: str) -> None:
        """Remove a failure; it is no error if there is none, or if ``event`` (from a message) is no event's id."""
        if is_event_id(event):
            self._store.delete(self.location(event))

    def load(self, event: str) -> FailureRecord:
        """One failure.

        Raises:
            FailureMissing: none is recorded under that id.
            FailureUnreadable: what is there is no record of that failure.
        """
        try:
            data, _info = self._store.read(self.location(event), limit=MAX_RECORD_BYTES)
        except ObjectMissing as error:
            raise FailureMissing(f"no failure is recorded under {event}") from error
        record = FailureRecord.from_bytes(data)
        if record.event_id != event:
            raise FailureUnreadable(f"{self.location(event)} holds the record of another event")
        return record

    def find(self, beginning: str) -> str:
        """The one event id that begins like that.

        Raises:
            FailureMissing: none does.
            UsageError: several do, or it is too short to tell.
        """
        text = beginning.strip().lower()
        if is_event_id(text):
            return text
        if len(text) < _LEAST_ID or not is_event_id(text.ljust(32, "0")):
            raise UsageError(
                f"{printable(beginning, 80)!r} is not the id of an event, nor {_LEAST_ID} or more characters of one",
                hint="`lfk dlq list` shows the ids",
            )
        prefix = Location(self._folder.scheme, self._folder.bucket, f"{self._folder.key}{text}")
        found = [event for event, _modified in self._listed(prefix)]
        if not found:
            raise FailureMissing(f"no failure is recorded whose event id begins with {text}")
        if len(found) > 1:
            raise UsageError(f"{len(found)} event ids begin with {text}", hint="write more of it")
        return found[0]

    def count(self) -> int:
        """How many failures are recorded."""
        return sum(1 for _event in self._listed(self._folder))

    def events(self) -> list[str]:
        """The ids of all failures, oldest first. Holds about 150 bytes of memory for each."""
        found = sorted((modified, event) for event, modified in self._listed(self._folder))
        return [event for _modified, event in found]

    def each(self) -> Iterator[Recorded]:
        """Every failure, in the order of ids, in flat memory."""
        return self.read(event for event, _modified in self._listed(self._folder))

    def read(self, events: Iterable[str]) -> Iterator[Recorded]:
        """Those failures in that order, several read at a time. One that has gone in the meantime is passed over.

        Raises:
            StoreUnreachable: an outage of the store.
        """
        yield from (found for found in in_parallel(self._read, events) if found is not None)

    def _read(self, event: str) -> Recorded | None:
        try:
            return Recorded(event, self.load(event))
        except FailureMissing:
            return None
        except (FailureUnreadable, StoreError) as error:
            return Recorded(event, error=error)

    def _listed(self, prefix: Location) -> Iterator[tuple[str, float]]:
        """Event ids and the times of their records, in seconds; what else lies there is nothing of ours."""
        for info in self._store.list(prefix):
            event = info.location.key[len(self._folder.key) :].removesuffix(_SUFFIX)
            if is_event_id(event) and info.location.key.endswith(_SUFFIX):
                yield event, info.modified
