"""A service that does not answer."""

from __future__ import annotations

from lfk.core.errors.base import ExitCode, Kind, LfkError, Suspect


class Unreachable(LfkError):
    """A service does not answer: an outage, which costs no attempt."""

    code = "unreachable"
    kind = Kind.TRANSIENT
    exit_code = ExitCode.UNREACHABLE
    suspect = Suspect.STORE
    hint = "check the address and the network, then run `lfk doctor`"


class BrokerUnreachable(Unreachable):
    """No Kafka broker answers."""

    code = "broker_unreachable"
    hint = (
        "check BOOTSTRAP_SERVERS, that the broker runs, and that this machine reaches the address it advertises; "
        "`lfk doctor` tests it"
    )


class StoreUnreachable(Unreachable):
    """The store does not answer, or answers 5xx."""

    code = "store_unreachable"
    hint = "check LFK_STORE, AWS_ENDPOINT_URL_S3 and the network; `lfk doctor` tests it"


class QueueUnreachable(Unreachable):
    """The queue of notifications does not answer, or answers 5xx."""

    code = "queue_unreachable"
    hint = "check LFK_LISTEN_QUEUE, AWS_REGION, AWS_ENDPOINT_URL_SQS and the network"


class RegistryUnreachable(Unreachable):
    """The Schema Registry does not answer, or answers 5xx."""

    code = "registry_unreachable"
    suspect = Suspect.REGISTRY
    hint = "check SCHEMA_REGISTRY_URL and the network; `lfk doctor` tests it"
