"""What every role that settles its own progress does with what its group has committed."""

from __future__ import annotations

import logging

from lfk.brokers.base import Partition, Progress
from lfk.core.ledger import Ledger, NoteUnreadable

log = logging.getLogger(__name__)

#: How long a commit that was refused waits. Sharing out takes a few seconds and mostly ends in a call of the listener,
#: which ends the wait, too; a commit amid it would wait for the coordinator, and that one for the same thread to poll.
HOLD_SECONDS = 15.0


def committed_ledger(partition: Partition, progress: Progress | None) -> Ledger:
    """The ledger of a partition as the group left it."""
    if progress is None:
        return Ledger()
    try:
        return Ledger.load(progress.offset, progress.note)
    except NoteUnreadable as error:
        # Work may repeat then (results may not): everything behind the offset is looked at again.
        log.error("%s/%d: the committed note is not readable: %s", partition.topic, partition.number, error)
        return Ledger(progress.offset)
