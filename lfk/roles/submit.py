"""Submit: references for audio that is in the store already, by object or by prefix.

Prefixes are streamed, so a million keys need no more memory than a thousand. What is named is resolved, looked up
and checked here, so that a mistyped name is told now and not by a dead letter later.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.errors import (
    AudioEmpty,
    BrokerFull,
    Kind,
    LfkError,
    ObjectMissing,
    Unreachable,
)
from lfk.core.location import Location
from lfk.core.media_types import content_type, is_media
from lfk.core.messages import AudioReference
from lfk.core.request import Request
from lfk.roles.patience import send_when_room
from lfk.roles.sender import ReferenceSender
from lfk.stores.base import SHA256, ObjectInfo, ObjectStore

#: References on their way at a time: enough to fill the broker's batches, little enough to name those that fail.
_IN_FLIGHT = 5000
#: How long the owner sleeps at most before it looks whether it should stop.
_TICK_SECONDS = 0.2
#: How long confirmations are waited for once it is over early.
_LAST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of one object, or of one name that led to none."""

    name: str
    size: int = 0
    #: What was sent, or in a dry run would have been.
    reference: AudioReference | None = None
    error: LfkError | None = None


@dataclass(slots=True)
class SubmitSummary:
    """What became of everything; ``size`` is the bytes of what was referred to."""

    sent: int = 0
    size: int = 0
    failed: int = 0
    #: Not media, or lfk's own, below a prefix.
    skipped: int = 0
    #: On their way and never confirmed, because of a stop or an outage.
    left: int = 0
    seconds: float = 0.0
    outage: LfkError | None = None


class Submitter:
    """See the module. One owner; the broker's confirmations come in through a queue."""

    def __init__(
        self,
        store: ObjectStore,
        sender: ReferenceSender | None,
        roots: Roots,
        request: Request,
        report: Callable[[Submitted], None],
        stop: threading.Event,
    ) -> None:
        """Without a sender it is a dry run."""
        self._store = store
        self._sender = sender
        self._roots = roots
        self._request = request
        self._report = report
        self._stop = stop
        self._answers: queue.SimpleQueue[tuple[Submitted, Exception | None]] = queue.SimpleQueue()
        self._waiting = 0
        self._summary = SubmitSummary()

    def run(self, names: Iterable[str]) -> SubmitSummary:
        """Submit every name: an object, or a prefix (it ends in ``/``); relative ones are below the audio root."""
        begun = time.monotonic()
        for name in names:
            try:
                self._submit(name)
            except LfkError as error:
                self._failed(Submitted(name, error=error), error)
            if self._over:
                break
        while self._waiting and not self._over:
            self._take(_TICK_SECONDS)
        patience = time.monotonic() + _LAST_SECONDS
        while self._waiting and time.monotonic() < patience:
            self._take(_TICK_SECONDS)
        self._summary.left = self._waiting
        self._summary.seconds = time.monotonic() - begun
        return self._summary

    @property
    def _over(self) -> bool:
        return self._stop.is_set() or self._summary.outage is not None

    def _submit(self, name: str) -> None:
        if not name.endswith("/"):
            self._one(name, *self._look(name))
            return
        prefixes = self._prefixes(name)
        if not any(self._submit_below(prefix) for prefix in prefixes):
            raise ObjectMissing(f"there is no audio below {prefixes[0]}")

    def _submit_below(self, prefix: Location) -> bool:
        """Whether there was any audio."""
        found = False
        for info in self._below(prefix):
            found = True
            path = str(info.location)
            try:
                self._one(path, info, self._request.resolve(path, self._roots))
            except LfkError as error:
                self._failed(Submitted(path, info.size, error=error), error)
            if self._over:
                break
        return found

    def _prefixes(self, name: str) -> list[Location]:
        """Where to look, in this order: a prefix is where any object directly below it would be."""
        pair = f"{self._roots.default_approach.name}.{self._roots.default_model}"
        probe = resolve(f"{name}x", pair, self._roots)
        places = [probe.location] if probe.fallback is None else [probe.location, probe.fallback]
        return [Location(place.scheme, place.bucket, place.key.removesuffix("x")) for place in places]

    def _look(self, name: str) -> tuple[ObjectInfo, AudioAddress]:
        address = self._request.resolve(name, self._roots)
        try:
            return self._store.stat(address.location), address
        except ObjectMissing:
            if address.fallback is None:
                raise
        return self._store.stat(address.fallback), address.at(address.fallback)

    def _below(self, prefix: Location) -> Iterator[ObjectInfo]:
        for info in self._store.list(prefix):
            ours = self._roots.transcripts.contains(info.location) or self._roots.records.contains(info.location)
            if ours or not is_media(info.location.name):
                self._summary.skipped += 1
            else:
                yield info

    def _one(self, name: str, info: ObjectInfo, address: AudioAddress) -> None:
        if info.size == 0:
            raise AudioEmpty("the object is empty (0 bytes)")
        reference = self._request.reference(
            address,
            address.pair if self._request.names_pair else None,
            int(time.time() * 1000),
            etag=info.etag,
            version_id=info.version_id,
            sha256=info.metadata.get(SHA256),
            size=info.size,
            content_type=content_type(info.location.name),
        )
        item = Submitted(name, info.size, reference)
        if self._sender is None:
            self._sent(item)
            return
        self._waiting += 1
        try:
            send_when_room(
                self._sender,
                info.location,
                reference,
                lambda error: self._answers.put((item, error)),
                self._stop.is_set,
            )
        except LfkError:
            self._waiting -= 1
            raise
        while not self._answers.empty() or (self._waiting >= _IN_FLIGHT and not self._over):
            self._take(_TICK_SECONDS)

    def _take(self, timeout: float) -> None:
        """Handle one confirmation, if one comes in time."""
        try:
            item, error = self._answers.get(timeout=timeout)
        except queue.Empty:
            return
        self._waiting -= 1
        if error is None:
            self._sent(item)
        elif isinstance(error, LfkError):
            self._failed(item, error)
        else:
            raise error

    def _sent(self, item: Submitted) -> None:
        self._summary.sent += 1
        self._summary.size += item.size
        self._report(item)

    def _failed(self, item: Submitted, error: LfkError) -> None:
        if isinstance(error, Unreachable | BrokerFull) or error.kind is Kind.FATAL:
            self._summary.outage = self._summary.outage or error
            return
        self._summary.failed += 1
        self._report(Submitted(item.name, item.size, error=error))
