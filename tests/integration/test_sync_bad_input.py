"""What users and their machines come up with: each bad thing gets one clear line, and the rest goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfk.core.location import parse_location
from tests.acceptance.command import Done, Lfk
from tests.integration.test_sync_services import LARGE, environ, store_on
from tests.services.s3 import S3Server


def lfk_at(folder: Path, **more: str) -> Lfk:
    return Lfk(folder, **{"LFK_STORE": "store", "LFK_SETTLE": "0", **more})


def record(folder: Path, *names: str, data: bytes = b"RIFF") -> None:
    for name in names:
        path = folder / "rec" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def problems(done: Done) -> list[str]:
    assert "Traceback" not in done.err + done.out
    return done.err.splitlines()


def stored(folder: Path) -> set[str]:
    audio = folder / "store" / "audio"
    return {path.relative_to(audio).as_posix() for path in audio.rglob("*") if path.is_file()}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a filesystem that has no room left."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a filesystem")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no filesystem can be mounted here: {done.stderr.decode()}")
    try:
        with (place / "ballast").open("wb") as ballast:
            while ballast.write(b"x" * 4096):
                ballast.flush()
    except OSError:
        pass
    yield place
    subprocess.run(["umount", str(place)], check=True)


class TestFullDisks:
    def test_what_is_remembered_is_lost_and_nothing_else(self, tmp_path: Path, full_disk: Path) -> None:
        record(tmp_path, "a.wav", "b.wav")
        lfk = lfk_at(tmp_path, XDG_STATE_HOME=str(full_disk))
        done = lfk("sync", "rec")
        assert done.code == 0, done.err
        assert ": 2 new" in done.out
        assert len(problems(done)) == 1
        assert "unchanged files will be read again next time" in done.err
        assert "2 referred to again" in lfk("sync", "rec").out

    def test_a_full_scratch_fails_the_videos_alone(self, tmp_path: Path, full_disk: Path) -> None:
        pytest.importorskip("av")
        from tests.integration.test_sync_extraction import write_video

        write_video(tmp_path / "rec" / "v.mp4")
        record(tmp_path, "a.wav")
        done = lfk_at(tmp_path, MAIN_NODE_TEMP_FOLDER=str(full_disk))("sync", "rec", "--extract-audio")
        assert done.code == 1
        (line,) = problems(done)
        assert line.startswith("error: v.mp4: ")
        assert "[scratch_full]" in line
        assert stored(tmp_path) == {"a.wav"}

    def test_a_full_store_is_named_file_by_file_and_loses_nothing(self, tmp_path: Path, full_disk: Path) -> None:
        record(tmp_path, "large.wav", data=b"x" * 200_000)
        done = lfk_at(tmp_path, LFK_STORE=str(full_disk / "store"))("sync", "rec", "--delete-source")
        assert done.code != 0
        assert all(line.startswith("error: ") for line in problems(done))
        assert (tmp_path / "rec" / "large.wav").stat().st_size == 200_000


class TestTwoAtOnce:
    def test_deleting_what_the_other_is_busy_with_loses_nothing(self, tmp_path: Path) -> None:
        names = [f"{number:03}.wav" for number in range(150)]
        for name in names:
            record(tmp_path, name, data=name.encode())
        lfk = lfk_at(tmp_path)
        both = [lfk.start("sync", "rec", "--delete-source") for _one in range(2)]
        told = [process.communicate(timeout=120)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], told
        assert list((tmp_path / "rec").iterdir()) == []
        assert stored(tmp_path) == set(names)
        for name in names:
            assert (tmp_path / "store" / "audio" / name).read_bytes() == name.encode()


class TestNames:
    def test_all_that_a_filesystem_allows(self, tmp_path: Path) -> None:
        odd = [
            "two\nlines",
            "emoji 🎧",
            " lead",
            "trail ",
            "-dash",
            "quote'\"",
            "back\\slash",
            "%2e",
            "Case",
            "case",
            "CASE",
        ]
        names = {f"{name}.wav" for name in ("x" * 251, "ä" * 125 + "x", *odd)}
        record(tmp_path, *names)
        lfk = lfk_at(tmp_path)
        done = lfk("sync", "rec")
        assert (done.code, done.err) == (0, "")
        assert stored(tmp_path) == names
        assert f"{len(names)} unchanged" in lfk("sync", "rec").out

    def test_a_name_that_is_no_utf8_and_a_path_that_is_too_long_are_named(self, tmp_path: Path) -> None:
        record(tmp_path, "good.wav")
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/rec/bad\xff.wav")).write_bytes(b"x")
        record(tmp_path, "/".join(["d" * 250] * 5) + "/deep.wav")
        done = lfk_at(tmp_path)("sync", "rec", "--delete-source")
        lines = problems(done)
        assert (done.code, len(lines)) == (1, 2)
        assert all("[invalid_location]" in line for line in lines)
        assert stored(tmp_path) == {"good.wav"}
        assert len(list((tmp_path / "rec").rglob("*.wav"))) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rec", "--delete-source", "--move-to", "done"), "exclude each other"),
        (("rec", "--delete-source", "--extract-audio"), "would lose it"),
        (("rec", "--after", "transcript"), "none is to leave"),
        (("rec", "--delete-source", "--done-marker"), "leave one of them out"),
        (("rec", "--move-to", "."), "where it lies itself"),
        (("rec", "--move-to", "rec"), "where it lies itself"),
        (("rec", "--move-to", "rec/a.wav/x"), "name a folder that can be made"),
        (("rec", "--extract-format", "mp3"), "invalid choice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_options_that_do_not_go_together(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    record(tmp_path, "a.wav")
    done = lfk_at(tmp_path)("sync", *arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert (tmp_path / "rec" / "a.wav").exists()
    assert not (tmp_path / "store").exists()


@pytest.mark.s3
@pytest.mark.timeout(240)
class TestBuckets:
    def test_with_object_lock(self, tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
        locked = f"{bucket}-lock"
        client = s3_server.client()
        client.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
        client.put_object_lock_configuration(
            Bucket=locked,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
            },
        )
        try:
            record(tmp_path, "small.wav", data=b"one")
            record(tmp_path, "large.wav", data=os.urandom(LARGE))
            lfk = Lfk(tmp_path, **environ(s3_server, locked))
            done = lfk("sync", "rec")
            assert (done.code, done.err) == (0, "")
            assert ": 2 new" in done.out
            record(tmp_path, "small.wav", data=b"two")
            done = lfk("sync", "rec", "--delete-source")
            assert (done.code, done.err) == (0, "")
            assert ": 0 new, 1 changed, 1 unchanged, 0 failed, 2 sources deleted" in done.out
            at = parse_location(f"s3://{locked}/lfk/audio/small.wav")
            data, info = store_on(s3_server, locked).read(at, limit=100)
            assert data == b"two"
            assert info.version_id is not None
        finally:
            _remove_locked(client, locked)

    def test_without_versions(self, tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
        record(tmp_path, "a.wav", data=b"one")
        lfk = Lfk(tmp_path, **environ(s3_server, bucket))
        assert lfk("sync", "rec").code == 0
        record(tmp_path, "a.wav", data=b"two")
        done = lfk("sync", "rec", "--json", "--delete-source")
        assert done.of("file")[0]["outcome"] == "changed"
        assert done.of("file")[0]["source"] == "deleted"
        assert done.of("file")[0]["reference"].get("version_id") in (None, "null")
        assert list((tmp_path / "rec").iterdir()) == []

    def test_that_is_missing(self, tmp_path: Path, s3_server: S3Server) -> None:
        record(tmp_path, "a.wav")
        done = Lfk(tmp_path, **environ(s3_server, "no-such-bucket-here"))("sync", "rec", "--delete-source")
        assert done.code == 2
        assert len(problems(done)) == 1
        assert "[bucket_missing]" in done.err
        assert (tmp_path / "rec" / "a.wav").exists()


def _remove_locked(client: object, bucket: str) -> None:
    from typing import Any, cast

    s3 = cast(Any, client)
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            s3.delete_object(
                Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"], BypassGovernanceRetention=True
            )
    s3.delete_bucket(Bucket=bucket)
