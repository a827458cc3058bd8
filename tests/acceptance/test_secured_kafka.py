"""lfk on a Kafka that lets nobody in without TLS and credentials; what each thing that is wrong there is told as."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.command import Done, Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings
from tests.conftest import own_service
from tests.services import certificates, kafka
from tests.services.kafka import Security

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

FILES = 3
PASSWORD = "correct-horse-91"
WRONG = "battery-staple-17"
#: Before an outage is told, ten seconds pass; what can never work must be told well before.
AT_ONCE = 9.0


@dataclass(frozen=True)
class Cluster:
    """A broker with the listeners of ``Security``, and what a client needs for each."""

    server: kafka.KafkaServer
    certificates: certificates.Certificates

    def confluent(self, **changes: str) -> dict[str, str]:
        """As on Confluent Cloud, except that the authority is not one of the system's."""
        return {
            "BOOTSTRAP_SERVERS": self.server.secured["SASL"],
            "API_KEY": "key",
            "API_SECRET": PASSWORD,
            "LFK_KAFKA_SSL_CA_LOCATION": str(self.certificates.authority),
            **changes,
        }

    def scram(self, **changes: str) -> dict[str, str]:
        return {
            "BOOTSTRAP_SERVERS": self.server.secured["SASL"],
            "LFK_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "LFK_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "LFK_KAFKA_SASL_USERNAME": "scram-key",
            "LFK_KAFKA_SASL_PASSWORD": PASSWORD,
            "LFK_KAFKA_SSL_CA_LOCATION": str(self.certificates.authority),
            **changes,
        }

    def mtls(self, listener: str = "MTLS", **changes: str) -> dict[str, str]:
        return {
            "BOOTSTRAP_SERVERS": self.server.secured[listener],
            "LFK_KAFKA_SECURITY_PROTOCOL": "SSL",
            "LFK_KAFKA_SSL_CA_LOCATION": str(self.certificates.authority),
            "LFK_KAFKA_SSL_CERTIFICATE_LOCATION": str(self.certificates.client.certificate),
            "LFK_KAFKA_SSL_KEY_LOCATION": str(self.certificates.client.key),
            **changes,
        }


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = certificates.make(tmp_path_factory.mktemp("certificates"))
    security = Security(made, user="key", scram_user="scram-key", password=PASSWORD)
    with own_service(request, kafka, tmp_path_factory.mktemp("kafka"), security=security) as running:
        yield Cluster(running.address, made)


def lfk_on(folder: Path, environ: Mapping[str, str], prefix: str) -> Lfk:
    topics = {
        f"LFK_TOPIC_{name.upper()}": f"{prefix}.{name}"
        for name in ("audio", "bulk", "chunks", "transcripts", "retry", "dlq")
    }
    own = {"LFK_GROUP": f"{prefix}.hub", "LFK_PARTITIONS": "2", "LFK_ENGINE": "canned"}
    return Lfk(folder, **{"LFK_STORE": str(folder / "store"), **own, **topics, **environ})


def pipeline(lfk: Lfk) -> None:
    """Folder, references, hub, announcements, files."""
    make_recordings(lfk.folder / "recordings", FILES)
    expect_ok(lfk("init"))
    expect_ok(lfk("sync", "recordings"))
    hub = expect_ok(lfk("hub", "--workers", "2", "--max-jobs", str(FILES), "--exit-when-idle", "20"))
    assert hub.out.count("\ndone  ") == FILES
    read = expect_ok(lfk("transcripts", "--out", "texts", "--format", "txt"))
    assert len(list((lfk.folder / "texts").rglob("*.txt"))) == FILES
    assert PASSWORD not in hub.out + hub.err + read.out + read.err


def test_a_whole_pipeline_runs_with_the_names_of_confluent_cloud(
    cluster: Cluster, tmp_path: Path, topic_prefix: str
) -> None:
    lfk = lfk_on(tmp_path, cluster.confluent(), topic_prefix)
    pipeline(lfk)

    doctor = lfk("doctor")
    assert f"{cluster.server.secured['SASL']} answers: 1 broker(s)" in doctor.out
    assert "over SASL_SSL" in doctor.out
    assert "transactions  granted" in doctor.out
    assert PASSWORD not in doctor.out + doctor.err


def test_scram_with_the_password_in_a_file(cluster: Cluster, tmp_path: Path, topic_prefix: str) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    environ = cluster.scram(LFK_KAFKA_SASL_PASSWORD="", LFK_KAFKA_SASL_PASSWORD_FILE="password")
    lfk = lfk_on(tmp_path, environ, topic_prefix)
    pipeline(lfk)

    doctor = lfk("doctor")
    assert "LFK_KAFKA_SASL_PASSWORD=****" in doctor.out
    assert PASSWORD not in doctor.out + doctor.err


