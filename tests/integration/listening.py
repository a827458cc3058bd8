"""A listener over a store in memory, a publisher that does as it is told, and a source that says what a test wants."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any

from lfk.brokers.codec import JsonCodec
from lfk.core.addressing import Roots
from lfk.core.errors import LfkError
from lfk.core.location import Location
from lfk.core.notifications import Notification, Sighting
from lfk.roles.listen import Listener
from lfk.roles.listen_events import Done, ListenEvent, ListenSummary, Outcome, Reconciled
from lfk.roles.listen_job import ListenJob
from lfk.roles.sender import ReferenceSender
from lfk.roles.sync_events import Paused
from lfk.stores.base import ObjectStore
from lfk.stores.memory import MemoryStore
from lfk.stores.notifications.base import Delivery, Intake, Source
from tests.integration.syncing import ROOTS, FakePublisher


class ScriptedSource:
    """Hands over what a test puts in, and remembers how each delivery ended."""

    address = "a script"

    def __init__(self) -> None:
        self.queue: queue.Queue[Notification | LfkError] = queue.Queue()
        self.ended: list[tuple[Notification, bool]] = []
        self.runs = 0
        self.intake: Intake | None = None

    def __enter__(self) -> ScriptedSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def check(self) -> str:
        return self.address

    def run(self, intake: Intake) -> None:
        self.runs += 1
        self.intake = intake
        intake.missed()
        while not intake.closed:
            with contextlib.suppress(queue.Empty):
                said = self.queue.get(timeout=0.01)
                if isinstance(said, LfkError):
                    raise said
                if not intake.offer(Delivery(said, partial(self._note, said))):
                    # As a queue would: it is delivered again.
                    self.queue.put(said)

    def _note(self, said: Notification, well: bool) -> None:
        self.ended.append((said, well))

    def tell(self, *sightings: Sighting, others: int = 0, unusable: tuple[str, ...] = ()) -> None:
        self.queue.put(Notification(sightings, others, unusable))


class Rig:
    """Everything around one listener."""

    def __init__(self, source: Source | None = None, store: ObjectStore | None = None, roots: Roots = ROOTS) -> None:
        self.script = ScriptedSource()
        self.source: Source = source or self.script
        self.store = store or MemoryStore()
        self.roots = roots
        self.publisher = FakePublisher()
        self.stop = threading.Event()
        self.events: list[ListenEvent] = []
        #: What connecting to the broker raises, one each, before it works again.
        self.refusals: list[LfkError] = []
        self.summary = ListenSummary()

    def put(self, key: str, data: bytes = b"RIFF", **metadata: str) -> Location:
        location = self.roots.audio.join(key)
        named = {name.replace("_", "-"): value for name, value in metadata.items()}
        self.store.put(location, data, content_type="audio/wav", metadata=named)
        return location

    def sighting(self, key: str, **facts: Any) -> Sighting:
        return Sighting(self.roots.audio.join(key), **facts)

    def listener(self, marker: str = "", reconcile: float = 0.0) -> Listener:
        job = ListenJob(self.roots, marker, reconcile)
        return Listener(job, self.source, self.store, self._sender, self.events.append, self.stop)

    @contextmanager
    def running(self, **job: Any) -> Iterator[None]:
        """Listen while the block runs; what it raises comes out at the end."""
        listener = self.listener(**job)
        failures: list[BaseException] = []

        def run() -> None:
            try:
                self.summary = listener.run()
            except BaseException as error:  # noqa: BLE001 - raised again by the test
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join(60)
            assert not thread.is_alive()
        if failures:
            raise failures[0]

    @contextmanager
    def _sender(self) -> Iterator[ReferenceSender]:
        if self.refusals:
            raise self.refusals.pop(0)
        yield ReferenceSender(self.publisher, JsonCodec(), "lfk.audio", "lfk/listen")

    @property
    def sent(self) -> list[str]:
        prefix = str(self.roots.audio)
        return [reference["path_to_audio"].removeprefix(prefix) for reference in self.publisher.references]

    def of(self, outcome: Outcome) -> list[Done]:
        return [event for event in self.events if isinstance(event, Done) and event.outcome is outcome]

    @property
    def rounds(self) -> list[Reconciled]:
        return [event for event in self.events if isinstance(event, Reconciled)]

    @property
    def pauses(self) -> list[Paused]:
        return [event for event in self.events if isinstance(event, Paused)]
