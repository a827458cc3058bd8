"""Submit: references for audio that is in the store already, by object, by prefix, or by a list of either.

Prefixes and lists are streamed, so a million names need no more memory than a thousand. What is named is resolved,
looked up and checked here, so that a mistyped name is told now and not by a dead letter later; a list may be trusted
instead. What its path alone would not bring back is recorded as a batch before it is sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lfk.core.addressing import AudioAddress, Roots
from lfk.core.batch import Entry, has_own_wishes
from lfk.core.errors import AudioEmpty, Kind, LfkError, ObjectMissing, Unreachable
from lfk.core.media_types import content_type
from lfk.core.messages import AudioReference
from lfk.core.request import Request
from lfk.roles.batches import BatchRecorder
from lfk.roles.dispatch import IN_FLIGHT, Dispatch
from lfk.roles.names import Finder, Found, prefixes
from lfk.roles.recording import Outgoing, recorded
from lfk.roles.sender import ReferenceSender
from lfk.roles.stock import is_audio
from lfk.stores.base import SHA256, ObjectInfo, ObjectStore


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
    """What became of everything; ``size`` is the bytes of what was referred to, as far as they are known."""

    sent: int = 0
    size: int = 0
    failed: int = 0
    #: Not media, or lfk's own, below a prefix.
    skipped: int = 0
    #: On their way and never confirmed, because of a stop or an outage.
    left: int = 0
    seconds: float = 0.0
    outage: LfkError | None = None
    #: The batch that references with wishes of their own are recorded in.
    batch_id: str | None = None


class Submitter:
    """See the module. One owner."""

    def __init__(
        self,
        store: ObjectStore,
        sender: ReferenceSender | None,
        roots: Roots,
        request: Request,
        report: Callable[[Submitted], None],
        stop: threading.Event,
        *,
        recorder: BatchRecorder | None = None,
        trust: bool = False,
    ) -> None:
        """Without a sender it is a dry run. ``trust``: see :class:`lfk.roles.names.Finder`."""
        self._store = store
        self._roots = roots
        self._request = request
        self._report = report
        self._stop = stop
        self._recorder = recorder
        self._finder = Finder(store, roots, request, trust=trust)
        self._summary = SubmitSummary()
        self._outage: LfkError | None = None
        self._dispatch = (
            None
            if sender is None
            else Dispatch(sender, stop, self._sent, self._refused, passed=self._passed, in_flight=IN_FLIGHT)
        )

    def run(self, names: Iterable[str]) -> SubmitSummary:
        """Submit every name: an object, or a prefix (it ends in ``/``); relative ones are below the audio root."""
        return self.run_groups([name] for name in names)

    def run_groups(self, groups: Iterable[Sequence[str]]) -> SubmitSummary:
        """As :meth:`run`, for names that come some at a time; each group is sent before the next is asked for."""
        begun = time.monotonic()
        for names in groups:
            self._group(names)
            if self._over:
                break
        if self._dispatch is not None:
            self._summary.left = self._dispatch.finish()
            self._outage = self._outage or self._dispatch.outage
        if self._recorder is not None and self._recorder.begun:
            self._summary.batch_id = self._recorder.head.batch_id
            # Where it is over early, what is recorded and was not sent comes back with `republish --only missing`.
            self._note_end(self._recorder)
        self._summary.outage = self._outage
        self._summary.seconds = time.monotonic() - begun
        return self._summary

    @property
    def _over(self) -> bool:
        broken = self._dispatch is not None and self._dispatch.outage is not None
        return self._stop.is_set() or self._outage is not None or broken

    def _group(self, names: Sequence[str]) -> None:
        try:
            for item in recorded(self._outgoing(names), self._recorder):
                if self._dispatch is None:
                    self._sent(item)
                else:
                    self._dispatch.send(item, item.audio, item.reference)
                if self._over:
                    break
        except LfkError as error:
            self._fail(Submitted(names[0], error=error), error)

    def _outgoing(self, names: Sequence[str]) -> Iterator[Outgoing]:
        """References for what the names lead to; failures are told on the way."""
        objects: list[str] = []
        for name in names:
            if not name.endswith("/"):
                objects.append(name)
                continue
            yield from self._objects(objects)
            objects = []
            yield from self._below(name)
        yield from self._objects(objects)

    def _objects(self, names: Sequence[str]) -> Iterator[Outgoing]:
        for found in self._finder.find(names) if names else ():
            yield from self._made(found)
            if self._over:
                return

    def _below(self, name: str) -> Iterator[Outgoing]:
        try:
            places = prefixes(name, self._roots)
            for place in places:
                any_there = False
                for info in self._store.list(place):
                    if not is_audio(info.location, self._roots):
                        self._summary.skipped += 1
                        continue
                    any_there = True
                    yield from self._made(self._listed(info))
                    if self._over:
                        return
                if any_there:
                    return
            raise ObjectMissing(f"there is no audio below {places[0]}")
        except LfkError as error:
            self._fail(Submitted(name, error=error), error)

    def _listed(self, info: ObjectInfo) -> Found:
        path = str(info.location)
        try:
            return Found(path, self._request.resolve(path, self._roots), info)
        except LfkError as error:
            return Found(path, None, info, error)

    def _made(self, found: Found) -> Iterator[Outgoing]:
        info, size = found.info, found.info.size if found.info is not None else 0
        error = found.error
        if error is None and info is not None and size == 0:
            error = AudioEmpty("the object is empty (0 bytes)")
        if error is not None or found.address is None:
            if error is not None:
                self._fail(Submitted(found.name, size, error=error), error)
            return
        modified = None if info is None else info.modified
        reference = self._reference(found.address, info)
        own = has_own_wishes(reference, found.address, self._roots)
        yield Outgoing(found.name, found.address.location, Entry(reference, modified), size, own)

    def _reference(self, address: AudioAddress, info: ObjectInfo | None) -> AudioReference:
        facts = {} if info is None else {
            "etag": info.etag, "version_id": info.version_id, "sha256": info.metadata.get(SHA256), "size": info.size
        }  # fmt: skip
        return self._request.reference(
            address,
            address.pair if self._request.names_pair else None,
            int(time.time() * 1000),
            content_type=content_type(address.location.name),
            **facts,
        )

    def _sent(self, item: Outgoing) -> None:
        self._summary.sent += 1
        self._summary.size += item.size
        self._report(Submitted(item.name, item.size, item.reference))

    def _passed(self, item: Outgoing) -> None:
        if self._recorder is not None and item.part is not None:
            self._recorder.progress(sent=1, size=item.size, place=None)

    def _refused(self, item: Outgoing, error: LfkError) -> None:
        self._fail(Submitted(item.name, item.size, error=error), error)

    def _fail(self, item: Submitted, error: LfkError) -> None:
        if isinstance(error, Unreachable) or error.kind is Kind.FATAL:
            self._outage = self._outage or error
            return
        self._summary.failed += 1
        self._report(Submitted(item.name, item.size, error=error))

    def _note_end(self, recorder: BatchRecorder) -> None:
        try:
            recorder.note(finished=True)
        except LfkError as error:
            self._outage = self._outage or error
