"""Check, republish and batches from outside, on a real Kafka and S3 with the canned engine.

What is broken on purpose has to be found exactly; what all topics held has to come back from the bucket alone.
"""

from __future__ import annotations

import json
import subprocess
import wave
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, on_servers
from tests.services.s3 import S3Server
from tests.waiting import wait_until

AUDIOS = 60
NAMES = [f"simple/tiny/week{number % 3}/talk{number:02}.wav" for number in range(AUDIOS)]


def record(path: Path, number: int, seconds: float = 0.1) -> None:
    """A little wav of its own content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(16000)
        audio.writeframes(number.to_bytes(2, "little") * int(16000 * seconds))


class Rig:
    """lfk on real servers, and a client that breaks things behind its back."""

    def __init__(self, folder: Path, kafka: str, server: S3Server, bucket: str, prefix: str) -> None:
        self.lfk = on_servers(folder, kafka, server, bucket, prefix)
        self.lfk.environ = {
            **self.lfk.environ,
            "LFK_CANNED_SECONDS": "0",
            "LFK_FORMATS": "txt,json",
            "LFK_PARTITIONS": "2",
        }
        self.kafka = kafka
        self.bucket = bucket
        self.prefix = prefix
        self.s3 = server.client()
        for number, name in enumerate(NAMES):
            record(folder / "rec" / name, number)
        self.init()
        expect_ok(self.lfk("sync", "rec"))

    def audio(self, name: str) -> str:
        return f"lfk/audio/{name}"

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.s3.delete_object(Bucket=self.bucket, Key=key)

    def put(self, key: str, content: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)

    def keys(self, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"lfk/{prefix}")
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def work(self, code: int = 0) -> list[dict[str, Any]]:
        """One hub until nothing comes any more; its announcements."""
        done = self.lfk("hub", "--workers", "2", "--exit-when-idle", "10", "--json")
        assert done.code == code, done.err
        return done.of("transcript")

    def check(self, *options: str, code: int = 1) -> dict[str, set[str]]:
        """What is found, by trouble; names below their root."""
        done = self.lfk("check", "--json", *options)
        assert done.code == code, done.err
        found: dict[str, set[str]] = {}
        for one in done.of("finding"):
            name = one["location"].removeprefix(f"s3://{self.bucket}/lfk/")
            found.setdefault(one["trouble"], set()).add(name)
        return found

    def lose_all_topics(self) -> None:
        """As if the whole cluster had been lost and set up anew."""
        admin = AdminClient({"bootstrap.servers": self.kafka})
        mine = [name for name in admin.list_topics(timeout=10).topics if name.startswith(f"{self.prefix}.")]
        for future in admin.delete_topics(mine).values():
            future.result(30)
        wait_until(lambda: self._without_group(admin), "somebody stays in the group", every=0.5)
        wait_until(
            lambda: not any(name in admin.list_topics(timeout=10).topics for name in mine), "a topic stays", every=0.2
        )
        self.init()

    def _without_group(self, admin: AdminClient) -> bool:
        """Forget the group's progress; False while a member of it is still known to the broker."""
        try:
            for future in admin.delete_consumer_groups([f"{self.prefix}.hub"]).values():
                future.result(30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                raise
            return False
        return True

    def init(self) -> None:
        """Until the broker tells everybody of the topics, which a busy one does a little later."""
        expect_ok(self.lfk("init"))
        admin = AdminClient({"bootstrap.servers": self.kafka})
        wait_until(
            lambda: sum(name.startswith(f"{self.prefix}.") for name in admin.list_topics(timeout=10).topics) >= 6,
            "the topics are not told of",
            every=0.2,
        )

    def republish(self, *options: str) -> dict[str, Any]:
        summary: dict[str, Any] = expect_ok(self.lfk("republish", "--json", *options)).of("summary")[0]
        return summary


@pytest.fixture
def rig(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> Rig:
    return Rig(tmp_path, kafka, minio, minio_bucket, topic_prefix)


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_what_is_broken_is_found_exactly_and_repaired(rig: Rig) -> None:
    expect_ok(rig.lfk("submit", "simple/tiny/week0/", "--option", "formats=txt"))
    # An object that is there when it is referred to and empty when it is fetched is a dead letter.
    rig.put(rig.audio("simple/tiny/dead.wav"), b"x")
    expect_ok(rig.lfk("submit", "simple/tiny/dead.wav"))
    rig.put(rig.audio("simple/tiny/dead.wav"), b"")
    rig.work(code=1)
    assert rig.check() == {"failed": {"audio/simple/tiny/dead.wav"}}
    assert rig.lfk("status", "--json").of("status")[0]["batches"] == []

    stale, missing, orphan, torn, short, damaged = NAMES[:6], NAMES[6:10], NAMES[10:13], NAMES[13], NAMES[14], NAMES[15]
    for number, name in enumerate(stale):
        rig.put(rig.audio(name), b"newer %d" % number)
    for name in missing:
        rig.delete(f"lfk/transcripts/{name}.json", f"lfk/transcripts/{name}.txt", f"lfk/.lfk/owners/{name}")
    for name in orphan:
        rig.delete(rig.audio(name))
    rig.delete(f"lfk/transcripts/{torn}.json")
    rig.delete(f"lfk/transcripts/{short}.txt")
    text = rig.s3.get_object(Bucket=rig.bucket, Key=f"lfk/transcripts/{damaged}.txt")["Body"].read()
    rig.put(f"lfk/transcripts/{damaged}.txt", text[:-1] + b"?")
    rig.put("lfk/transcripts/readme.txt", b"no transcript of anything")
    rig.put("lfk/.lfk/results/" + "ab" * 32 + ".json", b'{"version": 1}')

    found = rig.check("--deep")
    results = {name for name in found["half-written"] if "/results/" in name}
    # Results whose transcripts were taken away, and the one that never was one.
    assert len(results) == len(missing) + 1
    assert found == {
        "stale": {f"audio/{name}" for name in stale},
        "missing": {f"audio/{name}" for name in missing},
        "orphan": {f"transcripts/{name}.json" for name in orphan},
        "half-written": {
            f"audio/{torn}", f"transcripts/{short}.json", f"transcripts/{damaged}.json", *results
        },
        "failed": {"audio/simple/tiny/dead.wav"},
    }  # fmt: skip
    assert f"transcripts/{damaged}.json" not in rig.check()["half-written"]

    rig.put(rig.audio("simple/tiny/dead.wav"), b"sound")
    dry = rig.republish("--only", "missing,stale,failed", "--dry-run")
    # The two that are half-written, and what is named above.
    assert dry["sent"] == len(stale) + len(missing) + 2 + 1
    assert dry["audio_hours"] > 0
    sent = rig.republish("--only", "missing,stale,failed")
    assert sent["sent"] == dry["sent"]
    batch = expect_ok(rig.lfk("status", "--json", "--batch", sent["batch_id"])).of("batch")[0]
    # The transcript that only lacks a file is there as far as its manifest tells.
    assert (batch["asked"], batch["done"], batch["outstanding"]) == (sent["sent"], 1, sent["sent"] - 1)
    announced = rig.work()
    assert {one["batch_id"] for one in announced} == {sent["batch_id"]}
    assert Counter(one["status"] for one in announced) == {"done": sent["sent"]}
    left = rig.check()
    assert set(left) == {"orphan", "half-written"}
    assert {name for name in left["half-written"] if "/results/" in name} == left["half-written"]
    assert rig.keys(".lfk/batches") == []


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_the_bucket_alone_brings_back_what_all_topics_held(rig: Rig) -> None:
    expect_ok(rig.lfk("hub", "--workers", "2", "--max-jobs", "20"))
    answered = {key for key in rig.keys("transcripts/") if key.endswith(".json")}
    assert 20 <= len(answered) < AUDIOS
    # Work with wishes of its own: another approach, an option, and both through sync.
    expect_ok(rig.lfk("submit", NAMES[0], NAMES[1], "--approach", "diarisation", "--model", "base"))
    expect_ok(rig.lfk("submit", NAMES[2], "--option", "language=de"))
    record(rig.lfk.folder / "more" / "new.wav", 999)
    expect_ok(rig.lfk("sync", "more", "--approach", "segmentation", "--option", "beam_size=3"))
    assert len(rig.lfk("status", "--json").of("status")[0]["batches"]) == 3
    # A recording that was replaced after its transcript: its new reference is lost with the topic, too.
    replaced = min(answered - {f"lfk/transcripts/{name}.json" for name in NAMES[:3]})
    name = replaced.removeprefix("lfk/transcripts/").removesuffix(".json")
    record(rig.lfk.folder / "rec" / name, 1234)
    expect_ok(rig.lfk("sync", "rec"))

    rig.lose_all_topics()
    plain = AUDIOS - len(answered) - sum(f"lfk/transcripts/{NAMES[2]}.json" not in answered for _once in (1,))
    sent = rig.republish("--only", "missing")
    # The new file's path alone would ask for a simple transcript; what sync asked for it is another one.
    assert (sent["of_open_batches"], sent["sent"]) == (4, 4 + plain + 1 + 1)
    announced = rig.work()
    assert [one for one in announced if one["status"] != "done"] == []
    made = {key.removeprefix("lfk/transcripts/").removesuffix(".json") for key in rig.keys("transcripts/")}
    assert {f"diarisation/base/{name.removeprefix('simple/tiny/')}" for name in NAMES[:2]} <= made
    assert "segmentation/tiny/new.wav" in made
    assert set(NAMES) <= made
    german = rig.s3.get_object(Bucket=rig.bucket, Key=f"lfk/transcripts/{NAMES[2]}.json")["Body"].read()
    assert json.loads(german)["language"] == "de"
    assert rig.check(code=0) == {}
    assert rig.keys(".lfk/batches") == []
    assert rig.republish("--only", "missing")["sent"] == 0


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_a_republish_that_was_killed_goes_on_where_it_was(rig: Rig) -> None:
    count = 2500
    # Names alone matter here; nobody transcribes these.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: rig.put(rig.audio(f"many/{number:05}.wav"), b"sound"), range(count)))
    process = rig.lfk.start("republish", "many/", "--json")
    wait_until(
        lambda: len([key for key in rig.keys(".lfk/batches") if "/parts/" in key]) >= 2,
        alive=[process],
        seconds=120,
        every=0.01,
    )
    process.kill()
    process.communicate()
    before = _sent(rig)
    batch = rig.lfk("status", "--json").of("status")[0]["batches"][0]
    assert not batch["finished"]
    again = rig.republish("--resume", batch["batch_id"])
    assert again["finished"]
    sent = _sent(rig)
    wanted = {f"s3://{rig.bucket}/lfk/audio/many/{number:05}.wav" for number in range(count)}
    assert set(sent) == wanted
    assert sum(before.values()) + again["sent"] == sum(sent.values())
    assert max(sent.values()) <= 2
    done = rig.lfk("republish", "--resume", batch["batch_id"])
    assert done.code == 2
    assert "sent to its end" in done.err


def _sent(rig: Rig) -> Counter[str]:
    """Record keys on the bulk topic, and how often each is there."""
    from lfk.brokers.kafka import KafkaBroker

    records = KafkaBroker({"bootstrap.servers": rig.kafka}).snapshot(f"{rig.prefix}.bulk")
    return Counter((one.key or b"").decode() for one in records)


def test_a_list_is_read_from_a_pipe_as_it_comes(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned")
    for number in range(20):
        record(tmp_path / "store/audio/simple/tiny" / f"{number:02}.wav", number)
    names = [f"simple/tiny/{number:02}.wav" for number in range(20)]
    with subprocess.Popen(
        lfk.argv(("submit", "-", "--json", "-v")),
        cwd=tmp_path,
        env=dict(lfk.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(f"{name}\n" for name in names[:10]))
        process.stdin.flush()
        # They are sent although the list has not ended.
        first = [json.loads(process.stdout.readline()) for _name in names[:10]]
        rest, err = process.communicate("\n".join([*names[10:], "missing.wav", "simple/tiny/"]), timeout=60)
    events = [*first, *map(json.loads, rest.splitlines())]
    assert [one["name"] for one in events if one["event"] == "reference"][:20] == names
    summary = events[-1]
    assert (summary["sent"], summary["failed"], summary["batch_id"]) == (40, 1, None)
    assert json.loads(err.splitlines()[-1])["code"] == "object_missing"
    assert process.returncode == 1


def test_lists_that_cannot_be_used(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned")
    (tmp_path / "list").write_bytes(b"\xff\xfe.wav\n" + b"x" * 20000 + b"\n../up.wav\n")
    (tmp_path / "store" / "audio").mkdir(parents=True)
    done = lfk("submit", "--from-file", "list", "--trust", "--json")
    assert done.code == 1
    assert {json.loads(line)["code"] for line in done.err.splitlines()} == {"invalid_location"}
    assert lfk("submit", "--from-file", "nowhere").code == 1
    assert lfk("submit").code == 2
    assert lfk("republish", "--only", "everything").code == 2
    assert lfk("republish", "--since", "yesterday").code == 2
    assert lfk("republish", "--resume", "../x").code == 2
    assert lfk("status", "--batch", "20260101-000000-00000000").code == 2
