"""Apache Kafka: one KRaft node, broker and controller in one process, in memory-thrifty settings.

Clients may be sent through another address (a toxiproxy) by ``advertised``; the broker's talk with itself, which
transactions need, goes past it. With ``security`` it has further listeners, as clusters of organisations have them.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.services import containers
from tests.services.certificates import Certificates
from tests.services.process import Running, ServerFailedError, ServerProcess, free_ports, started
from tests.services.programs import MavenProgram, MissingError

VERSION = "4.1.0"
# Kafka logs through slf4j and ships no back end for it; without one its log would stay empty.
_ARTIFACTS = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3")
PROGRAM = MavenProgram("kafka", _ARTIFACTS, VERSION)
IMAGE = f"apache/kafka:{VERSION}"

_HOST = "127.0.0.1"
#: Formatting a data folder takes two seconds on an idle core.
_FORMAT_WITHIN = 60.0
#: A broker that is up answers within milliseconds; one that is not yet up is asked again.
_ANSWER_WITHIN = 1.0

#: What differs from a production broker: one copy of everything, few internal partitions (start-up creates them all),
#: no waiting for more group members, and time limits short enough for tests.
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INTERNAL",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # A killed broker may only come back once its old registration has run out (9 s by default).
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.segment.bytes": str(16 << 20),
    "log.cleaner.dedupe.buffer.size": str(4 << 20),
    "num.io.threads": "4",
    "num.network.threads": "2",
}
#: Only the first compiler and the simplest collector: up a third sooner, and fast enough for a test's few thousand
#: records.
_JAVA = ("-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")

_LOGGING = """\
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


@dataclass(frozen=True)
class KafkaServer:
    """A broker in PLAINTEXT. Behind a proxy, ``bootstrap`` is what the proxy passes on to."""

    bootstrap: str
    #: Addresses of further listeners by name, see :class:`Security`.
    secured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Security:
    """Who is let in through which listener.

    ``SASL``: TLS with user and password (PLAIN) or with ``scram_user`` and password (SCRAM-SHA-512); ``MTLS``: TLS with
    a client certificate; ``EXPIRED`` and ``ELSEWHERE``: TLS with a certificate that is out of date, or another host's.
    """

    certificates: Certificates
    user: str
    scram_user: str
    password: str

    def settings(self, ports: Mapping[str, int]) -> dict[str, str]:
        """The broker's settings for these listeners, but for those that name all listeners."""
        sasl, module = "listener.name.sasl", "org.apache.kafka.common.security"
        stores = {
            "SASL": self.certificates.server,
            "MTLS": self.certificates.server,
            "EXPIRED": self.certificates.expired_server,
            "ELSEWHERE": self.certificates.elsewhere_server,
        }
        settings = {
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.authority),
            "listener.name.mtls.ssl.client.auth": "required",
            f"{sasl}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            f"{sasl}.plain.sasl.jaas.config": (
                f'{module}.plain.PlainLoginModule required user_{self.user}="{self.password}";'
            ),
            f"{sasl}.scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
        }
        for name in ports:
            settings[f"listener.name.{name.lower()}.ssl.keystore.type"] = "PEM"
            settings[f"listener.name.{name.lower()}.ssl.keystore.location"] = str(stores[name].both)
        return settings

    def scram(self) -> list[str]:
        """What formatting is told, so that the SCRAM user is there from the start."""
        return ["--add-scram", f"SCRAM-SHA-512=[name={self.scram_user},password={self.password}]"]


#: The listeners of :class:`Security` and what each speaks.
_SECURED = {"SASL": "SASL_SSL", "MTLS": "SSL", "EXPIRED": "SSL", "ELSEWHERE": "SSL"}


def from_environment(environ: Mapping[str, str]) -> KafkaServer | None:
    """``LFK_TEST_KAFKA`` is a bootstrap list."""
    bootstrap = environ.get("LFK_TEST_KAFKA")
    return KafkaServer(bootstrap) if bootstrap else None


