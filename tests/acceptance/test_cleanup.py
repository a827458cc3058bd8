"""``lfk cleanup`` from outside: what is proved to be transcribed goes, nothing else, and nothing brings it back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.services.s3 import S3Server


def transcribed(lfk: Lfk, count: int = 3) -> Lfk:
    expect_ok(lfk("init"))
    make_recordings(lfk.folder / "recordings", count)
    expect_ok(lfk("sync", "recordings"))
    expect_ok(lfk("hub", "--max-jobs", str(count)))
    return lfk


@pytest.fixture
def local(tmp_path: Path) -> Lfk:
    return transcribed(Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned", CENTRAL_BACKUPS="false"))


def audios(lfk: Lfk) -> list[str]:
    return sorted(path.name for path in (lfk.folder / "store" / "audio").rglob("*.wav"))


def test_stored_audio_goes_only_when_it_is_asked_for_and_old_enough(local: Lfk) -> None:
    assert "3 kept" in expect_ok(local("cleanup", "--yes")).out, "younger than a week"
    planned = expect_ok(local("cleanup", "--older-than", "0"))
    assert planned.out.count("would delete  ") == 3
    assert "--yes" in planned.out
    assert len(audios(local)) == 3
    backups = Lfk(local.folder, **{**local.environ, "CENTRAL_BACKUPS": "true"})
    refused = backups("cleanup", "--older-than", "0", "--yes")
    assert refused.code == 2
    assert "CENTRAL_BACKUPS=false" in refused.err
    expect_ok(backups("cleanup", "--older-than", "0", "--dry-run", "--yes"))
    assert len(audios(local)) == 3
    done = expect_ok(local("cleanup", "--older-than", "0", "--yes", "--json"))
    assert done.of("summary")[0]["deleted"] == 3
    assert audios(local) == []
    assert expect_ok(local("cleanup", "--older-than", "0", "--yes", "--json")).of("summary")[0]["deleted"] == 0


def test_what_was_deleted_is_neither_uploaded_nor_transcribed_again(local: Lfk) -> None:
    expect_ok(local("cleanup", "--older-than", "0", "--yes"))
    expect_ok(local("sync", "recordings"))
    assert audios(local) == []
    # Nor by a machine that remembers nothing: it sends references, which the transcripts answer.
    new = Lfk(local.folder, **{**local.environ, "XDG_STATE_HOME": str(local.folder / "new")})
    expect_ok(new("sync", "recordings"))
    assert audios(local) == []
    answered = expect_ok(local("hub", "--max-jobs", "3"))
    assert "3 done (3 reused)" in answered.out
    # Another recording of that name is another audio.
    path = local.folder / "recordings/simple/tiny/week 1/talk 0 100%+#?.wav"
    path.write_bytes(path.read_bytes() + b"\0\0")
    expect_ok(local("sync", "recordings"))
    assert audios(local) == ["talk 0 100%+#?.wav"]
    expect_ok(local("hub", "--max-jobs", "1"))
    # What was deleted cannot be transcribed in another way, and says so.
    asked = local("sync", "recordings", "--approach", "diarisation")
    assert asked.code == 0
    failed = local("hub", "--max-jobs", "3")
    assert failed.code == 1
    assert "deleted on purpose" in failed.out + failed.err


def test_a_transcript_that_is_not_whole_keeps_its_audio(local: Lfk) -> None:
    transcripts = local.folder / "store" / "transcripts" / "simple" / "tiny" / "week 1"
    (transcripts / "talk 0 100%+#?.wav.txt").write_text("tampered with")
    (transcripts / "talk 1 100%+#?.wav.srt").unlink()
    (local.folder / "store/audio/simple/tiny/week 1/talk 2 100%+#?.wav").write_bytes(b"replaced")
    done = expect_ok(local("cleanup", "--older-than", "0", "--yes", "-v"))
    assert "deleted 0 recordings" in done.out
    assert "its txt is not what the manifest says" in done.out
    assert "its srt is missing" in done.out
    assert "the stored audio has changed since it was transcribed" in done.out
    assert len(audios(local)) == 3


def test_files_of_a_folder_go_once_their_copy_is_proved(local: Lfk) -> None:
    folder = local.folder / "recordings/simple/tiny/week 1"
    changed = folder / "talk 0 100%+#?.wav"
    changed.write_bytes(b"x" + changed.read_bytes()[1:])
    (folder / "new.wav").write_bytes(b"never synced")
    backups = Lfk(local.folder, **{**local.environ, "CENTRAL_BACKUPS": "true"})
    planned = expect_ok(backups("cleanup", "--local", "recordings", "--older-than", "0s", "-v"))
    assert "it has changed since it was transcribed" in planned.out
    assert "it has no transcript" in planned.out
    assert "would delete 2 recordings" in planned.out
    expect_ok(backups("cleanup", "--local", "recordings", "--older-than", "0", "--yes"))
    assert sorted(path.name for path in folder.iterdir()) == ["new.wav", "talk 0 100%+#?.wav"]
    assert len(audios(local)) == 3, "the copies stay"


def test_the_rule_for_a_bucket(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="s3://bucket/lfk")
    rule = json.loads(expect_ok(lfk("cleanup", "--lifecycle", "--older-than", "30d")).out)["Rules"][0]
    assert rule["Filter"] == {"Prefix": "lfk/audio/"}
    assert rule["Expiration"] == {"Days": 30}
    assert lfk("cleanup", "--lifecycle", "--older-than", "90m").code == 2
    assert lfk("cleanup", "--older-than", "soon").code == 2
    assert Lfk(tmp_path, LFK_STORE="store")("cleanup", "--lifecycle").code == 2


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_on_kafka_and_s3(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> None:
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    lfk = transcribed(Lfk(tmp_path, **{**lfk.environ, "CENTRAL_BACKUPS": "false"}), 2)
    assert expect_ok(lfk("cleanup", "--older-than", "0", "--yes", "--json")).of("summary")[0]["deleted"] == 2
    listed = minio.client().list_objects_v2(Bucket=minio_bucket, Prefix="lfk/audio/")
    assert listed["KeyCount"] == 0
    new = Lfk(tmp_path, **{**lfk.environ, "XDG_STATE_HOME": str(tmp_path / "new")})
    expect_ok(new("sync", "recordings"))
    answered = expect_ok(lfk("hub", "--max-jobs", "2", "--json"))
    assert answered.of("summary")[0]["reused"] == 2
    assert minio.client().list_objects_v2(Bucket=minio_bucket, Prefix="lfk/audio/")["KeyCount"] == 0
