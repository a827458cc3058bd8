"""The roles of ``deploy/access.json`` on a Kafka that authorises: their commands work, and other calls are denied."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.acceptance.command import Done, Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings
from tests.conftest import StartServer
from tests.integration.test_access import access  # noqa: F401 - a fixture
from tests.services import kafka
from tests.waiting import wait_until

#: Topics and groups as lfk calls them when nobody says otherwise.
NAMES = {
    "audio": "lfk.audio",
    "bulk": "lfk.audio.bulk",
    "retry": "lfk.audio.retry",
    "dlq": "lfk.audio.dlq",
    "transcripts": "lfk.transcripts",
    "chunks": "lfk.chunks",
    "LFK_GROUP": "lfk-hub",
    "LFK_CHUNKS_GROUP": "lfk-chunks",
}


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


def grant(access: ModuleType, bootstrap: str, password: str, roles: list[str]) -> None:  # noqa: F811
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
            "bootstrap.servers": bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": "admin",
            "sasl.password": password,
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
        for role in roles
        for acl in access.acls(role, NAMES)
        for operation in acl.operations
    ]
    for future in admin.create_acls(bindings).values():
        future.result(30)


def topics(done: Done) -> Mapping[str, Any]:
    """What the topics say of all that was sent, by topic."""
    return {event["topic"]: event for event in expect_ok(done).of("topic")}


@pytest.mark.kafka
@pytest.mark.slow
def test_every_role_does_its_work_and_no_other(
    tmp_path: Path,
    access: ModuleType,  # noqa: F811
    own_server: StartServer,
) -> None:
    roles = [*access.table()["kafka"]]
    passwords = {name: secrets.token_hex(8) for name in ("admin", *roles)}
    server = own_server(kafka, extra=authorising(passwords)).address
    grant(access, server.bootstrap, passwords["admin"], roles)
    (tmp_path / "store").mkdir()
    make_recordings(tmp_path / "recordings", 1)

    def role(name: str) -> Lfk:
        shared = {"LFK_STORE": "store", "LFK_ENGINE": "canned", "LFK_PARTITIONS": "2"}
        return Lfk(tmp_path, **shared, **sasl(server.bootstrap, name, passwords[name]))

    expect_ok(role("set-up")("init"))
    expect_ok(role("producer")("sync", "recordings"))
    operator, consumer = role("operator"), role("consumer")
    with (
        role("hub").running("hub"),
        consumer.running("transcripts", "--follow", "--from", "beginning", "--out", "received"),
    ):
        wait_until(lambda: bool(list((tmp_path / "received").rglob("*.json"))), "nothing was received")
    assert "simple.tiny" in expect_ok(consumer("transcripts")).out
    before = topics(operator("forget", "simple/tiny/", "--dry-run", "--json"))
    assert before["lfk.audio"]["records"] == 1
    assert before["lfk.transcripts"]["until"], "it may read how long topics keep records"
    expect_ok(operator("status"))
    expect_ok(operator("republish", "--only", "all", "--force"))
    after = topics(operator("forget", "simple/tiny/", "--yes", "--json"))
    assert (after["lfk.audio"]["records"], after["lfk.audio.bulk"]["records"]) == (0, 1), "what waits stays"
    for name, command in (
        ("producer", ("hub", "--max-jobs", "1")),
        ("producer", ("transcripts",)),
        ("consumer", ("republish", "--only", "all")),
        ("consumer", ("init",)),
        ("hub", ("transcripts",)),
    ):
        refused = role(name)(*command)
        assert refused.code == 2, (name, command, refused)
        assert "broker_denied" in refused.err, refused.err
        assert "docs/access.md" in refused.err
