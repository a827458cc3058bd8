"""librdkafka's own settings: from the names that users know, and from what LFK_KAFKA_* passes straight through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lfk.core.errors import BrokerSettingsInvalid
from lfk.settings import Settings

#: librdkafka's other names for one setting: what is passed through must take the place of ours, not stand beside it.
_ALIASES: Mapping[str, str] = {"sasl.mechanism": "sasl.mechanisms", "metadata.broker.list": "bootstrap.servers"}
#: Settings with an underscore of their own, which the environment cannot tell from a dot.
_UNDERSCORED: Mapping[str, str] = {"log.level": "log_level"}
#: What concerns security; the embedded broker, on this machine and in memory, has none.
_SECURITY = re.compile(r"security\.|sasl\.|ssl\.|enable\.ssl\.|enable\.sasl\.|https\.")


def kafka_config(settings: Settings) -> dict[str, Any]:
    """What to give to librdkafka. API_KEY means SASL_SSL with PLAIN, as Confluent Cloud has it, unless told otherwise.

    Raises:
        BrokerSettingsInvalid: what is set contradicts itself, or would be passed over in silence.
    """
    passed = _passed_through(settings)
    if bool(settings.api_key) != bool(settings.api_secret):
        missing = "API_KEY" if settings.api_secret else "API_SECRET"
        raise BrokerSettingsInvalid(f"{missing} is not set", hint="API_KEY and API_SECRET belong together: set both")
    config: dict[str, Any] = {"bootstrap.servers": settings.bootstrap}
    if settings.api_key:
        config |= {
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": settings.api_key,
            "sasl.password": settings.api_secret,
        }
    config |= passed
    _require_effect(config)
    return config


def embedded_extras(settings: Settings) -> dict[str, str]:
    """What of the pass-through an embedded broker's clients take."""
    return {name: value for name, value in _passed_through(settings).items() if not _SECURITY.match(name)}


def _passed_through(settings: Settings) -> dict[str, str]:
    names = ((_UNDERSCORED.get(name, name), value) for name, value in settings.kafka.items())
    return {_ALIASES.get(name, name): value for name, value in names}


def _require_effect(config: Mapping[str, Any]) -> None:
    """librdkafka takes credentials for a connection without security, and never mentions that it does not use them."""
    protocol = str(config.get("security.protocol", "plaintext")).lower()
    for family, protocols in (("sasl", ("sasl_plaintext", "sasl_ssl")), ("ssl", ("ssl", "sasl_ssl"))):
        idle = [name for name in config if name.startswith(f"{family}.")]
        if idle and protocol not in protocols:
            raise BrokerSettingsInvalid(
                f"LFK_KAFKA_{idle[0].replace('.', '_').upper()} has no effect while the security protocol is "
                f"{protocol.upper()}",
                hint=f"set LFK_KAFKA_SECURITY_PROTOCOL to {' or '.join(protocols).upper()}, or unset it",
            )
