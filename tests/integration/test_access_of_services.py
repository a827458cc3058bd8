"""Listener, gateway, page and both kinds of hub on a real MinIO, each with the keys of its role and no others."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest

from tests.acceptance.command import Lfk
from tests.acceptance.test_listen import serving as listening
from tests.acceptance.test_listen import speech
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.acceptance.web import TOKEN, serving
from tests.integration.test_access import (
    LARGE,
    access,  # noqa: F401 - a fixture
    keys_of,
    places,
)
from tests.services.minio_roles import user_with
from tests.services.s3 import S3Server
from tests.waiting import wait_until

Role = Callable[..., Lfk]


@pytest.fixture
def root(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> Lfk:
    """With keys that may do everything; topics and buckets are made."""
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    lfk.environ = {
        **lfk.environ,
        "LFK_CHUNKS_GROUP": f"{topic_prefix}.chunks",
        "MAIN_NODE_TEMP_FOLDER": str(tmp_path / "scratch"),
    }
    expect_ok(lfk("init"))
    return lfk


@pytest.fixture
def role(root: Lfk, access: ModuleType, minio: S3Server, minio_bucket: str) -> Iterator[Role]:  # noqa: F811
    """lfk with the keys of a role, and with settings of its own."""
    with keys_of(access, minio, minio_bucket) as keys:
        yield lambda name, **environ: Lfk(root.folder, **{**root.environ, **keys[name].environment(), **environ})


def listed(minio: S3Server, bucket: str, prefix: str) -> list[str]:
    found = minio.client().list_objects_v2(Bucket=bucket, Prefix=f"lfk/{prefix}")
    return [one["Key"].removeprefix(f"lfk/{prefix}") for one in found.get("Contents", [])]


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_a_gateway_stores_what_it_joins(root: Lfk, role: Role, minio: S3Server, minio_bucket: str) -> None:
    gateway, operator = role("gateway"), role("operator")
    expect_ok(gateway("doctor", "--role", "gateway"))
    folder = root.folder / "simple/tiny"
    folder.mkdir(parents=True)
    (folder / "large.wav").write_bytes(os.urandom(LARGE))
    (folder / "small.wav").write_bytes(speech(1))
    # Whoever sends reaches no store at all.
    nobody = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"), "")
    sender = Lfk(root.folder, **{**root.environ, **nobody})
    expect_ok(sender("chunks", "send", "simple/tiny/large.wav", "simple/tiny/small.wav"))
    joined = expect_ok(gateway("chunks", "gateway", "--exit-when-idle", "2", "--json"))
    assert joined.of("summary")[0]["joined"] == 2
    assert listed(minio, minio_bucket, "audio/simple/tiny/") == ["large.wav", "small.wav"]
    # The same again is there already; what was forgotten is refused.
    expect_ok(operator("forget", "simple/tiny/small.wav", "--yes"))
    expect_ok(sender("chunks", "send", "simple/tiny/large.wav", "simple/tiny/small.wav"))
    again = gateway("chunks", "gateway", "--exit-when-idle", "2", "--json")
    assert (again.code, again.of("summary")[0]["joined"], again.of("summary")[0]["failed"]) == (1, 1, 1), again
    assert "audio_forgotten" in again.err
    assert listed(minio, minio_bucket, "audio/simple/tiny/") == ["large.wav"]


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_a_listener_refers_to_what_has_no_answer(
    root: Lfk,
    role: Role,
    access: ModuleType,  # noqa: F811
    minio: S3Server,
    minio_bucket: str,
) -> None:
    client, listener = minio.client(), role("listen")
    expect_ok(listener("doctor", "--role", "listen"))
    for number, name in enumerate(("done", "failed", "asked", "new")):
        client.put_object(Bucket=minio_bucket, Key=f"lfk/audio/simple/tiny/{name}.wav", Body=speech(number))
    client.put_object(Bucket=minio_bucket, Key="lfk/audio/simple/tiny/failed.wav", Body=b"")
    expect_ok(root("submit", "simple/tiny/done.wav"))
    expect_ok(root("submit", "--trust", "simple/tiny/failed.wav"))
    assert role("hub")("hub", "--max-jobs", "2").code == 1
    # An open batch, and a transcript that is older than its audio.
    expect_ok(root("submit", "simple/tiny/asked.wav", "--option", "language=de"))
    client.put_object(Bucket=minio_bucket, Key="lfk/audio/simple/tiny/done.wav", Body=speech(9))
    planned = expect_ok(listener("listen", "--dry-run", "--json"))
    assert planned.of("summary")[0]["sent"] == 2
    with listening(listener) as service:
        service.wait(lambda: set(service.sent) == {"simple/tiny/done.wav", "simple/tiny/new.wav"})
        client.put_object(Bucket=minio_bucket, Key="lfk/audio/simple/tiny/later.wav", Body=speech(5))
        service.wait(lambda: "simple/tiny/later.wav" in service.sent)
        assert service.stop()["failed"] == 0
    policy = access.policy("listen", places(access, minio_bucket))
    deaf = [one for one in policy["Statement"] if one["Action"] != ["s3:ListenBucketNotification"]]
    assert len(deaf) == len(policy["Statement"]) - 1
    with user_with(minio, {**policy, "Statement": deaf}) as keys:
        lesser = Lfk(root.folder, **{**root.environ, **keys.environment()})
        for refused in (lesser("doctor", "--role", "listen", "-q"), lesser("listen")):
            said = refused.out + refused.err
            assert refused.code == 2
            assert f"these keys lack s3:ListenBucketNotification below s3://{minio_bucket}/lfk/" in said
            assert "docs/access.md" in said


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_a_page_shows_and_with_a_token_changes(root: Lfk, role: Role, minio: S3Server, minio_bucket: str) -> None:
    client = minio.client()
    client.put_object(Bucket=minio_bucket, Key="lfk/audio/simple/tiny/broken.wav", Body=b"")
    writing = role("web-with-token", LFK_WEB_TOKEN=TOKEN)
    for page in (role("web"), writing):
        expect_ok(page("doctor", "--role", "web"))
    key = "diarisation/tiny/talk.wav"
    with role("hub").running("hub", "--workers", "1"), serving(writing) as web:
        assert web.upload("talk.wav", speech(1) * 9, "diarisation", num_speakers="2").status == 201
        assert web.upload("large.wav", os.urandom(LARGE)).status == 201
        expect_ok(root("submit", "--trust", "simple/tiny/broken.wav"))
        wait_until(lambda: web.look(key)["state"] == web.look("simple/tiny/large.wav")["state"] == "done")
        names = json.dumps({"names": {"SPEAKER_00": "Ada"}, "seen": None}).encode()
        assert web.ask("PUT", f"/api/speakers/{quote(key)}", names, Content_Type="application/json").status == 200
        failed = wait_until(lambda: web.rows().get("broken.wav", {}).get("failure"))
        assert web.ask("POST", f"/api/failures/{failed['event']}/retry").status == 204
        # The retry's failure takes the place of the one that it repeats.
        again = wait_until(lambda: another(web.rows()["broken.wav"].get("failure"), failed["event"]))
        assert web.ask("DELETE", f"/api/failures/{again}").status == 204
        assert listed(minio, minio_bucket, ".lfk/failed/") == []

    with role("hub").running("hub", "--workers", "1"), serving(role("web")) as web:
        row = web.rows()["talk.wav"]
        assert (row["state"], row["key"]) == ("done", key)
        assert b"Ada" in web.ask("GET", f"/t/{quote(key)}").body
        assert web.ask("GET", f"/audio/{quote(key)}", Range="bytes=10-19").body == (speech(1) * 9)[10:20]
        assert b"Ada" in web.ask("GET", f"/files/{quote(key)}?format=srt").body
        assert web.ask("GET", f"/api/links/{quote(key)}").json["links"]["audio"].startswith("http")
        pulse = wait_until(lambda: shown(web.ask("GET", "/api/pulse").json))
        assert (pulse["error"], pulse["broker"]) == (None, True)
        assert web.upload("more.wav", speech(2)).status == 403

    # A token alone gives no right: the page says which one its keys lack.
    with serving(role("web", LFK_WEB_TOKEN=TOKEN)) as web:
        refused = web.upload("more.wav", speech(2))
        assert (refused.status, refused.json["error"]["code"]) == (502, "access_denied")
        assert f"these keys lack s3:PutObject below s3://{minio_bucket}/lfk/audio/" in refused.json["error"]["hint"]
    assert "more.wav" not in listed(minio, minio_bucket, "audio/simple/tiny/")


def another(failure: dict[str, Any] | None, event: str) -> str | None:
    """The event of a failure that is not that one."""
    return failure["event"] if failure and failure["event"] != event else None


def shown(pulse: dict[str, Any]) -> dict[str, Any] | None:
    """A pulse, once somebody has looked at broker and store."""
    return pulse if pulse["error"] or (pulse["hubs"] and pulse["broker"]) else None


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_a_hub_that_keeps_audio_cannot_delete_it(root: Lfk, role: Role, minio: S3Server, minio_bucket: str) -> None:
    client = minio.client()
    client.put_bucket_versioning(Bucket=minio_bucket, VersioningConfiguration={"Status": "Enabled"})
    make_recordings(root.folder / "recordings", 2)
    expect_ok(role("producer")("sync", "recordings"))
    # Whatever its settings say: with the keys of a hub that keeps audio, audio stays, and it is told why.
    deleting = {"CENTRAL_BACKUPS": "false", "LFK_BACKUPS_GRACE": "1s"}
    with role("hub", **deleting).running("hub", "--workers", "1"):
        told = wait_until(lambda: error_of(root))
    assert "AccessDenied to DeleteObject" in told
    assert len(listed(minio, minio_bucket, "audio/")) == 2
    assert len(listed(minio, minio_bucket, "transcripts/")) > 2
    with role("hub-without-backups", **deleting).running("hub", "--workers", "1"):
        wait_until(lambda: not listed(minio, minio_bucket, "audio/"))
        wait_until(lambda: not listed(minio, minio_bucket, ".lfk/expiring/"))
    versions = client.list_object_versions(Bucket=minio_bucket, Prefix="lfk/audio/")
    assert "Versions" not in versions, "the bytes are gone, and not only hidden"
    expect_ok(role("operator")("check"))


def error_of(lfk: Lfk) -> str:
    """What hubs say that keeps them from deleting, as `lfk status` shows it."""
    told = expect_ok(lfk("status", "--json")).of("status")[0]
    return next((hub["backups"]["error"] for hub in told["hubs"] if hub["backups"].get("error")), "")
