"""The audio-driven way from outside: files in messages, through gateways that come and go, to transcripts."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import signal
import subprocess
import wave
from pathlib import Path

import pytest

from lfk.brokers.base import Record
from lfk.brokers.kafka import KafkaBroker
from lfk.core.location import parse_location
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, on_servers, run_hubs
from tests.services.s3 import S3Server
from tests.waiting import wait_until

_PATIENCE = 90.0


def with_gateway(folder: Path, kafka: str, server: S3Server, bucket: str, prefix: str) -> Lfk:
    lfk = on_servers(folder, kafka, server, bucket, prefix)
    # Small chunks, so that small files come in many of them.
    more = {"LFK_CHUNKS_GROUP": f"{prefix}.gateway", "MAX_MESSAGE_SIZE": "60000", "LFK_CHUNK_TIMEOUT": "3"}
    more["MAIN_NODE_TEMP_FOLDER"] = str(folder / "scratch")
    lfk = Lfk(folder, **{**lfk.environ, **more})
    expect_ok(lfk("init"))
    return lfk


def recording(path: Path, seed: int, seconds: float) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(16000)
        audio.writeframes(random.Random(seed).randbytes(int(16000 * seconds) * 2))
    return path.read_bytes()


def stored(server: S3Server, bucket: str) -> dict[str, str]:
    """The sha256 of each audio in the store, by its key below the audio root."""
    client = server.client()
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="lfk/audio/"):
        for entry in page.get("Contents", ()):
            content = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            found[entry["Key"].removeprefix("lfk/audio/")] = hashlib.sha256(content).hexdigest()
    return found


def references(kafka: str, topic: str) -> list[str]:
    broker = KafkaBroker({"bootstrap.servers": kafka})
    try:
        return [json.loads(record.value or b"")["path_to_audio"] for record in broker.snapshot(topic)]
    finally:
        broker.close()


def publish(kafka: str, topic: str, messages: list[tuple[str, bytes]]) -> None:
    # As the topic's limit is one of batches, and is low here.
    broker = KafkaBroker({"bootstrap.servers": kafka, "batch.size": 20_000})
    publisher = broker.publisher()
    outcomes: list[Exception | None] = []
    for key, value in messages:
        publisher.send(Record(topic, key.encode(), value), outcomes.append)
    publisher.close()
    broker.close()
    assert outcomes == [None] * len(messages)


def as_the_older_tool(path: Path, name: str, pair: str, step: int = 9000) -> list[tuple[str, bytes]]:
    """The messages of the older tool's producer: no numbers, params of the whole file in each."""
    messages = []
    with wave.open(str(path), "rb") as audio:
        params = ",".join(str(value) for value in audio.getparams())
        frames = audio.readframes(step)
        while frames:
            following = audio.readframes(step)
            message = {
                "path_to_audio": name,
                "params": params,
                "frames": base64.b64encode(frames).decode(),
                "transcription_approach": pair,
                "final": not following,
            }
            messages.append((name, json.dumps(message).encode()))
            frames = following
    return messages


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_files_travel_in_messages_and_become_transcripts(
    tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    lfk = with_gateway(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    expected = {}
    for number in range(4):
        content = recording(tmp_path / f"diarisation/base/week 1/talk {number}.wav", number, 2 + number)
        expected[f"diarisation/base/week 1/talk {number}.wav"] = hashlib.sha256(content).hexdigest()
    tagged = recording(tmp_path / "simple/tiny/tagged.wav", 9, 1) + b"LIST\x04\0\0\0INFO"
    (tmp_path / "simple/tiny/tagged.wav").write_bytes(tagged)
    expected["simple/tiny/tagged.wav"] = hashlib.sha256(tagged).hexdigest()
    other = random.Random(5).randbytes(123_457)
    (tmp_path / "simple/tiny/music.mp3").write_bytes(other)
    expected["simple/tiny/music.mp3"] = hashlib.sha256(other).hexdigest()

    planned = expect_ok(lfk("chunks", "send", *sorted(expected), "--dry-run", "--json"))
    assert planned.of("summary")[0]["sent"] == 6
    assert references(kafka, f"{topic_prefix}.chunks") == []
    sent = expect_ok(lfk("chunks", "send", *sorted(expected), "--json"))
    assert sent.of("summary")[0]["chunks"] == planned.of("summary")[0]["chunks"] > 20
    missing = lfk("chunks", "send", "nowhere.wav", "simple")
    assert missing.code == 1
    assert "file_unreadable" in missing.err
    assert "invalid_location" in missing.err

    # What the older tool sends: two files whose chunks alternate, and one whose producer was started again.
    recording(tmp_path / "old/one.wav", 21, 3)
    recording(tmp_path / "old/two.wav", 22, 4)
    one = as_the_older_tool(tmp_path / "old/one.wav", ".\\sources\\diarisation\\base\\one.wav", "diarisation.base")
    two = as_the_older_tool(tmp_path / "old/two.wav", ".\\sources\\simple\\tiny\\two.wav", "segmentation.tiny")
    together = [message for pair in zip(one, two, strict=False) for message in pair] + two[len(one) :]
    publish(kafka, f"{topic_prefix}.chunks", two[:2] + together)
    expected["diarisation/base/one.wav"] = hashlib.sha256((tmp_path / "old/one.wav").read_bytes()).hexdigest()
    expected["simple/tiny/two.wav"] = hashlib.sha256((tmp_path / "old/two.wav").read_bytes()).hexdigest()

    joined = expect_ok(lfk("chunks", "gateway", "--exit-when-idle", "2", "--json"))
    assert joined.of("summary") == [
        {"event": "summary", "joined": 8, "failed": 0, "bytes": joined.of("summary")[0]["bytes"]}
    ]
    assert stored(minio, minio_bucket) == expected
    root = f"s3://{minio_bucket}/lfk/audio/"
    assert sorted(references(kafka, f"{topic_prefix}.audio")) == sorted(root + name for name in expected)

    run_hubs(lfk, 1)
    done = expect_ok(lfk("transcripts", "--json")).of("transcript")
    assert {one["status"] for one in done} == {"done"}
    assert {one["transcription_approach"] for one in done if "two.wav" in one["path_to_audio"]} == {"segmentation.tiny"}
    # A file that is sent again is asked for again, and is there already.
    expect_ok(lfk("chunks", "send", "simple/tiny/music.mp3"))
    expect_ok(lfk("chunks", "gateway", "--exit-when-idle", "2"))
    assert len(references(kafka, f"{topic_prefix}.audio")) == 9
    assert stored(minio, minio_bucket) == expected


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_gateways_that_die_lose_nothing_and_refer_once(
    tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    lfk = with_gateway(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    lfk = Lfk(tmp_path, **{**lfk.environ, "LFK_CHUNK_TIMEOUT": "60"})
    chunks = f"{topic_prefix}.chunks"
    expected, messages = {}, []
    for number in range(12):
        content = recording(tmp_path / f"old/{number}.wav", number, 3 + number % 4)
        expected[f"simple/tiny/{number}.wav"] = hashlib.sha256(content).hexdigest()
        messages.append(as_the_older_tool(tmp_path / f"old/{number}.wav", f"sources/simple/tiny/{number}.wav", ""))
    # All audios under way at once: one chunk of each in turn.
    rounds = [chunk for turn in zip_longest(messages) for chunk in turn]
    victim = lfk.start("chunks", "gateway")
    survivor = lfk.start("chunks", "gateway")
    try:
        publish(kafka, chunks, rounds[: len(rounds) // 2])
        wait_until(lambda: any((tmp_path / "scratch").rglob("audio-*")), alive=[victim, survivor], every=0.2)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        publish(kafka, chunks, rounds[len(rounds) // 2 :])
        third = lfk.start("chunks", "gateway")
        try:
            wait_until(
                lambda: len(set(references(kafka, f"{topic_prefix}.audio"))) == 12, alive=[survivor, third], every=0.2
            )
        finally:
            _stop(third)
    finally:
        _stop(survivor)
        _stop(victim)
    assert stored(minio, minio_bucket) == expected
    found = references(kafka, f"{topic_prefix}.audio")
    assert sorted(found) == sorted(f"s3://{minio_bucket}/lfk/audio/{name}" for name in expected), "one reference each"
    assert expect_ok(lfk("transcripts", "--json")).of("transcript") == []


def zip_longest(lists: list[list[tuple[str, bytes]]]) -> list[list[tuple[str, bytes]]]:
    return [[one[at] for one in lists if at < len(one)] for at in range(max(map(len, lists)))]


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=_PATIENCE)


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_what_stays_away_and_what_is_no_chunk_is_answered(
    tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    lfk = with_gateway(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    recording(tmp_path / "old/part.wav", 1, 3)
    part = as_the_older_tool(tmp_path / "old/part.wav", "sources/simple/tiny/part.wav", "simple.tiny")
    publish(kafka, f"{topic_prefix}.chunks", [*part[:-1], ("junk", b"\xff junk")])
    done = lfk("chunks", "gateway", "--exit-when-idle", "1", "--json")
    assert done.code == 1
    assert done.of("summary")[0]["failed"] == 2
    failed = expect_ok(lfk("transcripts", "--json")).of("transcript")
    by_code = {one["error"]["code"]: one for one in failed}
    assert by_code.keys() == {"chunks_timed_out", "malformed_message"}
    audio = parse_location(f"s3://{minio_bucket}/lfk/audio/simple/tiny/part.wav")
    assert by_code["chunks_timed_out"]["path_to_audio"] == str(audio)
    assert by_code["malformed_message"]["topic"] == f"{topic_prefix}.chunks"
    assert stored(minio, minio_bucket) == {}
    assert references(kafka, f"{topic_prefix}.audio") == []


@pytest.mark.parametrize("action", [("gateway",), ("send", "x.wav")])
def test_without_a_kafka_it_says_what_to_do(tmp_path: Path, action: tuple[str, ...]) -> None:
    (tmp_path / "x.wav").write_bytes(b"RIFF")
    done = Lfk(tmp_path, LFK_STORE="store")("chunks", *action)
    assert done.code == 2
    assert "BOOTSTRAP_SERVERS" in done.err
    assert "lfk sync" in done.err
    away = Lfk(tmp_path, LFK_STORE="store", BOOTSTRAP_SERVERS="127.0.0.1:9")("chunks", *action)
    assert away.code == 3