def test_client_certificates(cluster: Cluster, tmp_path: Path, topic_prefix: str) -> None:
    lfk = lfk_on(tmp_path, cluster.mtls(), topic_prefix)
    pipeline(lfk)
    assert "over SSL" in lfk("doctor").out


FAULTS = {
    "a wrong secret": (lambda c: c.confluent(API_SECRET=WRONG), "Invalid username or password", "API_SECRET"),
    "a wrong SCRAM password": (lambda c: c.scram(LFK_KAFKA_SASL_PASSWORD=WRONG), "invalid credentials", "API_SECRET"),
    "a mechanism that the broker lacks": (
        lambda c: c.scram(LFK_KAFKA_SASL_MECHANISM="SCRAM-SHA-256"),
        "PLAIN,SCRAM-SHA-512",
        "LFK_KAFKA_SASL_",
    ),
    "another authority": (
        lambda c: c.confluent(LFK_KAFKA_SSL_CA_LOCATION=str(c.certificates.stranger_authority)),
        "of an authority that this machine does not know",
        "LFK_KAFKA_SSL_CA_LOCATION",
    ),
    "an expired certificate": (lambda c: c.mtls("EXPIRED"), "has expired", "renewed"),
    "another host's certificate": (lambda c: c.mtls("ELSEWHERE"), "is for another host", "BOOTSTRAP_SERVERS"),
    "no client certificate": (
        lambda c: c.mtls(LFK_KAFKA_SSL_CERTIFICATE_LOCATION="", LFK_KAFKA_SSL_KEY_LOCATION=""),
        "does not accept this client's certificate",
        "LFK_KAFKA_SSL_CERTIFICATE_LOCATION",
    ),
    "a stranger's client certificate": (
        lambda c: c.mtls(
            LFK_KAFKA_SSL_CERTIFICATE_LOCATION=str(c.certificates.stranger_client.certificate),
            LFK_KAFKA_SSL_KEY_LOCATION=str(c.certificates.stranger_client.key),
        ),
        "does not accept this client's certificate",
        "LFK_KAFKA_SSL_CERTIFICATE_LOCATION",
    ),
    "a key of another certificate": (
        lambda c: c.mtls(LFK_KAFKA_SSL_KEY_LOCATION=str(c.certificates.stranger_client.key)),
        "ssl.key.location failed",
        "LFK_KAFKA_",
    ),
    "no security at all": (
        lambda c: {"BOOTSTRAP_SERVERS": c.server.secured["SASL"]},
        "speaks TLS, and this client was not told to",
        "API_KEY",
    ),
    "security that the broker lacks": (
        lambda c: c.confluent(BOOTSTRAP_SERVERS=c.server.bootstrap),
        "ends the connection when it is asked for TLS",
        "PLAINTEXT",
    ),
    "a setting that there is not": (lambda c: c.confluent(LFK_KAFKA_SASL_PASWORD="x"), "sasl.pasword", "LFK_KAFKA_"),
}


#: All commands meet a cluster in the same place, so these three kinds of fault tell whether they do.
TRIED_WITH_ALL = ("a wrong secret", "another authority", "no security at all")
MORE_COMMANDS = (("hub", "--exit-when-idle", "1"), ("sync", "recordings"))


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_told_at_once_and_with_what_to_do(
    cluster: Cluster, tmp_path: Path, topic_prefix: str, fault: str
) -> None:
    environ, said, advice = FAULTS[fault]
    lfk = lfk_on(tmp_path, environ(cluster), topic_prefix)
    (tmp_path / "recordings").mkdir()
    for command in (("init",), *(MORE_COMMANDS if fault in TRIED_WITH_ALL else ())):
        began = time.monotonic()
        done = lfk(*command)
        assert time.monotonic() - began < AT_ONCE, command
        assert done.code == 2, (command, done.err)
        assert_one_clear_error(done, said, advice)


def assert_one_clear_error(done: Done, said: str, advice: str) -> None:
    lines = [line for line in done.err.splitlines() if line.strip()]
    assert len(lines) == 1, done.err
    assert said in lines[0]
    assert advice in lines[0]
    assert PASSWORD not in done.out + done.err
    assert WRONG not in done.out + done.err


def test_the_doctor_goes_on_where_the_broker_lets_nobody_in(
    cluster: Cluster, tmp_path: Path, topic_prefix: str
) -> None:
    lfk = lfk_on(tmp_path, cluster.confluent(API_SECRET=WRONG), topic_prefix)
    expect_ok(lfk_on(tmp_path, {}, topic_prefix)("init"))
    done = lfk("doctor")
    assert done.code == 2
    assert "fail  broker" in done.out
    assert "Invalid username or password" in done.out
    assert "ok    store" in done.out
    assert WRONG not in done.out + done.err
