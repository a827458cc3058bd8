"""The roles of ``deploy/access.json`` on a Kafka that authorises: their commands work, and other calls are denied."""

from __future__ import annotations

import contextlib
import re
import secrets
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.acceptance.command import Done, Lfk
from tests.acceptance.test_listen import serving as listening
from tests.acceptance.test_listen import speech
from tests.acceptance.test_pipeline import expect_ok, make_recordings
from tests.acceptance.web import TOKEN, serving
from tests.conftest import own_service
from tests.integration.test_access import access  # noqa: F401 - a fixture
from tests.services import kafka
from tests.services.process import free_ports
from tests.services.s3 import S3Server
from tests.waiting import wait_until

TOPICS = ("audio", "bulk", "retry", "dlq", "transcripts", "chunks")


@dataclass(frozen=True)
class Cluster:
    """A broker that knows every role of the table by a name and a password of its own."""

    bootstrap: str
    passwords: Mapping[str, str]
    access: ModuleType

    @contextlib.contextmanager
    def roles(self, folder: Path, prefix: str, **environ: str) -> Iterator[Callable[..., Lfk]]:
        """lfk as each role, on topics and groups that begin with ``prefix`` and are granted as the table says."""
        topics = {f"LFK_TOPIC_{name.upper()}": f"{prefix}.{name}" for name in TOPICS}
        groups = {"LFK_GROUP": f"{prefix}-hub", "LFK_CHUNKS_GROUP": f"{prefix}-chunks"}
        grant(self, {**{name: f"{prefix}.{name}" for name in TOPICS}, **groups})
        shared = {"LFK_ENGINE": "canned", "LFK_PARTITIONS": "2", **topics, **groups, **environ}
        yield lambda name, **more: Lfk(folder, **{**shared, **sasl(self.bootstrap, name, self.passwords[name]), **more})


@pytest.fixture(scope="module")
def cluster(
    request: pytest.FixtureRequest,
    access: ModuleType,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    passwords = {name: secrets.token_hex(8) for name in ("admin", *access.table()["kafka"])}
    folder = tmp_path_factory.mktemp("server")
    with own_service(request, kafka, folder, extra=authorising(passwords)) as server:
        yield Cluster(server.address.bootstrap, passwords, access)


def authorising(passwords: Mapping[str, str]) -> dict[str, str]:
    """Settings of a broker whose clients say who they are; only the broker itself, and ``admin``, may do everything."""
    users = " ".join(f'user_{name}="{password}"' for name, password in passwords.items())
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "listener.name.client.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.client.plain.sasl.jaas.config": f"{module} required {users};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:admin",
    }


def sasl(bootstrap: str, user: str, password: str) -> dict[str, str]:
    return {
        "BOOTSTRAP_SERVERS": bootstrap,
        "LFK_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "LFK_KAFKA_SASL_MECHANISMS": "PLAIN",
        "LFK_KAFKA_SASL_USERNAME": user,
        "LFK_KAFKA_SASL_PASSWORD": password,
    }


