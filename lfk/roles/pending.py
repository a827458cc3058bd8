"""Which audio somebody still waits for: references that no hub is done with, batches that are open, failures.

Looked at in the order in which references travel, so that one that moves on meanwhile is met further on: outbox, the
topics of fresh and bulk references, that of retries, then what the store records of batches and failures. A record of
no reference is passed over, as it gets a dead letter of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence

from lfk.brokers.base import Broker
from lfk.core.addressing import Roots, resolve
from lfk.core.errors import FailureMissing, FailureUnreadable, RejectedReference
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.roles.batch_progress import Judge
from lfk.roles.batches import Batches
from lfk.roles.failed import failures
from lfk.roles.failures import Failures
from lfk.roles.group_progress import unfinished
from lfk.roles.outbox import waiting_records
from lfk.stores.base import ObjectStore

log = logging.getLogger(__name__)

Decode = Callable[[bytes | None], AudioReference]


class Pending:
    """See the module. One owner."""

    def __init__(
        self,
        broker: Broker | None,
        store: ObjectStore,
        roots: Roots,
        group: str,
        topics: Sequence[str],
        decode: Decode,
    ) -> None:
        """``topics`` in the order in which references travel, that of retries last; ``group``: that of the hubs."""
        self._broker = broker
        self._store = store
        self._roots = roots
        self._group = group
        self._topics = topics
        self._decode = decode
        self._batches = Batches(store, roots.records)
        self._failures = Failures(store, roots.records)
        self._any_pair = f"{roots.default_approach.name}.{roots.default_model}"
        #: The audio of each recorded failure, by its event: such a record never changes.
        self._failed: dict[str, tuple[Location, ...]] = {}

    def referred(self) -> Iterator[tuple[Location, str]]:
        """The audio of each reference that waits or is worked on, and where it was found.

        Raises:
            Unreachable: broker or store.
        """
        for record in waiting_records(self._store, self._roots.records):
            for audio in self._audio(record.value):
                yield audio, "a reference to it waits in the outbox"
        for topic in self._topics if self._broker is not None else ():
            assert self._broker is not None  # noqa: S101 - states what the line above asks
            if not self._broker.partitions(topic):
                continue
            for delivered in unfinished(self._broker, self._group, topic, undecided=True):
                for audio in self._audio(delivered.value):
                    yield audio, f"a reference to it is not done in {topic}"

    def of(self, audios: Collection[Location]) -> dict[Location, str]:
        """Those of a few audios that something is pending for, and what.

        Reads every unfinished reference and every open batch once, in flat memory.

        Raises:
            Unreachable: broker or store.
        """
        wanted = set(audios)
        found: dict[Location, str] = {}

        def note(audio: Location, why: str) -> None:
            if audio in wanted:
                wanted.discard(audio)
                found[audio] = why

        for audio, why in self.referred():
            note(audio, why)
        if wanted:
            for audio in self._asked_by_batches(wanted):
                note(audio, "an open batch asks for it")
        if wanted:
            failed = frozenset(self._failed_audio())
            for audio in tuple(wanted):
                if audio in failed:
                    note(audio, "a failure of it is recorded, which may be tried again")
        return found

    def _audio(self, value: bytes | None) -> Iterator[Location]:
        try:
            reference = self._decode(value)
        except RejectedReference:
            return
        yield from self._places(reference.path_to_audio)

    def _places(self, path: str) -> Iterator[Location]:
        """Where a path leads, whether or not its approach and model are offered here: other hubs may offer them."""
        try:
            address = resolve(path, self._any_pair, self._roots)
        except RejectedReference:
            return
        yield address.location
        if address.fallback is not None:
            yield address.fallback

    def _asked_by_batches(self, wanted: Collection[Location]) -> Iterator[Location]:
        """Audio of what open batches ask for and have no answer to; only entries of ``wanted`` audio are looked at."""
        judge: Judge | None = None
        for head in self._batches.open():
            for _name, part in self._batches.parts(head.batch_id):
                for entry in part.entries:
                    try:
                        path, pair = entry.reference.path_to_audio, entry.reference.transcription_approach
                        address = resolve(path, pair, self._roots)
                    except RejectedReference:
                        continue
                    if address.location not in wanted:
                        continue
                    judge = judge or Judge(self._store, self._roots, failures(self._store, self._roots))
                    if judge.one(entry).state == "outstanding":
                        yield address.location

    def _failed_audio(self) -> Iterator[Location]:
        """The audio of each recorded failure; one that cannot be read keeps nothing."""
        events = self._failures.events()
        known = self._failed
        self._failed = {event: known[event] if event in known else self._failed_of(event) for event in events}
        yield from (place for places in self._failed.values() for place in places)

    def _failed_of(self, event: str) -> tuple[Location, ...]:
        try:
            path = self._failures.load(event).announcement.path_to_audio
        except FailureMissing:
            return ()
        except FailureUnreadable as error:
            log.warning("the failure %s is passed over: %s", event, error)
            return ()
        return () if path is None else tuple(self._places(path))
