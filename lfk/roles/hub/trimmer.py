"""Removes references from their topics once every hub is done with them, so that unlimited retention stays small.

Only what lies below the group's committed offset goes, and that offset never passes a reference that is open. All hubs
of a group may do this at once; the later one finds nothing left.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from lfk.brokers.base import Broker
from lfk.core.errors import BrokerDenied, LfkError

log = logging.getLogger(__name__)

#: Fewer records than this are not worth a request.
_LEAST_RECORDS = 100


class Trimmer:
    """Trims on a thread of its own until it is closed."""

    def __init__(self, broker: Broker, group: str, topics: Sequence[str], interval: float) -> None:
        """``interval``: seconds between two rounds."""
        self._broker = broker
        self._group = group
        self._topics = topics
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lfk-trimmer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more rounds; one that is under way is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            try:
                for topic in self._topics:
                    trim(self._broker, self._group, topic)
            except BrokerDenied as error:
                log.warning("references stay in their topics after they are answered: %s - %s", error, error.hint)
                return
            except LfkError as error:
                log.info("trimming waits: %s", error)


def trim(broker: Broker, group: str, topic: str, least: int = _LEAST_RECORDS) -> int:
    """Remove what the group is done with, where it is ``least`` records or more; returns in how many partitions."""
    done = {
        partition: standing.progress.offset
        for partition, standing in broker.standing(group, topic).items()
        if standing.progress is not None and standing.progress.offset - standing.first >= least
    }
    broker.trim(done)
    return len(done)
