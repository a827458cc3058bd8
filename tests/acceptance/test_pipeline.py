"""The straight path through the real command line: folder, store, references, two hubs, announcements, files."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from tests.acceptance.command import Done, Lfk
from tests.services.s3 import S3Server
from tests.waiting import wait_until

FILES = 20


def make_recordings(folder: Path, count: int, approach: str = "simple", model: str = "tiny") -> None:
    """``count`` little wav files of different content below ``folder/<approach>/<model>``."""
    target = folder / approach / model / "week 1"
    target.mkdir(parents=True)
    for number in range(count):
        with wave.open(str(target / f"talk {number} 100%+#?.wav"), "wb") as audio:
            audio.setnchannels(1)
            audio.setsampwidth(2)
            audio.setframerate(16000)
            audio.writeframes(bytes([number, 1]) * 1600)


def expect_ok(done: Done) -> Done:
    assert done.code == 0, done.err
    return done


def on_servers(folder: Path, kafka: str, server: S3Server, bucket: str, prefix: str) -> Lfk:
    """lfk on real servers, with topics, group and bucket of its own."""
    return Lfk(
        folder,
        LFK_STORE=f"s3://{bucket}/lfk",
        AWS_ENDPOINT_URL_S3=server.endpoint_url,
        AWS_ACCESS_KEY_ID=server.access_key,
        AWS_SECRET_ACCESS_KEY=server.secret_key,
        AWS_REGION=server.region,
        BOOTSTRAP_SERVERS=kafka,
        LFK_TOPIC_AUDIO=f"{prefix}.audio",
        LFK_TOPIC_BULK=f"{prefix}.bulk",
        LFK_TOPIC_CHUNKS=f"{prefix}.chunks",
        LFK_TOPIC_TRANSCRIPTS=f"{prefix}.transcripts",
        LFK_TOPIC_RETRY=f"{prefix}.retry",
        LFK_TOPIC_DLQ=f"{prefix}.dlq",
        LFK_GROUP=f"{prefix}.hub",
        LFK_PARTITIONS="6",
        LFK_ENGINE="canned",
        LFK_CANNED_SECONDS="0.1",
    )


def run_hubs(lfk: Lfk, count: int) -> list[str]:
    """Several hubs at once, until nothing has come for a while; returns what each printed."""
    hubs = [lfk.start("hub", "--workers", "2", "--exit-when-idle", "12") for _ in range(count)]
    outputs = [hub.communicate(timeout=150)[0] for hub in hubs]
    assert [hub.returncode for hub in hubs] == [0] * count, outputs
    return outputs


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_a_folder_becomes_transcripts_on_kafka_and_s3(
    tmp_path: Path, kafka: str, s3_server: S3Server, bucket: str, topic_prefix: str
) -> None:
    lfk = on_servers(tmp_path, kafka, s3_server, bucket, topic_prefix)
    make_recordings(tmp_path / "recordings", FILES)
    expect_ok(lfk("init"))

    first = expect_ok(lfk("sync", "recordings", "--json"))
    assert first.of("summary")[0]["new"] == FILES
    outputs = run_hubs(lfk, 2)
    assert sum(output.count("\ndone  ") for output in outputs) == FILES

    announcements = expect_ok(lfk("transcripts", "--json")).of("transcript")
    assert len(announcements) == FILES
    assert len({one["event_id"] for one in announcements}) == FILES
    # Reused is what one hub had transcribed before the group was shared out and another announced it.
    assert all(one["status"] == "done" for one in announcements)
    assert all(one["provenance"]["engine"] == "canned" for one in announcements)

    out = tmp_path / "out"
    expect_ok(lfk("transcripts", "--out", str(out)))
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    wanted = {
        f"simple/tiny/week 1/talk {number} 100%+#?.wav.{form}"
        for number in range(FILES)
        for form in ("txt", "srt", "vtt", "json", "html")
    }
    assert names == wanted

    again = expect_ok(lfk("sync", "recordings", "--json"))
    assert again.of("summary")[0]["unchanged"] == FILES
    expect_ok(lfk("submit", f"s3://{bucket}/lfk/audio/"))
    run_hubs(lfk, 1)
    announcements = expect_ok(lfk("transcripts", "--json")).of("transcript")
    assert len(announcements) == 2 * FILES
    assert sum(one["reused"] for one in announcements) >= FILES


def test_without_a_broker_references_wait_in_the_store(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned")
    make_recordings(tmp_path / "recordings", 3, "diarisation")
    synced = expect_ok(lfk("sync", "recordings"))
    assert "wait" in synced.out
    assert len(list((tmp_path / "store" / ".lfk" / "outbox").iterdir())) == 3
    hub = expect_ok(lfk("hub", "--json", "--exit-when-idle", "4"))
    answers = hub.of("transcript")
    assert len({one["path_to_audio"] for one in answers}) == len(answers) == 3
    assert not any(one["reused"] for one in answers)
    assert not (tmp_path / "store" / ".lfk" / "outbox").exists()
    texts = expect_ok(lfk("transcripts", "--format", "txt"))
    assert texts.out.count("TRANSCRIPT OF file talk") == 3
    assert "SPEAKER_00" in texts.out


def test_up_transcribes_what_is_dropped_into_the_folder(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned", LFK_SETTLE="0.2")
    make_recordings(tmp_path / "recordings", 1)
    with lfk.running("up", "recordings", "--json") as up:
        first = tmp_path / "store/transcripts/simple/tiny/week 1/talk 0 100%+#?.wav.json"
        wait_until(first.exists, alive=[up])
        dropped = tmp_path / "recordings/segmentation/tiny/new.wav"
        dropped.parent.mkdir(parents=True)
        dropped.write_bytes(next((tmp_path / "recordings").rglob("*.wav")).read_bytes() + b"\0\0")
        wait_until((tmp_path / "store/transcripts/segmentation/tiny/new.wav.json").exists, alive=[up])
    assert up.returncode == 0
