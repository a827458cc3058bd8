"""Records between the broker and the gateway: they pass at once, except while a Schema Registry keeps them waiting."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

from lfk.brokers.base import Delivered, Partition
from lfk.core.errors import RegistryUnreachable

log = logging.getLogger(__name__)

#: Between two questions to a registry that does not answer.
_AGAIN_SECONDS = 2.0


class Incoming:
    """Owned by the gateway's one thread. Nothing passes anything else: chunks are joined in their order."""

    def __init__(self, take_in: Callable[[Delivered], None], clock: Callable[[], float]) -> None:
        """``take_in`` raises ``RegistryUnreachable`` for a record that it has to be given again."""
        self._take_in = take_in
        self._clock = clock
        self._waiting: deque[Delivered] = deque()
        self._ask_at = 0.0

    @property
    def waits(self) -> bool:
        """Records wait for the registry: nothing more should be read."""
        return bool(self._waiting)

    def add(self, record: Delivered | None) -> None:
        """Take a record in, or all that wait, as far as that is possible now."""
        if record is not None:
            self._waiting.append(record)
        while self._waiting and self._clock() >= self._ask_at:
            try:
                self._take_in(self._waiting[0])
            except RegistryUnreachable as error:
                log.warning("reading waits: %s", error)
                self._ask_at = self._clock() + _AGAIN_SECONDS
            else:
                self._waiting.popleft()

    def drop(self, partitions: Sequence[Partition]) -> None:
        """Whoever has these partitions now reads their records again."""
        self._waiting = deque(record for record in self._waiting if record.partition not in partitions)
