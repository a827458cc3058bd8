"""The broker protocol, cut at the level of meaning: publish, settle, read back.

A hub *settles*: its outgoing records and its progress go in together, atomically where the broker has transactions
and records-first elsewhere (at least once). Vendor exceptions never leave a broker: they become
:mod:`lfk.core.errors`. Every method may raise ``BrokerUnreachable``; further errors are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """A partition of a topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record to be published."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A record as a consumer got it."""

    partition: Partition
    offset: int
    #: Milliseconds since the epoch; 0 where the broker knows none.
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a group is in a partition: the first offset that is not done, and a note of what is done beyond it."""

    offset: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a group has committed in a partition, and the partition's own first and next offset."""

    progress: Progress | None
    first: int
    end: int


class Publisher(Protocol):
    """Sends records. Safe for use by several threads."""

    def send(self, record: Record, confirmed: Callable[[Exception | None], None]) -> None:
        """Queue one record; ``confirmed`` is called once, from some thread, with None or an ``LfkError``.

        Blocks while the bounded queue is full.

        Raises:
            BrokerFull: the embedded broker has no room.
            MessageTooLarge: the broker does not take records of that size.
        """

    def flush(self, timeout: float) -> int:
        """Wait until all is confirmed, at most ``timeout`` seconds; returns how many are not."""

    def close(self) -> None:
        """Flush for a short while and let go."""


class GroupListener(Protocol):
    """Told of group life, always inside :meth:`Member.poll` on the thread that calls it."""

    def assigned(self, committed: Mapping[Partition, Progress | None]) -> Mapping[Partition, int | None]:
        """Partitions were added, with what the group had committed; returns where to start each (None: earliest)."""

    def revoked(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Partitions go (or, ``lost``, are gone): nothing may be settled for them after this returns."""

    def missed(self, partition: Partition, first: int) -> None:
        """Records below ``first`` have gone that the group may not have read: dropped by age, or the topic was made
        anew. Told after the partition was assigned; reading goes on at ``first``."""


class Member(Protocol):
    """A member of a consumer group that settles its own progress. One thread owns it."""

    transactional: bool

    def poll(self, timeout: float) -> Delivered | None:
        """The next record, or None after ``timeout`` seconds; group life happens in here."""

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Deliver nothing from these until resumed or revoked; partitions that are not owned are passed over."""

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Undo :meth:`pause`."""

    def settle(self, outgoing: Sequence[Record], progress: Mapping[Partition, Progress]) -> None:
        """Publish and commit together: all of it, or (with transactions) nothing.

        Raises:
            SettlementRefused: nothing of it counts; the group is being shared out anew, or this member is out of it.
            SettlementLost: it is not known whether it counts; what is committed must be read again.
            MessageTooLarge: one of the records.
        """

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Progress | None]:
        """What the group has committed now."""

    def leave(self) -> None:
        """Give every partition to the rest of the group until :meth:`join`; the listener is told in a later poll."""

    def join(self) -> None:
        """Undo :meth:`leave`."""

    def close(self) -> None:
        """Leave the group; partitions are revoked first."""


class Broker(Protocol):
    """A broker and how to talk to it."""

    #: What to show to people; never with secrets.
    address: str

    def publisher(self) -> Publisher:
        """A publisher of its own connection."""

    def member(self, group: str, topics: Sequence[str], listener: GroupListener) -> Member:
        """Join a group as one that settles."""

    def snapshot(
        self,
        topic: str,
        since: int | None = None,
        starts: Mapping[Partition, int] | None = None,
        *,
        undecided: bool = False,
    ) -> Iterator[Delivered]:
        """Every record up to the end as it is now (committed ones only), from ``since`` (ms) on; commits nothing.

        With ``starts``, from these offsets on instead, and nothing of partitions that are not named.
        ``undecided``: also those of transactions that are open or came to nothing, and what lies behind an open one.
        Whoever has to know that a record is *not* there asks for them.

        Raises:
            TopicMissing: nobody created the topic.
        """

    def follow(self, topic: str, since: int | None = None) -> Iterator[Delivered | None]:
        """As :meth:`snapshot`, and then whatever comes; None each time that nothing has come for a moment.

        Commits nothing and goes on through outages. Partitions that are added later are not seen.
        """

    def positions(self, topic: str, since: int) -> Mapping[Partition, int]:
        """Each partition's first offset whose record is of ``since`` (ms) or later; its end if there is none."""

    def ensure_topics(self, wanted: Sequence[TopicPlan]) -> Sequence[str]:
        """Create what is missing; returns the names of those created.

        Raises:
            BrokerDenied: the credentials may not create topics.
        """

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 if it is missing."""

    def describe(self, topics: Sequence[str]) -> Mapping[str, TopicState]:
        """Those of the topics that are there, as they are."""

    def standing(self, group: str, topic: str) -> Mapping[Partition, Standing]:
        """How far a group has come in each partition of a topic."""

    def trim(self, done: Mapping[Partition, int]) -> None:
        """Remove the records below these offsets, which nobody needs any more; a broker that cannot does nothing.

        Raises:
            BrokerDenied: the credentials may not delete records.
        """

    def settles_atomically(self, name: str) -> bool:
        """Whether announcements and progress go in together here, proved by starting transactions.

        Args:
            name: begins the transactional id, of which nobody else may be using one.

        Raises:
            BrokerDenied: the credentials may not use transactions.
        """

    def check(self) -> str:
        """Confirm that the broker answers; returns its name and version as far as known."""

    def close(self) -> None:
        """Let go of what the broker holds (the embedded one stops)."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as ``lfk init`` wants it."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is. ``config`` is empty where the broker tells none."""

    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
