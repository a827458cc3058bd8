"""References on their way: sent and not confirmed yet. For a role that sends many and tells what became of each.

Bounded, so that a million references need no more memory than a few hundred, and so that those which the broker did
not confirm can be named.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.roles.patience import send_when_room
from lfk.roles.sender import ReferenceSender

T = TypeVar("T")

#: On their way at a time: enough to fill the broker's batches; at most 64 KiB each.
MOST = 500
#: How long the owner sleeps at most before it looks whether it should stop.
_TICK_SECONDS = 0.2
#: How long confirmations are waited for once it is over early.
_LAST_SECONDS = 10.0


class InFlight(Generic[T]):
    """See the module. One owner; the broker's confirmations come in through a queue."""

    def __init__(
        self, sender: ReferenceSender, settled: Callable[[T, Exception | None], None], over: Callable[[], bool]
    ) -> None:
        """``settled`` is told on the owner's thread what became of each item; ``over`` says that no more is wanted."""
        self._sender = sender
        self._settled = settled
        self._over = over
        self._answers: queue.SimpleQueue[tuple[T, Exception | None]] = queue.SimpleQueue()
        self._waiting = 0

    def send(
        self, item: T, audio: Location, reference: AudioReference, carried: Mapping[str, bytes] | None = None
    ) -> None:
        """Send one, waiting while too many are on their way.

        Raises:
            RejectedReference: the reference is not one that may be sent.
            BrokerFull: there was no room for long.
        """
        self._waiting += 1
        try:
            send_when_room(
                self._sender,
                audio,
                reference,
                lambda error: self._answers.put((item, error)),
                self._over,
                carried=carried,
            )
        except Exception:
            self._waiting -= 1
            raise
        while not self._answers.empty() or (self._waiting >= MOST and not self._over()):
            self._take(_TICK_SECONDS)

    def finish(self) -> int:
        """Wait for what is on its way, for a short while only once it is over; returns how many are not confirmed."""
        while self._waiting and not self._over():
            self._take(_TICK_SECONDS)
        patience = time.monotonic() + _LAST_SECONDS
        while self._waiting and time.monotonic() < patience:
            self._take(_TICK_SECONDS)
        return self._waiting

    def _take(self, timeout: float) -> None:
        """Handle one confirmation, if one comes in time."""
        try:
            item, error = self._answers.get(timeout=timeout)
        except queue.Empty:
            return
        self._waiting -= 1
        self._settled(item, error)
