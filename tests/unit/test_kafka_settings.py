"""From the names that users know to librdkafka's; what contradicts itself is refused before anything is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfk.core.errors import BrokerSettingsInvalid, UsageError
from lfk.environment import load
from lfk.settings import Settings
from lfk.wiring.doctor import shown_settings
from lfk.wiring.kafka import embedded_extras, kafka_config

CLOUD = {"BOOTSTRAP_SERVERS": "pkc-1:9092", "API_KEY": "key", "API_SECRET": "secret"}
SASL_PLAIN = {
    "bootstrap.servers": "pkc-1:9092",
    "security.protocol": "SASL_SSL",
    "sasl.mechanisms": "PLAIN",
    "sasl.username": "key",
    "sasl.password": "secret",
}


def settings(**environ: str) -> Settings:
    return load(environ=environ, env_file=None)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"BOOTSTRAP_SERVERS": "a:1,b:2"}, {"bootstrap.servers": "a:1,b:2"}),
        (CLOUD, SASL_PLAIN),
        ({**CLOUD, "LFK_KAFKA_SESSION_TIMEOUT_MS": "6000"}, {**SASL_PLAIN, "session.timeout.ms": "6000"}),
        (
            # Either of its two names takes the place of PLAIN.
            {**CLOUD, "LFK_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"},
            {**SASL_PLAIN, "sasl.mechanisms": "SCRAM-SHA-512"},
        ),
        (
            {**CLOUD, "LFK_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
            {**SASL_PLAIN, "security.protocol": "SASL_PLAINTEXT"},
        ),
        (
            {
                "BOOTSTRAP_SERVERS": "a:1",
                "LFK_KAFKA_SECURITY_PROTOCOL": "ssl",
                "LFK_KAFKA_SSL_CERTIFICATE_LOCATION": "c.pem",
                "LFK_KAFKA_SSL_KEY_LOCATION": "c.key",
            },
            {
                "bootstrap.servers": "a:1",
                "security.protocol": "ssl",
                "ssl.certificate.location": "c.pem",
                "ssl.key.location": "c.key",
            },
        ),
        (
            {"BOOTSTRAP_SERVERS": "a:1", "LFK_KAFKA_LOG_LEVEL": "7"},
            {"bootstrap.servers": "a:1", "log_level": "7"},
        ),
    ],
    ids=["plaintext", "confluent", "passed through", "scram", "without tls", "mtls", "underscore"],
)
def test_what_librdkafka_is_given(environ: dict[str, str], expected: dict[str, str]) -> None:
    assert kafka_config(settings(**environ)) == expected


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"API_KEY": "key"}, "API_SECRET is not set"),
        ({"API_SECRET": "secret"}, "API_KEY is not set"),
        ({"LFK_KAFKA_SASL_USERNAME": "u"}, "LFK_KAFKA_SASL_USERNAME has no effect while .* PLAINTEXT"),
        ({"LFK_KAFKA_SSL_CA_LOCATION": "ca.pem"}, "LFK_KAFKA_SSL_CA_LOCATION has no effect"),
        ({**CLOUD, "LFK_KAFKA_SECURITY_PROTOCOL": "SSL"}, "no effect while the security protocol is SSL"),
    ],
)
def test_what_would_be_passed_over_in_silence_is_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(BrokerSettingsInvalid, match=said) as refused:
        kafka_config(
            settings(BOOTSTRAP_SERVERS="a:1", **{k: v for k, v in environ.items() if k != "BOOTSTRAP_SERVERS"})
        )
    assert "secret" not in str(refused.value).replace("API_SECRET", "")


def test_secrets_of_librdkafka_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("word\n", encoding="utf-8")
    found = settings(LFK_KAFKA_SASL_PASSWORD_FILE=str(tmp_path / "secret"), LFK_KAFKA_GROUP_FILE="x")
    # What is no secret is passed on as it is written.
    assert found.kafka == {"sasl.password": "word", "group.file": "x"}
    assert settings(LFK_KAFKA_SASL_PASSWORD="given", LFK_KAFKA_SASL_PASSWORD_FILE=str(tmp_path / "secret")).kafka == {
        "sasl.password": "given"
    }
    with pytest.raises(UsageError, match="LFK_KAFKA_SASL_PASSWORD_FILE"):
        settings(LFK_KAFKA_SASL_PASSWORD_FILE=str(tmp_path / "nowhere"))
    shown = {one.name: one.value for one in shown_settings(found)}
    assert shown["LFK_KAFKA_SASL_PASSWORD"] == "****"


def test_the_embedded_broker_is_spoken_to_without_security() -> None:
    found = settings(
        LFK_KAFKA_SECURITY_PROTOCOL="SASL_SSL", LFK_KAFKA_SASL_PASSWORD="p", LFK_KAFKA_SSL_CA_LOCATION="ca",
        LFK_KAFKA_SESSION_TIMEOUT_MS="6000",
    )  # fmt: skip
    assert embedded_extras(found) == {"session.timeout.ms": "6000"}
