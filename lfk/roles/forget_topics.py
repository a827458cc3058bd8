"""How long topics still name an audio that the store has forgotten: said, as single records cannot be taken out.

Kafka removes records by age, or all below an offset. What hubs have answered goes the second way
(:mod:`lfk.roles.hub.trimmer`); for the rest each topic's own retention decides, and where it has none, nothing does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lfk.brokers.base import Broker, Delivered
from lfk.core.errors import TopicMissing

#: Kafka's own defaults, where the broker tells none.
_RETENTION_MS = 7 * 24 * 3600 * 1000
_SEGMENT_MS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Remaining:
    """What one topic still has."""

    topic: str
    #: Records whose key is the audio's location.
    records: int
    #: The topic's ``retention.ms``; None means that age removes nothing.
    retention_ms: int | None
    #: When age will have removed the last of them, milliseconds since the epoch; None where it removes nothing.
    until: int | None
    #: What hubs have answered is removed, whatever its age.
    trimmed: bool


def remaining(
    broker: Broker, topics: Sequence[str], trimmed: Sequence[str], means: Callable[[str], bool]
) -> Iterator[Remaining]:
    """What each topic that is there still has; reads it whole, and commits nothing.

    Args:
        trimmed: topics from which what hubs have answered is removed.
        means: whether the text of a record's key is that of audio that is forgotten.

    Raises:
        BrokerUnreachable, BrokerDenied: the broker.
    """
    states = broker.describe(list(topics))
    for topic in topics:
        if topic not in states:
            continue
        config = states[topic].config
        retention = _number(config, "retention.ms", _RETENTION_MS)
        count, last = _count(broker, topic, means)
        until = None
        if retention >= 0 and count:
            # A record goes with its segment, which first has to be closed and then to age.
            until = last + retention + _number(config, "segment.ms", _SEGMENT_MS)
        yield Remaining(topic, count, retention if retention >= 0 else None, until, topic in trimmed)


def _count(broker: Broker, topic: str, means: Callable[[str], bool]) -> tuple[int, int]:
    count = last = 0
    try:
        for record in broker.snapshot(topic):
            if means(_key(record)):
                count, last = count + 1, max(last, record.timestamp)
    except TopicMissing:
        return 0, 0
    return count, last


def _key(record: Delivered) -> str:
    return (record.key or b"").decode("utf-8", "replace")


def _number(config: Mapping[str, str], name: str, default: int) -> int:
    text = config.get(name, "")
    return int(text) if text.lstrip("-").isdigit() else default
