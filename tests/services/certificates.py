"""Certificates for test servers and their clients: an authority of this run's own, and what it signed well and badly.

Nothing outlives the run, so keys are the quickest to make and nothing is protected by a password.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)
#: What servers of this run are called by their clients.
_HERE: Sequence[x509.GeneralName] = (x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost"))
_ELSEWHERE: Sequence[x509.GeneralName] = (x509.DNSName("kafka.example.org"),)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in files of their own and in one (key first, as Kafka's PEM key stores want it)."""

    certificate: Path
    key: Path
    both: Path


@dataclass(frozen=True)
class Certificates:
    """Files in PEM."""

    #: The authority's own certificate, and one of an authority that nobody trusts.
    authority: Path
    stranger_authority: Path
    server: Pair
    #: Out of date since yesterday; for a host of another name.
    expired_server: Pair
    elsewhere_server: Pair
    client: Pair
    #: Signed by the authority that nobody trusts.
    stranger_client: Pair


class _Authority:
    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        now = datetime.now(timezone.utc)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + 30 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def sign(
        self, folder: Path, name: str, called: Sequence[x509.GeneralName] = _HERE, *, until: timedelta = 30 * _DAY
    ) -> Pair:
        """A new pair below ``folder``, valid from the day before yesterday ``until`` then from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + until)
            .add_extension(x509.SubjectAlternativeName(called), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        text = certificate.public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pair = Pair(folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}-store.pem")
        pair.certificate.write_bytes(text)
        pair.key.write_bytes(secret)
        pair.both.write_bytes(secret + text)
        return pair


def make(folder: Path) -> Certificates:
    """All of them, below an existing folder."""
    authority, stranger = _Authority("lfk tests"), _Authority("strangers")
    return Certificates(
        authority=_written(folder / "authority.pem", authority),
        stranger_authority=_written(folder / "stranger-authority.pem", stranger),
        server=authority.sign(folder, "server"),
        expired_server=authority.sign(folder, "expired-server", until=-_DAY),
        elsewhere_server=authority.sign(folder, "elsewhere-server", _ELSEWHERE),
        client=authority.sign(folder, "client"),
        stranger_client=stranger.sign(folder, "stranger-client"),
    )


def _written(path: Path, authority: _Authority) -> Path:
    path.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
