"""Sync against real S3 servers and a real Kafka: what only they can show."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lfk import wiring
from lfk.brokers.base import TopicPlan
from lfk.core.addressing import Roots
from lfk.core.location import parse_location
from lfk.environment import load
from lfk.roles.sync_events import BytesMoved
from lfk.stores.base import SHA256, SOURCE, ObjectStore
from tests.acceptance.command import Lfk
from tests.integration.syncing import ROOTS, Rig, counted
from tests.services.s3 import S3Server
from tests.services.toxiproxy import Toxiproxy

pytestmark = [pytest.mark.s3, pytest.mark.timeout(240)]

#: Over every limit below which an upload goes in one piece.
LARGE = 40 << 20


def environ(server: S3Server, bucket: str, **more: str) -> dict[str, str]:
    return {
        "LFK_STORE": f"s3://{bucket}/lfk",
        "AWS_ENDPOINT_URL_S3": server.endpoint_url,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": server.region,
        "LFK_SETTLE": "0",
        **more,
    }


def store_on(server: S3Server, bucket: str) -> ObjectStore:
    return wiring.open_store(load(environ=environ(server, bucket), env_file=None))


def roots_in(bucket: str) -> Roots:
    place = parse_location(f"s3://{bucket}/lfk/")
    return replace(ROOTS, audio=place.join("audio").as_prefix(), records=place.join(".lfk").as_prefix())


@pytest.fixture
def rig(tmp_path: Path, s3_server: S3Server, bucket: str) -> Rig:
    return Rig(tmp_path, store_on(s3_server, bucket), roots_in(bucket))


def test_passes_over_names_that_are_hard_to_write(rig: Rig) -> None:
    names = [
        "simple/tiny/plain.wav",
        "ä ö/ü %20+#?&=.wav",
        "emoji 🎧.mp4",
        "two\nlines.wav",
        "tab\t.wav",
        "e\u0301.wav",
    ]
    for name in names:
        rig.write(name, name.encode())
    assert counted(rig.run()) == {"new": len(names)}
    assert counted(rig.run()) == {"unchanged": len(names)}
    for name in names:
        data, info = rig.object(name)
        assert data == name.encode()
        assert (info.metadata[SOURCE], info.metadata[SHA256]) == ("alpha:1", hashlib.sha256(data).hexdigest())


def test_content_decides_with_and_without_memory(rig: Rig) -> None:
    large = rig.write("large.wav", os.urandom(LARGE))
    rig.write("small.wav", b"one")
    assert counted(rig.run()) == {"new": 2}
    assert rig.publisher.references[0]["etag"] != rig.publisher.references[1]["etag"]
    rig.state.unlink()
    assert counted(rig.run()) == {"referred": 2}
    with large.open("r+b") as file:
        file.seek(LARGE // 2)
        file.write(b"changed")
    assert counted(rig.run()) == {"changed": 1, "unchanged": 1}
    info = rig.store.stat(rig.location("large.wav"))
    assert info.metadata[SHA256] == hashlib.sha256(large.read_bytes()).hexdigest()


def test_two_machines_never_overwrite_each_other(rig: Rig, tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    (tmp_path / "other").mkdir()
    other = Rig(tmp_path / "other", store_on(s3_server, bucket), roots_in(bucket))
    for number in range(40):
        rig.write(f"{number}.wav", b"alpha")
        other.write(f"{number}.wav", b"beta")
    threads = [
        threading.Thread(target=one.run, kwargs={"identity": identity})
        for one, identity in ((rig, "alpha:1"), (other, "beta:2"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for number in range(40):
        name = f"{number}.wav"
        data, info = rig.object(name)
        assert info.metadata[SOURCE] == {b"alpha": "alpha:1", b"beta": "beta:2"}[data]
        outcomes = {b"alpha": rig.outcomes[name], b"beta": other.outcomes[name]}
        assert outcomes.pop(data) in ("new", "referred")
        assert list(outcomes.values()) == ["failed"]
    assert set(rig.failures.values()) | set(other.failures.values()) == {"source_conflict"}


def test_a_stop_breaks_a_large_upload_off(rig: Rig) -> None:
    rig.write("large.wav", os.urandom(LARGE))
    rig.on_event = lambda event: rig.stop.set() if isinstance(event, BytesMoved) else None
    summary = rig.run()
    assert (summary.left, summary.failed) == (1, 0)
    rig.stop.clear()
    rig.on_event = lambda _event: None
    assert counted(rig.run()) == {"new": 1}


def test_an_outage_in_the_middle_ends_the_pass_and_the_next_one_completes_it(
    tmp_path: Path, minio: S3Server, minio_bucket: str, toxiproxy: Toxiproxy
) -> None:
    with toxiproxy.proxy(urlsplit(minio.endpoint_url).netloc, name=f"sync-{minio_bucket}") as proxy:
        server = replace(minio, endpoint_url=f"http://{proxy.address}")
        rig = Rig(tmp_path, store_on(server, minio_bucket), roots_in(minio_bucket))
        for number in range(200):
            rig.write(f"{number:03}.wav", b"x" * 10_000)
        rig.on_event = lambda _event: proxy.cut() if len(rig.publisher.records) == 20 else None
        summary = rig.run()
        assert summary.outage is not None
        assert summary.outage.code == "store_unreachable"
        assert summary.failed == 0
        proxy.restore()
        rig.on_event = lambda _event: None
        after = counted(rig.run())
        assert sum(after.values()) == 200
        assert {r["path_to_audio"].rpartition("/")[2] for r in rig.publisher.references} == {
            f"{number:03}.wav" for number in range(200)
        }


@pytest.mark.kafka
def test_killed_and_run_again_every_file_is_referred_to(
    tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    lfk = Lfk(
        tmp_path,
        **environ(minio, minio_bucket, BOOTSTRAP_SERVERS=kafka, LFK_TOPIC_AUDIO=f"{topic_prefix}.audio"),
    )
    missing = lfk("sync", str(tmp_path))
    assert (missing.code, "[topic_missing]" in missing.err) == (2, True), missing.err
    broker = wiring.real_broker(load(environ=dict(lfk.environ), env_file=None))
    broker.ensure_topics([plan for plan in _plans(lfk) if plan.name.endswith(".audio")])
    recordings = tmp_path / "rec"
    recordings.mkdir()
    for number in range(400):
        (recordings / f"{number:03}.wav").write_bytes(f"audio {number}".encode())
    for _time in range(3):
        process = lfk.start("sync", "rec")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
            if _stored(minio, minio_bucket) >= 60 * (_time + 1):
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = lfk("sync", "rec", "--json")
    assert done.code == 0, done.err
    assert sum(done.of("summary")[0][name] for name in ("new", "referred", "unchanged")) == 400
    records = [json.loads(record.value or b"") for record in broker.snapshot(f"{topic_prefix}.audio")]
    by_path = {record["path_to_audio"]: record for record in records}
    assert len(by_path) == 400
    assert lfk("sync", "rec", "--json").of("summary")[0]["unchanged"] == 400
    again = list(broker.snapshot(f"{topic_prefix}.audio"))
    assert len(again) == len(records)


def _plans(lfk: Lfk) -> list[TopicPlan]:
    return list(wiring.topic_plans(load(environ={**lfk.environ, "LFK_PARTITIONS": "3"}, env_file=None)))


def _stored(server: S3Server, bucket: str) -> int:
    return int(server.client().list_objects_v2(Bucket=bucket, MaxKeys=1000)["KeyCount"])
