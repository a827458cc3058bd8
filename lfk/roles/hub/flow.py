"""How much is taken in: partitions are paused while enough of their kind waits, and resumed when it does not.

What is not taken in is there for other hubs, and costs this one no memory. No partition stops another one: a lane is
full only when it has enough that could start now, and beyond that each partition answers for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lfk.brokers.base import Member, Partition

#: References of one partition in hand, among them those that wait for another job of the same audio. Far more than
#: engines can use, and little enough for the note that has to name them all.
MOST_IN_HAND = 500


class Flow:
    """Owned by the hub's one thread."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._paused: set[Partition] = set()

    def steer(self, partitions: Iterable[Partition], full: Callable[[Partition], bool]) -> None:
        """Pause the partitions that are ``full`` and resume the others."""
        for partition in partitions:
            if full(partition):
                self.pause([partition])
            elif partition in self._paused:
                self._member.resume([partition])
                self._paused.discard(partition)

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing of these until :meth:`steer` says otherwise."""
        for partition in partitions:
            if partition not in self._paused:
                self._member.pause([partition])
                self._paused.add(partition)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Partitions that are no longer this hub's; they come back unpaused."""
        self._paused.difference_update(partitions)
