"""``lfk forget`` from outside: on the embedded broker and a folder, and on Kafka and a bucket that keeps versions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.services.s3 import S3Server

NAME = "talk 0 100%+#?.wav"
AUDIO = f"simple/tiny/week 1/{NAME}"


def naming(folder: Path, text: str) -> list[Path]:
    """Files below a folder whose name or content holds the text, as it is or as JSON writes it."""
    return [
        path
        for path in folder.rglob("*")
        if text in path.name or (path.is_file() and text.encode() in path.read_bytes())
    ]


def test_a_store_in_a_folder(tmp_path: Path) -> None:
    lfk = Lfk(
        tmp_path, LFK_STORE="store", LFK_ENGINE="canned", MAIN_NODE_TRANSCRIPTIONS_FOLDER=str(tmp_path / "copies")
    )
    (tmp_path / "copies").mkdir()
    expect_ok(lfk("init"))
    make_recordings(tmp_path / "recordings", 2)
    expect_ok(lfk("sync", "recordings"))
    expect_ok(lfk("hub", "--max-jobs", "2"))
    assert naming(tmp_path / "copies", NAME)
    unasked = lfk("forget", AUDIO)
    assert unasked.code == 2
    assert "--yes" in unasked.err
    planned = expect_ok(lfk("forget", AUDIO, "--dry-run", "--json"))
    assert naming(tmp_path / "store", NAME)
    done = expect_ok(lfk("forget", AUDIO, "--yes", "--json"))
    assert [event["location"] for event in planned.of("forget")] == [event["location"] for event in done.of("forget")]
    assert done.of("summary")[0]["left"] == 0
    assert {"audio", "manifest", "transcript", "cached result", "owner", "local copy"} == {
        event["kind"] for event in done.of("forget")
    }
    assert naming(tmp_path / "store", NAME) == naming(tmp_path / "copies", NAME) == []
    assert len(list((tmp_path / "store/transcripts").rglob("talk 1*"))) == 5
    assert expect_ok(lfk("forget", AUDIO, "--yes", "--json")).of("summary")[0]["removed"] == 0
    # The source is still there: what remembers nothing refuses it, and says what to do.
    new = Lfk(tmp_path, **{**lfk.environ, "XDG_STATE_HOME": str(tmp_path / "new")})
    refused = new("sync", "recordings")
    assert refused.code == 1
    assert "audio_forgotten" in refused.err
    assert "lfk forget --lift" in refused.err
    assert naming(tmp_path / "store", NAME) == []
    # Nor does a reference that somebody sends all the same bring anything back.
    expect_ok(new("submit", "--trust", AUDIO))
    answered = new("hub", "--max-jobs", "2", "--json")
    assert answered.code == 1
    (failed,) = [event for event in answered.of("transcript") if event["status"] == "failed"]
    assert failed["error"]["code"] == "audio_forgotten"
    assert failed["path_to_audio"] is None
    assert naming(tmp_path / "store", NAME) == []
    assert expect_ok(lfk("dlq", "list", "--json")).of("failure") == []
    expect_ok(lfk("forget", AUDIO, "--lift"))
    assert "1 new" in expect_ok(new("sync", "recordings")).out


def test_a_name_that_leads_to_two_recordings_or_to_all_removes_none(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned")
    expect_ok(lfk("init"))
    both = [tmp_path / "store/audio" / name for name in ("week1/a.wav", "sources/week1/a.wav")]
    for path in both:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"speech")
    for name in ("sources/week1/a.wav", "sources/week1/", "sources/", "./"):
        refused = lfk("forget", name, "--yes")
        assert (refused.code, [path.exists() for path in both]) == (2, [True, True]), name
    expect_ok(lfk("forget", (tmp_path / "store/audio/week1/a.wav").as_uri(), "--yes"))
    assert [path.exists() for path in both] == [False, True]
    # Nothing is stored under its other name now.
    expect_ok(lfk("forget", "sources/week1/a.wav", "--yes"))
    assert [path.exists() for path in both] == [False, False]


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_a_bucket_with_versions_and_topics_that_keep_records(
    tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    client = minio.client()
    client.put_bucket_versioning(Bucket=minio_bucket, VersioningConfiguration={"Status": "Enabled"})
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    expect_ok(lfk("init"))
    make_recordings(tmp_path / "recordings", 2)
    expect_ok(lfk("sync", "recordings"))
    client.put_object(Bucket=minio_bucket, Key="lfk/audio/simple/tiny/week 1/secret broken.wav", Body=b"")
    expect_ok(lfk("submit", "--trust", "simple/tiny/week 1/secret broken.wav"))
    assert lfk("hub", "--max-jobs", "3").code == 1
    # Written anew, so that the bucket keeps earlier versions of everything.
    expect_ok(lfk("submit", AUDIO, "--option", "formats=tsv"))
    expect_ok(lfk("hub", "--max-jobs", "1"))

    def kept(text: str) -> list[str]:
        found = []
        for page in client.get_paginator("list_object_versions").paginate(Bucket=minio_bucket):
            found += [mark["Key"] for mark in page.get("DeleteMarkers", ()) if text in mark["Key"]]
            for version in page.get("Versions", ()):
                got = client.get_object(Bucket=minio_bucket, Key=version["Key"], VersionId=version["VersionId"])
                if text in version["Key"] or text.encode() in got["Body"].read():
                    found.append(version["Key"])
        return found

    versions = Counter(kept(NAME))
    assert versions[f"lfk/audio/{AUDIO}"] == 1
    assert versions[f"lfk/transcripts/{AUDIO}.json"] == 3, "twice written, and the mark of its removal in between"
    assert len(versions) > 6
    done = expect_ok(lfk("forget", AUDIO, "simple/tiny/week 1/secret broken.wav", "--yes", "--json"))
    assert kept(NAME) == kept("secret broken") == []
    assert len(kept("talk 1")) >= 6
    summary = done.of("summary")[0]
    assert (summary["left"], summary["versions_held"], summary["audios"]) == (0, 0, 2)
    topics = {event["topic"]: event for event in done.of("topic")}
    dlq, transcripts = topics[f"{topic_prefix}.dlq"], topics[f"{topic_prefix}.transcripts"]
    assert (dlq["records"], dlq["retention_ms"], dlq["until"]) == (1, None, None)
    assert transcripts["records"] == 3
    assert topics[f"{topic_prefix}.audio"]["records"] == 0, "what was answered is removed"
    assert transcripts["until"] > 0
    told = expect_ok(lfk("forget", AUDIO, "--dry-run")).out
    assert "the store holds nothing of it" in told
    assert f"{topic_prefix}.transcripts: 2 records name it; they expire by " in told
    assert summary["kinds"]["failure"] == 1
