"""Takes over what the store says is outstanding, where a broker begins with nothing: the bucket is the truth."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Set

from lfk.core.addressing import Roots
from lfk.core.errors import BrokerFull, LfkError
from lfk.core.selection import Chosen
from lfk.roles.batch_progress import Judge, OpenBatches
from lfk.roles.batches import Batches
from lfk.roles.failed import Failed, failures
from lfk.roles.outstanding import Choice, reopened
from lfk.roles.recording import Outgoing
from lfk.roles.sender import ReferenceSender
from lfk.stores.base import ObjectStore

log = logging.getLogger(__name__)

#: How long an outage or a full broker is left alone before it is tried again.
_AGAIN_SECONDS = 10.0
_MISSING = Chosen(only=("missing",))


def outstanding(store: ObjectStore, roots: Roots) -> Iterator[Outgoing]:
    """References for all that is unanswered: what open batches ask for, then audio without transcript and failure.

    Held in memory: recorded failures, and the transcript keys that open batches ask for.
    """
    failed = list(failures(store, roots))
    asked: set[str] = set()
    yield from _of_batches(store, roots, failed, asked, look_only=False)
    yield from _of_nobody(store, roots, failed, asked, pass_over)


def pass_over(name: str, error: LfkError) -> None:
    """Tell of audio whose path no reference could ask for."""
    log.warning("%s is passed over: %s", name, error)


def unasked(
    store: ObjectStore, roots: Roots, misfit: Callable[[str, LfkError], None] = pass_over
) -> Iterator[Outgoing]:
    """As :func:`outstanding`, but without what open batches ask for: their senders have told of that already.

    Leaves the records of batches alone.
    """
    failed = list(failures(store, roots))
    asked: set[str] = set()
    for _item in _of_batches(store, roots, failed, asked, look_only=True):
        pass
    yield from _of_nobody(store, roots, failed, asked, misfit)


def _of_batches(
    store: ObjectStore, roots: Roots, failed: list[Failed], asked: set[str], *, look_only: bool
) -> Iterator[Outgoing]:
    batches = Batches(store, roots.records)
    opened = OpenBatches(batches, Judge(store, roots, failed), look_only=look_only)
    return reopened(batches, opened, _MISSING, roots, None, asked)


def _of_nobody(
    store: ObjectStore,
    roots: Roots,
    failed: list[Failed],
    asked: set[str],
    misfit: Callable[[str, LfkError], None],
) -> Iterator[Outgoing]:
    return Choice(store, roots, _MISSING, failed, misfit, quick=True).items(asked_already=frozenset(asked))


class Reconciliation:
    """Reconciles on a thread of its own whenever it is asked to, one time after another."""

    def __init__(
        self, store: ObjectStore, roots: Roots, open_sender: Callable[[], ReferenceSender], stop: threading.Event
    ) -> None:
        """``open_sender`` opens the way to the topic that takes the references."""
        self._store = store
        self._roots = roots
        self._open_sender = open_sender
        self._stop = stop
        self._asked = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lfk-reconcile", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Look soon; returns at once."""
        self._asked.set()

    def close(self) -> None:
        """No more looks. One that is under way ends by itself: what it did not send, the next one will."""
        self._closed.set()
        self._asked.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            self._asked.wait()
            if self._closed.is_set():
                return
            self._asked.clear()
            try:
                self._reconcile()
            except LfkError as error:
                log.warning("reconciling is tried again in %.0f s: %s", _AGAIN_SECONDS, error)
                self._asked.set()
                self._closed.wait(_AGAIN_SECONDS)

    def _reconcile(self) -> None:
        sender = self._open_sender()
        try:
            reconciler = Reconciler(self._store, self._roots, sender, frozenset())
            while not reconciler.done and not self._closed.is_set() and not self._stop.is_set():
                reconciler.step()
                if not reconciler.done:
                    self._closed.wait(_AGAIN_SECONDS)
        finally:
            sender.close()
        log.warning("reconciled with the store: %d references sent again", reconciler.sent)


class Reconciler:
    """Sends a reference for everything outstanding, as far as the broker has room, then goes on from there."""

    def __init__(self, store: ObjectStore, roots: Roots, sender: ReferenceSender, known: Set[str]) -> None:
        """``known``: audio locations whose references are on their way already."""
        self._left = (item for item in outstanding(store, roots) if str(item.audio) not in known)
        self._next: Outgoing | None = None
        self._sender = sender
        self.sent = 0
        self.done = False

    def step(self) -> None:
        """Send until all is sent (``done``) or the broker is full.

        Raises:
            Unreachable: the store or the broker; what is left comes with the next step.
        """
        while not self.done:
            self._next = self._next or next(self._left, None)
            if self._next is None:
                self.done = True
                return
            try:
                self._send(self._next)
            except BrokerFull as error:
                log.info("reconciling goes on later: %s", error)
                return
            self._next = None
            self.sent += 1

    def _send(self, item: Outgoing) -> None:
        def confirmed(error: Exception | None) -> None:
            if error is not None:
                log.warning("%s waits for the next reconcile: %s", item.name, error)

        self._sender.send(item.audio, item.reference, confirmed)
