"""What a broker or the Schema Registry answers."""

from __future__ import annotations

from lfk.core.errors.base import ExitCode, Kind, LfkError, Suspect


class BrokerError(LfkError):
    """The broker answered, with a refusal."""

    code = "broker_error"


class BrokerFull(BrokerError):
    """The embedded broker keeps a few megabytes a partition, and drops nothing unread."""

    code = "broker_full"
    kind = Kind.TRANSIENT
    hint = "let `lfk up` work through what is queued, or use a real Kafka (BOOTSTRAP_SERVERS)"


class TopicMissing(BrokerError):
    """A topic that nobody created."""

    code = "topic_missing"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "create the topics with `lfk init`"


class BrokerDenied(BrokerError):
    """Wrong credentials or no right to use a topic or group."""

    code = "broker_denied"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "check API_KEY and API_SECRET (or LFK_KAFKA_SASL_*) and the rights (docs/access.md); `lfk doctor` tests them"


class BrokerUntrusted(BrokerError):
    """The broker's certificate proves nothing to this machine: another authority, another name, or out of its time."""

    code = "broker_untrusted"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "name the file with the authority's certificate in LFK_KAFKA_SSL_CA_LOCATION"


class InstanceTaken(BrokerError):
    """Another member of the group has taken this hub's static name."""

    code = "instance_taken"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "give every hub of a group its own LFK_INSTANCE, or none"


class SettlementLost(BrokerError):
    """A commit failed in a way that leaves open whether it counts; what stands must be asked for."""

    code = "settlement_lost"
    kind = Kind.TRANSIENT
    hint = "nothing has to be done: the hub asks the broker what stands, then goes on"


class SettlementRefused(SettlementLost):
    """A commit was refused, so nothing of it counts: the group is sharing its partitions out anew."""

    code = "settlement_refused"
    hint = "nothing has to be done: it is tried again, or another hub does the work"


class RegistryError(LfkError):
    """The Schema Registry answered, with a refusal."""

    code = "registry_error"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    suspect = Suspect.REGISTRY
    hint = "check SCHEMA_REGISTRY_URL; `lfk doctor` tests it"


class RegistryDenied(RegistryError):
    """The credentials do not allow it, or the registry's certificate is not trusted."""

    code = "registry_denied"
    hint = "check SCHEMA_REGISTRY_KEY, SCHEMA_REGISTRY_SECRET and what they may do; `lfk doctor` tests them"


class SchemaMissing(RegistryError):
    """lfk's schema is not registered under the subject of a topic."""

    code = "schema_missing"
    hint = "register the schemas with `lfk init`, under the same SCHEMA_TYPE"


class SchemaRefused(RegistryError):
    """The registry finds the schema incompatible with what its subject holds."""

    code = "schema_refused"
    hint = (
        "another schema is registered under that subject: use a topic of another name, or have whoever owns the "
        "subject delete it or set its compatibility to NONE"
    )