@contextlib.contextmanager
def start(
    folder: Path,
    cache: Path,
    *,
    advertised: int | None = None,
    security: Security | None = None,
    extra: Mapping[str, str] | None = None,
) -> Iterator[Running[KafkaServer]]:
    """A broker on 127.0.0.1 with its data and log below ``folder``.

    Args:
        advertised: the port of 127.0.0.1 that clients are told to use, where it is not the broker's own.
        extra: further settings, which win.
        security: what its further listeners know; without it there are none.

    Raises:
        MissingError: Java or the jars are absent.
        ServerFailedError: it does not come up.
    """
    java = shutil.which("java")
    if java is None:
        raise MissingError("java is not on the PATH (Kafka needs 17 or newer)")
    logging = folder / "log4j2.properties"
    logging.write_text(_LOGGING, encoding="utf-8")
    command = [java, *_JAVA, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{PROGRAM.jars(cache)}/*"]

    def make() -> Running[KafkaServer]:
        client, internal, controller, *more = free_ports(3 + len(_SECURED))
        secured = dict(zip(_SECURED, more, strict=True)) if security else {}
        configuration = folder / f"server-{client}.properties"
        open_to_all = {"CLIENT": advertised or client, "INTERNAL": internal, **secured}
        settings = _SETTINGS | {
            "listeners": _listeners({**open_to_all, "CLIENT": client, "CONTROLLER": controller}),
            "advertised.listeners": _listeners(open_to_all),
            "controller.quorum.voters": f"1@{_HOST}:{controller}",
            "log.dirs": str(folder / f"data-{client}"),
        }
        if security:
            settings |= security.settings(secured)
            settings["listener.security.protocol.map"] += "".join(f",{name}:{_SECURED[name]}" for name in secured)
        settings |= extra or {}
        configuration.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
        _format(command, configuration, security.scram() if security else [])
        process = ServerProcess(
            "kafka",
            [*command, "kafka.Kafka", str(configuration)],
            log=folder / "kafka.log",
            answers=broker_answers(f"{_HOST}:{internal}"),
        )
        addresses = {name: f"{_HOST}:{port}" for name, port in secured.items()}
        return Running(KafkaServer(f"{_HOST}:{client}", addresses), process)

    with started(make) as server:
        yield server


@contextlib.contextmanager
def start_container() -> Iterator[KafkaServer]:
    """A broker in Docker, reached through a port of 127.0.0.1.

    Raises:
        MissingError: the container cannot be run.
    """
    (port,) = free_ports(1)
    settings = _SETTINGS | {
        "listeners": "CLIENT://0.0.0.0:9092,INTERNAL://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093",
        "advertised.listeners": f"CLIENT://{_HOST}:{port},INTERNAL://127.0.0.1:9094",
        "controller.quorum.voters": "1@127.0.0.1:9093",
    }
    environ = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}
    server = KafkaServer(f"{_HOST}:{port}")
    with containers.run(IMAGE, environ=environ, ports={9092: port}, answers=broker_answers(server.bootstrap)):
        yield server


def broker_answers(bootstrap: str) -> Callable[[], bool]:
    """Whether a broker there lists its topics and counts itself as a member of its cluster."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    def answers() -> bool:
        # A fresh client each time: one that was refused waits longer and longer before it tries again.
        client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=_ANSWER_WITHIN).brokers)
        except KafkaException:
            return False

    return answers


def _listeners(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{_HOST}:{port}" for name, port in ports.items())


def _format(command: list[str], configuration: Path, more: list[str]) -> None:
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # Behind an equals sign: one id in 64 begins with a dash, which would be read as an option of its own.
    arguments = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(configuration), *more]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=_FORMAT_WITHIN, check=False)
    if done.returncode:
        raise ServerFailedError(f"kafka could not format its data folder:\n{done.stdout}{done.stderr}")
