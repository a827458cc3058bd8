"""CENTRAL_BACKUPS=false from outside: hubs delete audio in time, never what somebody waits for, and nothing else."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from lfk.core.tombstone import Tombstone
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.services.s3 import S3Server
from tests.waiting import wait_until

COUNT = 4


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_two_hubs_delete_audio_once_nobody_waits_for_it(
    tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    """Fresh references are answered first; those for another model wait on the bulk topic and find their audio."""
    client = minio.client()

    def listed(prefix: str) -> list[str]:
        found = client.list_objects_v2(Bucket=minio_bucket, Prefix=f"lfk/{prefix}")
        return [one["Key"] for one in found.get("Contents", [])]

    client.put_bucket_versioning(Bucket=minio_bucket, VersioningConfiguration={"Status": "Enabled"})
    plain = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix).environ
    environ = {**plain, "CENTRAL_BACKUPS": "false", "LFK_BACKUPS_GRACE": "1s", "LFK_CANNED_SECONDS": "1"}
    lfk = Lfk(tmp_path, **environ)
    expect_ok(lfk("init"))
    make_recordings(tmp_path / "recordings", COUNT)
    expect_ok(lfk("sync", "recordings"))
    expect_ok(lfk("republish", "--only", "all", "--model", "base"))
    copies = [tmp_path / "copies 1", tmp_path / "copies 2"]
    hubs = [Lfk(tmp_path, **environ, MAIN_NODE_TRANSCRIPTIONS_FOLDER=str(folder)) for folder in copies]
    with (
        hubs[0].running("hub", "--workers", "1", "--json") as first,
        hubs[1].running("hub", "--workers", "1", "--json") as second,
    ):
        wait_until(lambda: listed("audio/") == [])
        wait_until(lambda: listed(".lfk/expiring/") == [])
        wait_until(lambda: not any(files(folder / "simple") for folder in copies))
        wait_until(lambda: told_deleted(lfk) == COUNT)
    assert (first.returncode, second.returncode) == (0, 0)

    announced: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in expect_ok(lfk("transcripts", "--json")).of("transcript"):
        assert one["status"] == "done", one
        announced[one["path_to_audio"]].append(one)
    assert [len(answers) for answers in announced.values()] == [2] * COUNT
    for key in listed(".lfk/tombstones/"):
        tombstone = Tombstone.from_bytes(client.get_object(Bucket=minio_bucket, Key=key)["Body"].read())
        assert tombstone.timestamp > max(answer["timestamp"] for answer in announced.pop(tombstone.location))
    assert announced == {}
    versions = client.list_object_versions(Bucket=minio_bucket, Prefix="lfk/audio/")
    assert "Versions" not in versions, "the bytes are gone, and not only hidden"
    assert len(versions["DeleteMarkers"]) == COUNT

    # Nothing brings it back, and nobody misses it.
    expect_ok(lfk("check"))
    new = Lfk(tmp_path, **{**environ, "XDG_STATE_HOME": str(tmp_path / "new")})
    expect_ok(new("sync", "recordings"))
    assert expect_ok(new("hub", "--max-jobs", str(COUNT), "--json")).of("summary")[0]["reused"] == COUNT
    assert listed("audio/") == []
    deleted = f"s3://{minio_bucket}/lfk/audio/simple/tiny/week 1/talk 0 100%+#?.wav"
    expect_ok(lfk("submit", deleted, "--model", "small", "--trust"))
    failed = lfk("hub", "--max-jobs", "1", "--json")
    assert failed.code == 1
    assert failed.of("transcript")[0]["error"]["code"] == "audio_deleted"


def test_an_embedded_broker_and_a_folder(tmp_path: Path) -> None:
    environ = {"LFK_STORE": "store", "LFK_ENGINE": "canned", "CENTRAL_BACKUPS": "false", "LFK_BACKUPS_GRACE": "2"}
    lfk = Lfk(tmp_path, **environ)
    make_recordings(tmp_path / "recordings", 2)
    expect_ok(lfk("init"))
    expect_ok(lfk("sync", "recordings"))
    expect_ok(lfk("hub", "--max-jobs", "2"))
    audio = tmp_path / "store" / "audio"
    assert len(files(audio)) == 2, "younger than the grace time"
    records = tmp_path / "store" / ".lfk" / "expiring"
    assert len(files(records)) == 2
    planned = expect_ok(lfk("cleanup", "--older-than", "0", "--dry-run"))
    assert "hubs delete 2 of them by themselves" in planned.out
    time.sleep(2)
    with lfk.running("hub"):
        wait_until(lambda: not files(audio))
        wait_until(lambda: not files(records))
    assert json.loads(expect_ok(lfk("check", "--json")).out.splitlines()[-1])["missing"] == 0


def told_deleted(lfk: Lfk) -> int:
    """What hubs say that they have deleted, as `lfk status` shows it."""
    told = expect_ok(lfk("status", "--json")).of("status")[0]
    return sum(hub["backups"].get("deleted", 0) for hub in told["hubs"])


def files(folder: Path) -> list[str]:
    """The names of all files below a folder, out of which they may go meanwhile."""
    return [name for _folder, _folders, names in os.walk(folder) for name in names]
