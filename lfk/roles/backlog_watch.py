"""Measures, again and again, what waits for all hubs of a group: for autoscalers and alerts.

Lag in offsets does not do for that: it stands still on a long job at the head of a partition, and a reference says
nothing of how much work it is. One of a group's hubs measures, the one that has the first partition of fresh work, so
that many hubs ask the broker no more often than one; a process that is no hub may do it for a group that has none.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from lfk.core import metrics
from lfk.core.errors import LfkError
from lfk.core.readings import Reading
from lfk.roles.backlog import Load
from lfk.roles.health import Pulse

log = logging.getLogger(__name__)

#: A look takes at most this part of the time.
_SHARE = 0.05
#: A measurement is true for so many intervals; then it is better to tell nothing.
_GOOD_FOR = 5


class BacklogWatch:
    """Looks on a thread of its own until it is closed."""

    def __init__(self, look: Callable[[], Mapping[str, Load]], leads: Callable[[], bool], interval: float) -> None:
        """``look`` measures each lane; ``leads`` tells whether that is this process's to do; ``interval``: seconds."""
        self._look = look
        self._leads = leads
        self._interval = interval
        self._seen: tuple[float, Mapping[str, Load]] | None = None
        self._good_for = interval * _GOOD_FOR
        self.pulse = Pulse()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lfk-backlog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more looks; one that is under way is not waited for."""
        self._stopping.set()

    def readings(self) -> Iterator[Reading]:
        """What was measured last; nothing where that is long ago, or another process does it."""
        seen = self._seen
        if seen is None or time.time() - seen[0] > self._good_for:
            return
        looked, loads = seen
        yield metrics.BACKLOG_LOOKED.of(looked)
        for lane, load in loads.items():
            yield metrics.BACKLOG_REFERENCES.of(load.files, lane)
            yield metrics.BACKLOG_AUDIO.of(load.audio, lane)
            yield metrics.BACKLOG_OLDEST.of(max(0.0, looked - load.oldest) if load.oldest is not None else 0.0, lane)

    def _run(self) -> None:
        wait = min(1.0, self._interval)
        while not self._stopping.wait(wait):
            self.pulse.beat()
            if not self._leads():
                self._seen, wait = None, min(1.0, self._interval)
                continue
            begun = time.monotonic()
            try:
                self._seen = (time.time(), self._look())
                self.pulse.serves()
            except LfkError as error:
                self.pulse.waits(error)
                log.info("the backlog is not measured: %s", error)
            took = time.monotonic() - begun
            wait = max(self._interval, took / _SHARE)
            self._good_for = _GOOD_FOR * wait
