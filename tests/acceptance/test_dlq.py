"""``lfk dlq`` from outside: failures made by real hubs, looked at, repaired, sent again, discarded."""

from __future__ import annotations

import io
import json
import time
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from lfk.brokers.base import Record
from lfk.brokers.kafka import KafkaBroker
from lfk.core.location import parse_location
from lfk.roles.outbox import OutboxPublisher
from lfk.stores.folder import FolderStore
from tests.acceptance.command import Done, Lfk
from tests.acceptance.test_bad_input import closed_port, one_line
from tests.acceptance.test_pipeline import expect_ok, on_servers
from tests.services.s3 import S3Server

MESSAGES = (
    b'{"path_to_audio": "simple/tiny/late.wav", "batch_id": "b1"}',
    b'{"path_to_audio": "simple/gigantic/x.wav"}',
    b'{"path_to_audio": \x1b[31m',
)


def recording() -> bytes:
    whole = io.BytesIO()
    with wave.open(whole, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(16000)
        audio.writeframes(b"\x07\x01" * 1600)
    return whole.getvalue()


def failures(lfk: Lfk, *arguments: str) -> Mapping[str, Mapping[str, Any]]:
    """What `dlq list` shows, by cause."""
    return {one["error"]["code"]: one for one in expect_ok(lfk("dlq", "list", "--json", *arguments)).of("failure")}


def summary(done: Done) -> Mapping[str, Any]:
    (line,) = done.of("summary")
    return line


def hub(lfk: Lfk, jobs: int) -> list[Mapping[str, Any]]:
    """One hub that answers so many references; its announcements."""
    done = lfk("hub", "--json", "--workers", "1", "--max-jobs", str(jobs))
    assert done.code in (0, 1), done.err
    return list(done.of("transcript"))


@pytest.fixture
def served(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> Lfk:
    """lfk on real servers, where three references have failed."""
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    expect_ok(lfk("init"))
    publisher = KafkaBroker({"bootstrap.servers": kafka}).publisher()
    errors: list[Exception | None] = []
    for number, value in enumerate(MESSAGES):
        record = Record(f"{topic_prefix}.audio", b"key %d" % number, value, {"traceparent": b"00-aa-bb-01"})
        publisher.send(record, errors.append)
    publisher.close()
    assert errors == [None] * len(MESSAGES)
    assert len(hub(lfk, len(MESSAGES))) == len(MESSAGES)
    return lfk


def upload(server: S3Server, bucket: str, key: str) -> None:
    server.client().put_object(Bucket=bucket, Key=f"lfk/audio/{key}", Body=recording())


def delete_topics(kafka: str, prefix: str) -> None:
    """Delete every topic of the test, and wait until the broker knows none of them."""
    client = AdminClient({"bootstrap.servers": kafka})
    names = [name for name in client.list_topics(timeout=10).topics if name.startswith(prefix)]
    assert len(names) == 6
    for future in client.delete_topics(names).values():
        future.result(30)
    deadline = time.monotonic() + 30
    while any(name.startswith(prefix) for name in client.list_topics(timeout=10).topics):
        assert time.monotonic() < deadline, "the topics stay"
        time.sleep(0.2)


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_from_failure_to_transcript_on_kafka_and_s3(
    served: Lfk, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    lfk = served
    found = failures(lfk)
    assert set(found) == {"object_missing", "unknown_model", "malformed_message"}
    assert {one["origin"]["topic"] for one in found.values()} == {f"{topic_prefix}.audio"}
    late = found["object_missing"]

    upload(minio, minio_bucket, "simple/tiny/late.wav")
    again = lfk("dlq", "retry", "--all", "--json")
    assert again.code == 1
    assert (summary(again)["sent"], summary(again)["failed"]) == (1, 2)
    assert "[31m" not in again.err
    (done,) = hub(lfk, 1)
    assert (done["status"], done["causation_id"], done["batch_id"]) == ("done", late["event_id"], "b1")
    assert set(failures(lfk)) == {"unknown_model", "malformed_message"}

    # Sent again under another model, it fails for another reason: one record, of the new event.
    event = failures(lfk)["unknown_model"]["event_id"]
    expect_ok(lfk("dlq", "retry", event[:10], "--approach", "simple", "--model", "tiny", "--bulk"))
    (failed,) = hub(lfk, 1)
    assert (failed["status"], failed["causation_id"]) == ("failed", event)
    found = failures(lfk)
    assert set(found) == {"object_missing", "malformed_message"}
    assert found["object_missing"]["event_id"] == failed["event_id"]

    # With every topic deleted, the store is enough.
    delete_topics(kafka, topic_prefix)
    missing = lfk("dlq", "retry", "--cause", "object_missing")
    one_line(missing, 2, "topic_missing")
    assert set(failures(lfk)) == {"object_missing", "malformed_message"}
    expect_ok(lfk("init"))
    upload(minio, minio_bucket, "simple/gigantic/x.wav")
    expect_ok(lfk("dlq", "retry", "--key", f"s3://{minio_bucket}/lfk/audio/simple/", "--since", "1h"))
    (done,) = hub(lfk, 1)
    assert (done["status"], done["transcription_approach"]) == ("done", "simple.tiny")
    assert set(failures(lfk)) == {"malformed_message"}

    expect_ok(lfk("dlq", "discard", "--cause", "malformed_message"))
    assert failures(lfk) == {}
    assert expect_ok(lfk("status", "--json")).of("status")[0]["failures"] == 0


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_without_a_broker_failures_are_listed_shown_and_discarded(served: Lfk) -> None:
    served.environ = {**served.environ, "BOOTSTRAP_SERVERS": f"127.0.0.1:{closed_port()}"}
    found = failures(served)
    assert len(found) == 3
    event = found["malformed_message"]["event_id"]
    shown = expect_ok(served("dlq", "show", event[:12]))
    assert r"\x1b[31m" in shown.out
    assert "\x1b" not in shown.out
    for known in (event, "malformed_message", "traceparent: 00-aa-bb-01", "not a JSON object", "partition"):
        assert known in shown.out
    (whole,) = expect_ok(served("dlq", "show", "--cause", "object_missing", "--json")).of("failure")
    assert whole["message"] == json.loads(MESSAGES[0])
    assert whole["record"]["size"] == len(MESSAGES[0])
    assert "message" not in found["object_missing"]
    one_line(served("dlq", "retry", event), 3, "broker_unreachable")
    wished = expect_ok(served("dlq", "discard", "--all", "--dry-run", "--json"))
    assert (len(wished.of("discarded")), summary(wished)["discarded"]) == (3, 3)
    assert len(failures(served)) == 3
    gone = expect_ok(served("dlq", "discard", event, "--json"))
    assert [one["event_id"] for one in gone.of("discarded")] == [event]
    assert set(failures(served)) == {"object_missing", "unknown_model"}


def test_without_any_broker_retries_wait_in_the_store(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned")
    audio = tmp_path / "store/audio/simple/tiny/late.wav"
    audio.parent.mkdir(parents=True)
    root = parse_location(f"file://{tmp_path}/store/")
    outbox = OutboxPublisher(FolderStore(root), root.join(".lfk").as_prefix(), time.time)
    errors: list[Exception | None] = []
    outbox.send(Record("lfk.audio", b"key", MESSAGES[0]), errors.append)
    assert errors == [None]
    assert [one["status"] for one in hub(lfk, 1)] == ["failed"]
    first = failures(lfk)["object_missing"]["event_id"]

    assert "wait" in expect_ok(lfk("dlq", "retry", "--all")).out
    assert [one["status"] for one in hub(lfk, 1)] == ["failed"]
    assert summary(lfk("dlq", "list", "--json"))["failures"] == 1
    second = failures(lfk)["object_missing"]["event_id"]
    assert second != first

    expect_ok(lfk("dlq", "retry", second))
    assert len(list((tmp_path / "store/.lfk/outbox").iterdir())) == 1
    audio.write_bytes(recording())
    (done,) = hub(lfk, 1)
    assert (done["status"], done["causation_id"]) == ("done", second)
    assert failures(lfk) == {}


@pytest.fixture
def local(tmp_path: Path) -> Lfk:
    (tmp_path / "store/.lfk/failed").mkdir(parents=True)
    return Lfk(tmp_path, LFK_STORE="store")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("retry",), "--all"),
        (("discard",), "--cause"),
        (("show",), "dlq list"),
        (("discard", "--all", "--cause", "x"), "leave one"),
        (("discard", "--all", "0" * 32), "leave one"),
        (("show", "0" * 32, "--key", "x"), "leave one"),
        (("show", "xyz"), "dlq list"),
        (("list", "--since", "yesterday"), "24h"),
        (("retry", "--all", "--model", "gigantic"), "model"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(local: Lfk, arguments: tuple[str, ...], hint: str) -> None:
    assert hint in one_line(local("dlq", *arguments), 2, "usage")


@pytest.mark.parametrize("action", ["show", "retry", "discard"])
def test_an_event_that_is_not_recorded(local: Lfk, action: str) -> None:
    assert "f" * 32 in one_line(local("dlq", action, "--dry-run", "f" * 32), 1, "failure_missing")


def test_a_damaged_record_is_told_and_can_be_removed(local: Lfk) -> None:
    (local.folder / f"store/.lfk/failed/{'a' * 32}.json").write_bytes(b"{")
    listed = local("dlq", "list")
    assert "a" * 32 in one_line(listed, 1, "failure_unreadable")
    assert listed.out == "1 failure: 1 not readable\n"
    one_line(local("dlq", "retry", "--dry-run", "aaaa"), 1, "failure_unreadable")
    expect_ok(local("dlq", "discard", "aaaa"))
    assert expect_ok(local("dlq", "list")).out == "0 failures\n"
