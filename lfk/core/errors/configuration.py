"""The command line, the settings or the installation."""

from __future__ import annotations

from lfk.core.errors.base import ExitCode, Kind, LfkError


class UsageError(LfkError):
    """The command line or the configuration cannot be used as it is."""

    code = "usage"
    kind = Kind.FATAL
    exit_code = ExitCode.USAGE
    hint = "see `lfk COMMAND --help`, or run `lfk doctor`"


class BrokerSettingsInvalid(UsageError):
    """What is set for Kafka contradicts itself, is unknown to librdkafka, or does not fit the broker."""

    code = "broker_settings"
    hint = "check API_KEY, API_SECRET and the LFK_KAFKA_* settings; docs/kafka.md shows them for each kind of cluster"


class UnsupportedFeature(UsageError):
    """A part of lfk that is not installed here."""

    code = "extra_missing"
    hint = "install the extra that the message names"


class NotificationsUnsupported(UsageError):
    """What is asked for new objects there does not tell of them."""

    code = "notifications_unsupported"
    hint = "use `lfk listen --source sqs` or `--source webhook`; docs/listen.md shows how they are set up"
