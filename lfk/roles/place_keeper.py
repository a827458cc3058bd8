"""Follows announcements as a member of a consumer group, so that a reader finds its place again.

One thread polls, is told of revokes and commits; another applies the announcements one after the other, however
long their files take or their store is away. A place is committed after its announcement was applied: one that is
delivered again changes nothing, one that was not applied is never passed.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from lfk.brokers.base import Broker, Delivered, Partition, Progress
from lfk.core.errors import BrokerUnreachable, SettlementLost

log = logging.getLogger(__name__)

#: One wait for the broker while there is nothing to do.
_IDLE_SECONDS = 0.2
#: One wait for an announcement that is being applied; the broker is polled in between.
_BUSY_SECONDS = 0.1
#: Places are committed that often: what a crash in between repeats finds its files in place.
_COMMIT_SECONDS = 1.0
#: Announcements held in memory; beyond that their partitions are paused.
_WINDOW = 200


class PlaceKeeper:
    """See the module. :meth:`run` returns when it is ``over``."""

    def __init__(
        self,
        apply: Callable[[Delivered], None],
        over: Callable[[], bool],
        starts: Mapping[Partition, int] | None = None,
        *,
        secure: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``apply`` may take its time, and raises only what ends the reader; it should return soon once it is over.

        ``starts`` says where partitions begin in which the group has no place yet; else they begin at the first record.
        ``secure`` is called before a place is committed, so that what was applied outlives the machine.
        """
        self._apply = apply
        self._over = over
        self._secure = secure
        self._starts = starts or {}
        self._clock = clock
        self._owned: set[Partition] = set()
        self._waiting: deque[Delivered] = deque()
        self._progress: dict[Partition, Progress] = {}
        self._running: tuple[Delivered, Future[None]] | None = None
        self._paused: set[Partition] = set()
        self._committed_at = clock()

    def run(self, broker: Broker, group: str, topic: str) -> None:
        """Read until stopped.

        Raises:
            LfkError: what ``apply`` raised, or what the broker refuses for good.
        """
        self._member = broker.member(group, [topic], self)
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="lfk-apply") as applier:
                while not self._over():
                    self._step(applier)
            self._collect()
        finally:
            try:
                self._commit()
                self._member.close()
            except BrokerUnreachable as error:
                log.warning("what was applied last may be delivered again: %s", error)

    # --- group life, inside poll

    def assigned(self, committed: Mapping[Partition, Progress | None]) -> Mapping[Partition, int | None]:
        """Begin where the group is."""
        self._owned.update(committed)
        return {
            partition: self._starts.get(partition) if place is None else place.offset
            for partition, place in committed.items()
        }

    def revoked(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Commit what was applied, forget the rest: whoever gets them next applies it."""
        if not lost:
            self._collect()
            self._commit()
        gone = set(partitions)
        self._owned -= gone
        self._paused -= gone
        self._waiting = deque(record for record in self._waiting if record.partition not in gone)
        for partition in gone:
            self._progress.pop(partition, None)

    def missed(self, partition: Partition, first: int) -> None:
        """What is gone from the topic is still in the store."""
        log.warning(
            "announcements below %s/%d@%d are gone from the topic; `lfk transcripts` without --follow, or a mirror of "
            "the bucket, has their transcripts",
            partition.topic,
            partition.number,
            first,
        )

    # --- one round

    def _step(self, applier: ThreadPoolExecutor) -> None:
        record = self._member.poll(0.0 if self._running or self._waiting else _IDLE_SECONDS)
        if record is not None:
            self._waiting.append(record)
        if self._running is not None:
            wait([self._running[1]], timeout=_BUSY_SECONDS)
        self._collect()
        if self._running is None and self._waiting and not self._over():
            first = self._waiting.popleft()
            self._running = (first, applier.submit(self._apply, first))
        self._press_back()
        if self._clock() - self._committed_at >= _COMMIT_SECONDS:
            self._commit()

    def _collect(self) -> None:
        """Note that the announcement that was being applied has been."""
        if self._running is None or not self._running[1].done():
            return
        record, outcome = self._running
        self._running = None
        if (error := outcome.exception()) is not None:
            if self._over():
                log.info("stopped in %s@%d, which will be delivered again: %s", record.partition, record.offset, error)
                return
            raise error
        if record.partition in self._owned:
            self._progress[record.partition] = Progress(record.offset + 1)

    def _press_back(self) -> None:
        if len(self._waiting) >= _WINDOW and self._owned - self._paused:
            self._member.pause(sorted(self._owned - self._paused))
            self._paused = set(self._owned)
        elif self._paused and len(self._waiting) <= _WINDOW // 2:
            self._member.resume(sorted(self._paused))
            self._paused = set()

    def _commit(self) -> None:
        self._committed_at = self._clock()
        if not self._progress:
            return
        self._secure()
        try:
            self._member.settle([], self._progress)
        except (SettlementLost, BrokerUnreachable) as error:
            # Partitions that have gone are forgotten when the revoke says so; for the others it is tried again.
            log.info("the place is committed later: %s", error)
            return
        self._progress = {}
