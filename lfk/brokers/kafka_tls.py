"""Why a TLS connection to a broker does not come about: librdkafka says "certificate verify failed" to all of it.

A handshake of our own with the same files tells an unknown authority, an expired certificate, another host's name, a
client certificate that the broker refuses, and a listener of the other kind apart.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfk.core.errors import BrokerDenied, BrokerSettingsInvalid, BrokerUntrusted, LfkError

#: A broker at all in reach shakes hands within this; otherwise it is an outage and no matter of TLS.
_HANDSHAKE_SECONDS = 3.0
#: What a broker says to a client's certificate comes after the handshake, at once.
_ALERT_SECONDS = 0.5
_DEFAULT_PORT = 9092

#: OpenSSL's codes (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64
#: OpenSSL's names of alerts that are about the certificate of the client.
_CLIENT_REFUSED = frozenset(
    {
        "SSL/TLS_ALERT_BAD_CERTIFICATE",
        "SSL/TLS_ALERT_CERTIFICATE_EXPIRED",
        "SSL/TLS_ALERT_CERTIFICATE_UNKNOWN",
        "SSL/TLS_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
    }
)


def tls_fault(config: Mapping[str, Any], doing: str) -> LfkError | None:
    """What about TLS keeps a client of this configuration from its first broker; None where nothing does.

    ``config`` is librdkafka's own.
    """
    address = str(config.get("bootstrap.servers", "")).partition(",")[0].strip()
    # As librdkafka has them, entries may begin with a protocol.
    host, port = _host_and_port(address.rpartition("://")[2])
    if not host:
        return None
    try:
        encrypted = str(config.get("security.protocol", "plaintext")).lower() in ("ssl", "sasl_ssl")
        if not encrypted:
            return _speaks_tls(host, port, doing)
        return _handshake(config, host, port, doing)
    except OSError:
        # Nobody there, or a file that librdkafka has read all the same: not for TLS to explain.
        return None


def _handshake(config: Mapping[str, Any], host: str, port: int, doing: str) -> LfkError | None:
    try:
        with _connected(host, port) as raw:
            try:
                connection = _context(config).wrap_socket(raw, server_hostname=host)
            except (ssl.SSLEOFError, ConnectionResetError):
                return BrokerSettingsInvalid(
                    f"{doing}: {host}:{port} ends the connection when it is asked for TLS",
                    hint="its listener may have none: then set LFK_KAFKA_SECURITY_PROTOCOL to PLAINTEXT or "
                    "SASL_PLAINTEXT",
                )
            with connection, contextlib.suppress(TimeoutError):
                connection.settimeout(_ALERT_SECONDS)
                connection.recv(1)
    except ssl.SSLCertVerificationError as error:
        return _untrusted(error.verify_code, f"{host}:{port}", doing)
    except ssl.SSLError as error:
        # Certificates that are given as text are librdkafka's alone; without them no broker lets this handshake pass.
        if error.reason in _CLIENT_REFUSED and "ssl.certificate.pem" not in config:
            return BrokerDenied(
                f"{doing}: {host}:{port} does not accept this client's certificate",
                hint="check LFK_KAFKA_SSL_CERTIFICATE_LOCATION and LFK_KAFKA_SSL_KEY_LOCATION: the certificate must be "
                "there, in date, and of an authority that the broker trusts",
            )
    return None


def _speaks_tls(host: str, port: int, doing: str) -> LfkError | None:
    """Whether a broker that is spoken to without TLS wants it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is sent and nothing believed: this only asks which language is spoken.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _connected(host, port) as raw, context.wrap_socket(raw):
            pass
    except ssl.SSLError:
        return None
    return BrokerSettingsInvalid(
        f"{doing}: {host}:{port} speaks TLS, and this client was not told to",
        hint="set API_KEY and API_SECRET (Confluent Cloud), or LFK_KAFKA_SECURITY_PROTOCOL to SASL_SSL or SSL, with "
        "what belongs to it; see docs/kafka.md",
    )


def _connected(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), timeout=_HANDSHAKE_SECONDS)


def _context(config: Mapping[str, Any]) -> ssl.SSLContext:
    place = config.get("ssl.ca.location")
    folder = str(place) if place and Path(place).is_dir() else None
    file = str(place) if place and not folder else None
    context = ssl.create_default_context(cafile=file, capath=folder, cadata=config.get("ssl.ca.pem"))
    context.check_hostname = str(config.get("ssl.endpoint.identification.algorithm", "https")).lower() == "https"
    if str(config.get("enable.ssl.certificate.verification", "true")).lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate := config.get("ssl.certificate.location"):
        context.load_cert_chain(certificate, config.get("ssl.key.location"), config.get("ssl.key.password"))
    return context


def _untrusted(code: int, broker: str, doing: str) -> BrokerUntrusted:
    if code == _EXPIRED:
        return BrokerUntrusted(
            f"{doing}: the certificate of {broker} has expired",
            hint="have the broker's certificate renewed; if it is valid, set this machine's clock",
        )
    if code == _NOT_YET_VALID:
        return BrokerUntrusted(
            f"{doing}: the certificate of {broker} is not valid yet", hint="set this machine's clock, or the broker's"
        )
    if code in (_OTHER_HOST, _OTHER_ADDRESS):
        return BrokerUntrusted(
            f"{doing}: the certificate of {broker} is for another host",
            hint="name the broker in BOOTSTRAP_SERVERS as its certificate does, or have that name added to it",
        )
    return BrokerUntrusted(f"{doing}: the certificate of {broker} is of an authority that this machine does not know")


def _host_and_port(address: str) -> tuple[str, int]:
    """``host``, ``host:port`` or ``[v6]:port``."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(_DEFAULT_PORT)
    return host.strip("[]"), int(port) if port.isdigit() and len(port) < 6 else _DEFAULT_PORT
