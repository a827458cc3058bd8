"""The border between librdkafka's errors and ours: every vendor exception of this room is mapped here, by code."""

from __future__ import annotations

from functools import cache
from types import TracebackType

from confluent_kafka import KafkaError, KafkaException

from lfk.core.errors import (
    BrokerDenied,
    BrokerError,
    BrokerSettingsInvalid,
    BrokerUnreachable,
    InstanceTaken,
    LfkError,
    MessageTooLarge,
    SettlementLost,
    SettlementRefused,
    TopicMissing,
)

_NAMES: dict[type[LfkError], tuple[str, ...]] = {
    BrokerDenied: (
        "_AUTHENTICATION",
        "SASL_AUTHENTICATION_FAILED",
        "TOPIC_AUTHORIZATION_FAILED",
        "GROUP_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    ),
    # Said of configurations alone: nothing else that lfk passes is of a user's choice.
    BrokerSettingsInvalid: ("_INVALID_ARG",),
    TopicMissing: ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"),
    MessageTooLarge: ("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"),
    InstanceTaken: ("FENCED_INSTANCE_ID", "UNRELEASED_INSTANCE_ID"),
    SettlementRefused: (
        "ILLEGAL_GENERATION",
        "UNKNOWN_MEMBER_ID",
        "REBALANCE_IN_PROGRESS",
        "STALE_MEMBER_EPOCH",
        "FENCED_MEMBER_EPOCH",
        "_ASSIGNMENT_LOST",
    ),
    SettlementLost: (
        "PRODUCER_FENCED",
        "INVALID_PRODUCER_EPOCH",
        "INVALID_TXN_STATE",
        "INVALID_PRODUCER_ID_MAPPING",
        "OUT_OF_ORDER_SEQUENCE_NUMBER",
        "UNKNOWN_PRODUCER_ID",
        "_FENCED",
        "_STATE",
        "_MAX_POLL_EXCEEDED",
    ),
    BrokerUnreachable: (
        "_ALL_BROKERS_DOWN",
        "_TRANSPORT",
        "_RESOLVE",
        "_SSL",
        "_TIMED_OUT",
        "_TIMED_OUT_QUEUE",
        "_MSG_TIMED_OUT",
        "_WAIT_COORD",
        "_PURGE_QUEUE",
        "_PURGE_INFLIGHT",
        "_DESTROY",
        "REQUEST_TIMED_OUT",
        "NETWORK_EXCEPTION",
        "LEADER_NOT_AVAILABLE",
        "NOT_LEADER_FOR_PARTITION",
        "BROKER_NOT_AVAILABLE",
        "NOT_ENOUGH_REPLICAS",
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
        "CONCURRENT_TRANSACTIONS",
    ),
}


@cache
def _classes() -> dict[int, type[LfkError]]:
    # Older librdkafka builds lack the newest codes, so absent names are passed over.
    return {
        getattr(KafkaError, name): cls for cls, names in _NAMES.items() for name in names if hasattr(KafkaError, name)
    }


def mapped(error: KafkaError, doing: str) -> LfkError:
    """Our error for librdkafka's, most specific first."""
    cls = _classes().get(error.code())
    if cls is None:
        cls = BrokerUnreachable if error.retriable() else BrokerError
    return cls(f"{doing}: {error.str()} ({error.name()})")


def kafka_border(doing: str) -> _Border:
    """Maps every ``KafkaException`` raised inside; the cause is kept."""
    return _Border(doing)


class _Border:
    """A class and no generator: bulk senders cross it for every reference, and a generator costs thrice as much."""

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return

    def __exit__(
        self, _kind: type[BaseException] | None, exception: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not isinstance(exception, KafkaException):
            return
        error = exception.args[0]
        if isinstance(error, KafkaError):
            raise mapped(error, self._doing) from exception
        raise BrokerError(f"{self._doing}: {error}") from exception
