"""Sends many references with few on their way at a time, and knows up to where all of them are confirmed.

One owner calls it; the broker's confirmations come in through a queue. How far bulk work fans out is up to the hubs:
references wait on their topic, and a sender only fills it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from lfk.core.errors import BrokerFull, Kind, LfkError, Unreachable
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.roles.patience import send_when_room
from lfk.roles.sender import ReferenceSender

T = TypeVar("T")

#: References on their way at a time: enough to fill the broker's batches, little enough to name those that fail.
IN_FLIGHT = 5000
#: How long the owner sleeps at most before it looks whether it should stop.
TICK_SECONDS = 0.2
#: How long confirmations are waited for once it is over early.
_LAST_SECONDS = 10.0


@dataclass(slots=True)
class _Sent(Generic[T]):
    item: T
    error: Exception | None = None
    settled: bool = False


class Dispatch(Generic[T]):
    """See the module. What is sent is an ``item`` of the owner's, whatever it is."""

    def __init__(
        self,
        sender: ReferenceSender,
        stop: threading.Event,
        confirmed: Callable[[T], None],
        refused: Callable[[T, LfkError], None],
        *,
        passed: Callable[[T], None] = lambda _item: None,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        """All are called by the owner's thread. ``passed`` is told of each item in the order in which they were sent,
        once it and all before it are confirmed or refused."""
        self._sender = sender
        self._stop = stop
        self._confirmed = confirmed
        self._refused = refused
        self._passed = passed
        self._in_flight = in_flight
        self._answers: queue.SimpleQueue[_Sent[T]] = queue.SimpleQueue()
        self._sent: deque[_Sent[T]] = deque()
        self._waiting = 0
        #: What ended it early: an outage, a broker that stays full, or one that refuses everything.
        self.outage: LfkError | None = None

    @property
    def over(self) -> bool:
        """Nothing new is to be sent: told to stop, or an outage."""
        return self._stop.is_set() or self.outage is not None

    def send(
        self, item: T, audio: Location, reference: AudioReference, carried: Mapping[str, bytes] | None = None
    ) -> None:
        """Send one reference; waits while too many are on their way. ``carried``: see :class:`ReferenceSender`."""
        one = _Sent(item)

        def answered(error: Exception | None) -> None:
            one.error = error
            self._answers.put(one)

        self._sent.append(one)
        self._waiting += 1
        try:
            send_when_room(self._sender, audio, reference, answered, self._stop.is_set, carried=carried)
        except LfkError as error:
            answered(error)
        while not self._answers.empty() or (self._waiting >= self._in_flight and not self.over):
            self._take(TICK_SECONDS)

    def finish(self) -> int:
        """Wait for every confirmation; where it is over early, only for a while. Returns how many did not come."""
        while self._waiting and not self.over:
            self._take(TICK_SECONDS)
        patience = time.monotonic() + _LAST_SECONDS
        while self._waiting and time.monotonic() < patience:
            self._take(TICK_SECONDS)
        return sum(1 for one in self._sent if not one.settled)

    def _take(self, timeout: float) -> None:
        """Handle one confirmation, if one comes in time."""
        try:
            one = self._answers.get(timeout=timeout)
        except queue.Empty:
            return
        self._waiting -= 1
        if one.error is not None and not isinstance(one.error, LfkError):
            raise one.error
        if one.error is not None and _is_outage(one.error):
            # It is left unsettled: nothing behind it may count as passed.
            self.outage = self.outage or one.error
            return
        one.settled = True
        if isinstance(one.error, LfkError):
            self._refused(one.item, one.error)
        else:
            self._confirmed(one.item)
        while self._sent and self._sent[0].settled:
            self._passed(self._sent.popleft().item)


def _is_outage(error: LfkError) -> bool:
    return isinstance(error, Unreachable | BrokerFull) or error.kind is Kind.FATAL
