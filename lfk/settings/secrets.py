"""Which values nobody may see."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lfk.settings.values import Settings, specs

#: Of librdkafka's settings those that hold secrets (`sasl.password`, `ssl.key.pem`, `sasl.oauthbearer.config`, …).
_KAFKA_SECRETS = re.compile(r"password|secret|pem$|token|jaas|oauthbearer\.config")

#: In an address.
_PASSWORD = re.compile(r"://[^/?#@\s]*?:([^/?#@\s]+)@")


def is_kafka_secret(name: str) -> bool:
    """Whether a setting of librdkafka, by its own name, holds a secret."""
    return _KAFKA_SECRETS.search(name) is not None


def secrets(settings: Settings) -> tuple[str, ...]:
    """The values in force that nobody may see."""
    values = [getattr(settings, name) for name, spec in specs().items() if spec.secret]
    own = [text for value in values for text in (value.values() if isinstance(value, Mapping) else (value,))]
    # Who speaks to a collector or a registry may have its password in the address.
    plain = [value for name in specs() if isinstance(value := getattr(settings, name), str)]
    inside = [password for value in plain for password in _PASSWORD.findall(value)]
    kafka = [value for name, value in settings.kafka.items() if is_kafka_secret(name)]
    return tuple(value for value in (*own, *inside, *kafka) if value)
