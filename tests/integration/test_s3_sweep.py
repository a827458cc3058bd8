"""What killed uploads leave in the store, on real servers: taken up by the next sync, or swept."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lfk.core.location import Location, parse_location
from lfk.stores.base import ObjectStore
from lfk.stores.folder import FolderStore
from lfk.stores.s3 import CONCURRENCY
from lfk.stores.s3_resume import IDENTITY_PART
from lfk.stores.s3_upload import PART_BYTES
from tests.acceptance.command import Lfk
from tests.integration.test_s3_multipart import store_of
from tests.integration.test_sync_services import environ
from tests.services.s3 import S3Server
from tests.services.toxiproxy import Toxiproxy

pytestmark = [pytest.mark.s3, pytest.mark.timeout(240)]

SIZE = 5 * PART_BYTES
#: Killed midway: two thirds of it are still to come when the first parts are there, seconds at the rate below.
SIZE_TO_KILL = 3 * CONCURRENCY * PART_BYTES


def begun(server: S3Server, bucket: str, key: str, *parts: int) -> str:
    """An unfinished upload with parts of these numbers."""
    client = server.client()
    upload: str = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    for number in parts:
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=b"what this is of")
    return upload


def unfinished(server: S3Server, bucket: str) -> dict[str, list[int]]:
    """Unfinished uploads by key, with the numbers of their parts."""
    client = server.client()
    found = {}
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
        parts = client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts", ())
        found[upload["Key"]] = [part["PartNumber"] for part in parts]
    return found


class TestSweep:
    def test_ours_that_are_old_go_and_nothing_else(self, tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
        begun(s3_server, bucket, "audio/ours.wav", 1, IDENTITY_PART)
        begun(s3_server, bucket, "audio/theirs.wav", 1, 2)
        begun(s3_server, bucket, "elsewhere/ours.wav", IDENTITY_PART)
        store: ObjectStore = store_of(s3_server)
        prefix = parse_location(f"s3://{bucket}/audio/")
        assert store.sweep(prefix, older_than=3600.0) == 0
        assert set(unfinished(s3_server, bucket)) == {"audio/ours.wav", "audio/theirs.wav", "elsewhere/ours.wav"}
        # Servers tell times in whole seconds.
        deadline = time.monotonic() + 30
        found: dict[str, int] = {}
        while not store.sweep(
            prefix, older_than=0.0, found=lambda at, size: found.update({at.key: size}), dry_run=True
        ):
            assert time.monotonic() < deadline
        assert found == {"audio/ours.wav": 2 * len(b"what this is of")}
        lfk = Lfk(tmp_path, **{**environ(s3_server, bucket), "LFK_AUDIO": f"s3://{bucket}/audio"})
        planned = lfk("cleanup", "--uploads", "--older-than", "0")
        assert "would remove 1 uploads that were broken off" in planned.out
        assert "--yes" in planned.out
        assert lfk("cleanup", "--uploads", "--yes").out.startswith("removed 0"), "younger than a week"
        assert "audio/ours.wav" in unfinished(s3_server, bucket)
        done = lfk("cleanup", "--uploads", "--older-than", "0", "--yes", "--json")
        assert done.of("upload")[0]["name"] == f"s3://{bucket}/audio/ours.wav"
        assert done.of("summary")[0]["bytes"] == 30
        assert set(unfinished(s3_server, bucket)) == {"audio/theirs.wav", "elsewhere/ours.wav"}

    def test_a_folder_has_its_own(self, tmp_path: Path) -> None:
        root = parse_location(f"file://{tmp_path}/")
        store = FolderStore(root)
        store.put(root.join("audio/a.wav"), b"x", content_type="audio/wav")
        left = tmp_path / ".lfk" / "tmp" / "left"
        left.write_bytes(b"half a file")
        os.utime(left, (1, 1))
        found: list[tuple[str, int]] = []

        def note(at: Location, size: int) -> None:
            found.append((at.name, size))

        assert store.sweep(root.join("audio").as_prefix(), older_than=3600.0, found=note, dry_run=True) == 1
        assert left.exists()
        assert store.sweep(root.join("audio").as_prefix(), older_than=3600.0, found=note) == 1
        assert found == [("left", 11)] * 2
        assert not left.exists()


class TestKilled:
    """``kill -9`` in the middle of an upload, through the real command."""

    @pytest.fixture
    def lfk(self, tmp_path: Path, s3_server: S3Server, bucket: str) -> Lfk:
        (tmp_path / "rec").mkdir()
        (tmp_path / "rec" / "large.wav").write_bytes(os.urandom(SIZE_TO_KILL))
        return Lfk(tmp_path, **environ(s3_server, bucket))

    def kill_midway(self, lfk: Lfk, server: S3Server, bucket: str, toxiproxy: Toxiproxy) -> list[int]:
        """Kill a sync whose upload has got through with some parts; returns their numbers."""
        with toxiproxy.proxy(urlsplit(server.endpoint_url).netloc, name=f"kill-{bucket}") as proxy:
            slow = Lfk(lfk.folder, **{**lfk.environ, "AWS_ENDPOINT_URL_S3": f"http://{proxy.address}"})
            # Kilobytes a second of each connection: parts of 8 MiB take seconds, however late the look below comes.
            with proxy.toxic("bandwidth", stream="upstream", rate=2_000):
                process = slow.start("sync", "rec")
                deadline = time.monotonic() + 120
                parts: list[int] = []
                while len(parts) < 3:
                    assert process.poll() is None, process.communicate()
                    assert time.monotonic() < deadline
                    parts = unfinished(server, bucket).get("lfk/audio/large.wav", [])
                process.send_signal(signal.SIGKILL)
                process.communicate()
        return unfinished(server, bucket)["lfk/audio/large.wav"]

    def test_the_next_sync_takes_it_up_and_leaves_nothing(
        self, lfk: Lfk, s3_server: S3Server, bucket: str, toxiproxy: Toxiproxy
    ) -> None:
        parts = self.kill_midway(lfk, s3_server, bucket, toxiproxy)
        assert IDENTITY_PART in parts
        done = lfk("sync", "rec", "-v")
        assert done.code == 0, done.err
        assert "parts are there already" in done.err
        assert ": 1 new, 0 changed" in done.out
        stored = s3_server.client().get_object(Bucket=bucket, Key="lfk/audio/large.wav")["Body"].read()
        assert stored == (lfk.folder / "rec" / "large.wav").read_bytes()
        assert unfinished(s3_server, bucket) == {}

    def test_what_nobody_takes_up_is_swept_by_a_later_sync(
        self, lfk: Lfk, s3_server: S3Server, bucket: str, toxiproxy: Toxiproxy
    ) -> None:
        self.kill_midway(lfk, s3_server, bucket, toxiproxy)
        (lfk.folder / "rec" / "large.wav").write_bytes(os.urandom(SIZE))
        assert lfk("sync", "rec").code == 0
        assert list(unfinished(s3_server, bucket)) == ["lfk/audio/large.wav"], "too young to be swept"
        later = Lfk(lfk.folder, **lfk.environ, LFK_SWEEP_AFTER="0.1")
        assert later("sync", "rec", "--dry-run").code == 0
        assert list(unfinished(s3_server, bucket)) == ["lfk/audio/large.wav"]
        assert later("sync", "rec").code == 0
        assert unfinished(s3_server, bucket) == {}
