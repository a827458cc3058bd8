"""Takes over what the store says is outstanding, where a broker begins with nothing: the bucket is the truth."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Set

from lfk.core.addressing import Roots
from lfk.core.errors import BrokerFull
from lfk.core.selection import Chosen
from lfk.roles.batch_progress import Judge, OpenBatches
from lfk.roles.batches import Batches
from lfk.roles.failed import failures
from lfk.roles.outstanding import Choice, reopened
from lfk.roles.recording import Outgoing
from lfk.roles.sender import ReferenceSender
from lfk.stores.base import ObjectStore

log = logging.getLogger(__name__)


def outstanding(store: ObjectStore, roots: Roots) -> Iterator[Outgoing]:
    """References for all that is unanswered: what open batches ask for, then audio without transcript and failure.

    Held in memory: recorded failures, and the transcript keys that open batches ask for.
    """
    failed = list(failures(store, roots))
    chosen = Chosen(only=("missing",))
    batches = Batches(store, roots.records)
    asked: set[str] = set()
    yield from reopened(batches, OpenBatches(batches, Judge(store, roots, failed)), chosen, roots, None, asked)
    choice = Choice(store, roots, chosen, failed, lambda name, error: log.warning("%s is passed over: %s", name, error))
    yield from choice.items(asked_already=frozenset(asked))


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
