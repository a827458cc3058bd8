"""Hubs that delete audio in time and die at each of its steps: nothing is lost, nothing is forgotten."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.chaos.burying_hub import POINTS
from tests.services.s3 import S3Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.slow]

#: A dead hub deletes a few at a time, and each has to find some.
COUNT = 24
#: How long a hub may take to come to its step: it waits for what the one before it left undecided.
_PATIENCE = 120.0


class Condemned(Lfk):
    """The command that kills itself at a step."""

    def __init__(self, plain: Lfk, point: str) -> None:
        super().__init__(plain.folder)
        self.environ: Mapping[str, str] = {**plain.environ, "CHAOS_POINT": point}

    def argv(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("burying_hub.py")), *arguments]


def test_hubs_that_die_at_every_step(
    tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    client = minio.client()
    client.put_bucket_versioning(Bucket=minio_bucket, VersioningConfiguration={"Status": "Enabled"})

    def listed(prefix: str) -> list[str]:
        found = client.list_objects_v2(Bucket=minio_bucket, Prefix=f"lfk/{prefix}")
        return [one["Key"] for one in found.get("Contents", [])]

    plain = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    lfk = Lfk(
        tmp_path,
        **{
            **plain.environ,
            "CENTRAL_BACKUPS": "false",
            "LFK_BACKUPS_GRACE": "1",
            "LFK_CANNED_SECONDS": "0.01",
            # Each is back under the name of the one before, so nobody waits for the group to give that one up.
            "LFK_INSTANCE": "hub",
            "LFK_ATTEMPTS": "20",
        },
    )
    expect_ok(lfk("init"))
    make_recordings(tmp_path / "recordings", COUNT)
    expect_ok(lfk("sync", "recordings"))
    for point in POINTS:
        hub = Condemned(lfk, point).start("hub", "--workers", "2")
        try:
            output = hub.communicate(timeout=_PATIENCE)[0]
        except subprocess.TimeoutExpired:
            hub.kill()
            pytest.fail(f"no hub died at {point}: {hub.communicate()[0]}")
        assert hub.returncode == -signal.SIGKILL, (point, output)
    assert len(listed("audio/")) > 0, "they died before the end"

    with lfk.running("hub", "--workers", "2") as survivor:
        wait_until(lambda: listed("audio/") == [] and listed(".lfk/expiring/") == [])
    assert survivor.returncode == 0
    announced = expect_ok(lfk("transcripts", "--json")).of("transcript")
    assert [one["status"] for one in announced] == ["done"] * COUNT
    assert len({one["path_to_audio"] for one in announced}) == COUNT
    assert len(listed(".lfk/tombstones/")) == COUNT
    assert "Versions" not in client.list_object_versions(Bucket=minio_bucket, Prefix="lfk/audio/")
    expect_ok(lfk("check", "--deep"))