def grant(cluster: Cluster, names: Mapping[str, str]) -> None:
    from confluent_kafka.admin import (
        AclBinding,
        AclOperation,
        AclPermissionType,
        AdminClient,
        ResourcePatternType,
        ResourceType,
    )

    types = {
        "topic": ResourceType.TOPIC,
        "group": ResourceType.GROUP,
        "transactional-id": ResourceType.TRANSACTIONAL_ID,
    }
    admin = AdminClient(
        {
            "bootstrap.servers": cluster.bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": "admin",
            "sasl.password": cluster.passwords["admin"],
        }
    )
    bindings = [
        AclBinding(
            types[acl.kind],
            acl.name,
            ResourcePatternType.PREFIXED if acl.prefixed else ResourcePatternType.LITERAL,
            f"User:{role}",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for role in cluster.access.table()["kafka"]
        for acl in cluster.access.acls(role, names)
        for operation in acl.operations
    ]
    for future in admin.create_acls(bindings).values():
        future.result(30)


def topics(done: Done) -> Mapping[str, Any]:
    """What the topics say of all that was sent, by topic."""
    return {event["topic"]: event for event in expect_ok(done).of("topic")}


def refuses(lfk: Lfk, *command: str) -> None:
    """What the role may not do it is told of, and where its rights are listed."""
    refused = lfk(*command)
    assert refused.code == 2, (command, refused)
    assert "broker_denied" in refused.err, refused.err
    assert "docs/access.md" in refused.err


@pytest.mark.kafka
@pytest.mark.slow
def test_every_role_does_its_work_and_no_other(tmp_path: Path, cluster: Cluster, topic_prefix: str) -> None:
    (tmp_path / "store").mkdir()
    make_recordings(tmp_path / "recordings", 1)
    audio, bulk, transcripts = (f"{topic_prefix}.{name}" for name in ("audio", "bulk", "transcripts"))
    with cluster.roles(tmp_path, topic_prefix, LFK_STORE="store") as role:
        expect_ok(role("set-up")("init"))
        for name in ("producer", "hub", "consumer"):
            expect_ok(role(name)("doctor", "--role", name))
        expect_ok(role("operator")("doctor"))
        expect_ok(role("producer")("sync", "recordings"))
        operator, consumer = role("operator"), role("consumer")
        with (
            role("hub").running("hub"),
            consumer.running("transcripts", "--follow", "--from", "beginning", "--out", "received"),
        ):
            wait_until(lambda: bool(list((tmp_path / "received").rglob("*.json"))), "nothing was received")
        assert "simple.tiny" in expect_ok(consumer("transcripts")).out
        before = topics(operator("forget", "simple/tiny/", "--dry-run", "--json"))
        assert before[audio]["records"] == 1
        assert before[transcripts]["until"], "it may read how long topics keep records"
        expect_ok(operator("status"))
        expect_ok(operator("republish", "--only", "all", "--force"))
        after = topics(operator("forget", "simple/tiny/", "--yes", "--json"))
        assert (after[audio]["records"], after[bulk]["records"]) == (0, 1), "what waits stays"
        refuses(role("producer"), "hub", "--max-jobs", "1")
        refuses(role("producer"), "transcripts")
        refuses(consumer, "republish", "--only", "all")
        refuses(consumer, "init")
        refuses(role("hub"), "transcripts")


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_services_do_their_work_and_no_other(
    tmp_path: Path, cluster: Cluster, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    tone = speech(1)
    (tmp_path / "simple/tiny").mkdir(parents=True)
    (tmp_path / "simple/tiny/sent.wav").write_bytes(tone)
    store = {"LFK_STORE": f"s3://{minio_bucket}/lfk", **minio.environment()}
    with cluster.roles(tmp_path, topic_prefix, **store) as role:
        expect_ok(role("set-up")("init"))
        for name in ("listen", "gateway", "web"):
            expect_ok(role(name)("doctor", "--role", name))
        expect_ok(role("web-with-token", LFK_WEB_TOKEN=TOKEN)("doctor", "--role", "web"))

        expect_ok(role("chunks-sender")("chunks", "send", "simple/tiny/sent.wav"))
        assert expect_ok(role("gateway")("chunks", "gateway", "--exit-when-idle", "2", "--json")).of("summary")[0][
            "joined"
        ]
        minio.client().put_object(Bucket=minio_bucket, Key="lfk/audio/simple/tiny/told.wav", Body=speech(2))
        with listening(role("listen"), "--source", "webhook", "--address", "127.0.0.1:0") as service:
            service.wait(lambda: "simple/tiny/told.wav" in service.sent)
            service.stop()

        (port,) = free_ports(1)
        health = f"127.0.0.1:{port}"
        with role("backlog").running("status", "--serve", "--health", health):
            wait_until(lambda: waiting(health) >= 2, "what waits was not measured")
        with serving(role("web")) as web:
            pulse = wait_until(lambda: measured(web.ask("GET", "/api/pulse").json))
            assert pulse["error"] is None
        with (
            role("hub").running("hub", "--workers", "1"),
            serving(role("web-with-token", LFK_WEB_TOKEN=TOKEN)) as web,
        ):
            assert web.upload("added.wav", speech(3)).status == 201
            expect_ok(role("operator")("submit", "--trust", "simple/tiny/late.wav"))
            failed = wait_until(lambda: web.rows().get("late.wav", {}).get("failure"))
            minio.client().put_object(Bucket=minio_bucket, Key="lfk/audio/simple/tiny/late.wav", Body=speech(4))
            assert web.ask("POST", f"/api/failures/{failed['event']}/retry").status == 204
            names = ("sent", "told", "added", "late")
            wait_until(lambda: all(web.look(f"simple/tiny/{name}.wav")["state"] == "done" for name in names))
        # A page without the right to send says so where it is asked to.
        with serving(role("web", LFK_WEB_TOKEN=TOKEN)) as web:
            refused = web.upload("more.wav", speech(5))
            assert (refused.status, refused.json["error"]["code"]) == (502, "broker_denied")
            assert "docs/access.md" in refused.json["error"]["hint"]

        refuses(role("chunks-sender"), "chunks", "gateway")
        refuses(role("listen"), "transcripts")
        refuses(role("listen"), "republish", "--only", "all")
        refuses(role("gateway"), "transcripts")
        refuses(role("gateway"), "hub", "--max-jobs", "1")
        refuses(role("web"), "submit", "simple/tiny/")
        refuses(role("web"), "hub", "--max-jobs", "1")
        refuses(role("backlog"), "transcripts")


def waiting(address: str) -> float:
    """Unfinished references, as the page of metrics tells them; 0 where it does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
    except OSError:
        return 0.0
    found = re.findall(r"^lfk_backlog_references\{.*\} (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


def measured(pulse: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A pulse, once somebody has looked at the broker, or could not."""
    return pulse if pulse["error"] or pulse["broker"] else None
