"""What a group has committed, as roles read it that settle their own progress or look at another group's."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lfk.brokers.base import Broker, Delivered, Partition, Progress, Standing
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


@dataclass(frozen=True, slots=True)
class Place:
    """How far a group is with a topic: what it has committed was read before any record is."""

    standing: Mapping[Partition, Standing]
    ledgers: Mapping[Partition, Ledger]
    #: Where the first record of each partition is that may be unfinished.
    starts: Mapping[Partition, int]

    @property
    def anything(self) -> bool:
        """There is something behind these starts, as far as readers of committed records see."""
        return any(start < self.standing[partition].end for partition, start in self.starts.items())

    def settled(self, record: Delivered) -> bool:
        """The group is done with it."""
        ledger = self.ledgers.get(record.partition)
        return ledger is not None and ledger.settled(record.offset)


def group_place(broker: Broker, group: str, topic: str) -> Place:
    """Ask the broker how far a group is with a topic.

    Raises:
        Unreachable, TopicMissing: the broker.
    """
    standing = broker.standing(group, topic)
    ledgers, starts = {}, {}
    for partition, one in standing.items():
        # What was committed beyond the end is of a topic of that name that is no more.
        progress = one.progress if one.progress is not None and one.progress.offset <= one.end else None
        ledgers[partition] = committed_ledger(partition, progress)
        starts[partition] = max(one.first, progress.offset if progress else 0)
    return Place(standing, ledgers, starts)


def unfinished(broker: Broker, group: str, topic: str, *, undecided: bool = False) -> Iterator[Delivered]:
    """The records of a topic that its group is not done with; ``undecided`` as for :meth:`Broker.snapshot`.

    What the group has committed is read first: a record that is finished meanwhile still counts as unfinished. An
    aborted one does so (where ``undecided``) until a later record of its partition is delivered.

    Raises:
        Unreachable, TopicMissing: the broker.
    """
    place = group_place(broker, group, topic)
    for record in broker.snapshot(topic, starts=place.starts, undecided=undecided):
        if not place.settled(record):
            yield record
