"""A real hub on a real Kafka whose S3 store goes wrong in every way that stores do.

Whatever the store does: one answer for each reference, whole transcripts, no attempt spent on an outage, no healthy
audio among the dead letters. What is the audio's own fault fails alone.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Lfk
from tests.acceptance.test_full_disk import heard
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.chaos.test_stopping import announcements, assert_whole
from tests.integration.meddler import Asked, Fault, Meddler, Rule, meddler
from tests.services.s3 import S3Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.slow]

JOBS = 12
AUDIO = "simple/tiny/week 1/talk {} 100%+#?.wav"


class Scene:
    """References that wait, a hub whose store is meddled with, and what comes of it."""

    def __init__(self, lfk: Lfk, between: Meddler, server: S3Server, bucket: str) -> None:
        self.lfk = lfk
        self.hub_side = Lfk(lfk.folder)
        self.hub_side.environ = {**lfk.environ, "AWS_ENDPOINT_URL_S3": between.url}
        self.between = between
        self.server = server
        self.bucket = bucket

    def key(self, number: int) -> str:
        return f"lfk/audio/{AUDIO.format(number)}"

    def answered(self, count: int = JOBS) -> Callable[[], bool]:
        return lambda: len(announcements(self.lfk)) >= count

    def run(self, rule: Rule | None = None, during: Callable[[subprocess.Popen[str]], None] | None = None) -> str:
        """A hub until all is answered; ``during`` is done while the rule is in force. Returns the hub's log."""
        with self.between.ruled(rule or (lambda _asked: None)):
            hub = self.hub_side.start("hub", "--workers", "2")
            with heard(hub) as lines:
                if during is not None:
                    during(hub)
                    self.between.rule = lambda _asked: None
                wait_until(self.answered(), alive=[hub], seconds=120, every=0.2)
        return "".join(lines)

    def all_done(self, *failed: int) -> list[dict[str, Any]]:
        """Each is answered once; all but ``failed`` are done, whole, and nothing else is a dead letter."""
        answers = announcements(self.lfk)
        assert len(answers) == len({one["event_id"] for one in answers}) == JOBS
        bad = {
            one["path_to_audio"].removeprefix(f"s3://{self.bucket}/") for one in answers if one["status"] == "failed"
        }
        assert bad == {self.key(number) for number in failed}, [one.get("error") for one in answers]
        done = [one for one in answers if one["status"] == "done"]
        assert_whole(self.server, self.bucket, done)
        kept = self.server.client().list_objects_v2(Bucket=self.bucket, Prefix="lfk/.lfk/failed/")
        assert kept.get("KeyCount", 0) == len(failed)
        return answers


@pytest.fixture
def scene(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> Iterator[Scene]:
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    # A single attempt: whatever costs one is seen at once.
    lfk.environ = {**lfk.environ, "LFK_ATTEMPTS": "1", "LFK_CANNED_SECONDS": "0.05", "LFK_GRACE": "5"}
    make_recordings(tmp_path / "recordings", JOBS)
    expect_ok(lfk("init"))
    expect_ok(lfk("sync", "recordings"))
    with meddler(minio.endpoint_url) as between:
        yield Scene(lfk, between, minio, minio_bucket)


REFUSALS = {
    "down": Fault(503, "SlowDown"),
    "broken": Fault(500, "InternalError"),
    "cut": Fault(),
    "expired": Fault(403, "ExpiredToken"),
    "unknown key": Fault(403, "InvalidAccessKeyId"),
    "clock": Fault(403, "RequestTimeTooSkewed"),
    "no bucket": Fault(404, "NoSuchBucket"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_store_that_refuses_everything_for_a_while_costs_nothing(scene: Scene, name: str) -> None:
    """The work waits: no attempt, no dead letter, no announcement; and goes on by itself."""

    def wait(hub: subprocess.Popen[str]) -> None:
        wait_until(scene.answered(3), alive=[hub], seconds=120, every=0.2)
        scene.between.rule = lambda _asked: REFUSALS[name]
        faults = scene.between.faults
        wait_until(lambda: scene.between.faults > faults + 20, alive=[hub], seconds=120, every=0.2)
        time.sleep(6)
        assert hub.poll() is None, "the hub has ended"

    log = scene.run(during=wait)
    scene.all_done()
    assert "Traceback" not in log


@pytest.mark.parametrize("code", ["XMinioStorageFull", "QuotaExceeded"])
def test_a_full_bucket_costs_nothing(scene: Scene, code: str) -> None:
    def full(asked: Asked) -> Fault | None:
        return Fault(507, code) if asked.method == "PUT" else None

    def wait(hub: subprocess.Popen[str]) -> None:
        faults = scene.between.faults
        wait_until(lambda: scene.between.faults > faults + 10, alive=[hub], seconds=120, every=0.2)
        time.sleep(3)
        assert announcements(scene.lfk) == []

    scene.run(full, wait)
    scene.all_done()


def test_a_bucket_with_room_for_little_things_only_costs_nothing(scene: Scene) -> None:
    """A probe's two bytes fit in; no transcript does."""

    def full(asked: Asked) -> Fault | None:
        return Fault(507, "XMinioStorageFull") if asked.method == "PUT" and len(asked.body) > 300 else None

    def wait(hub: subprocess.Popen[str]) -> None:
        faults = scene.between.faults
        wait_until(lambda: scene.between.faults > faults + 10, alive=[hub], seconds=120, every=0.2)
        time.sleep(3)
        assert announcements(scene.lfk) == []

    scene.run(full, wait)
    scene.all_done()


@pytest.mark.parametrize("seed", [1])
def test_a_store_that_is_never_quite_well(scene: Scene, seed: int) -> None:
    """One request in seven is refused, cut, slow, answered in part, or done with its answer lost on the way."""
    chance = random.Random(seed)
    kinds = (
        Fault(503, "SlowDown"),
        Fault(500, "InternalError"),
        Fault(),
        Fault(part=0.5),
        Fault(part=0.0),
        Fault(delay=0.7),
    )

    def unwell(_asked: Asked) -> Fault | None:
        return chance.choice(kinds) if chance.random() < 1 / 7 else None

    log = scene.run(unwell)
    scene.all_done()
    assert scene.between.faults > JOBS
    assert "Traceback" not in log


@pytest.mark.parametrize("status", [409, 412])
def test_conflicts_that_are_none_are_looked_into(scene: Scene, status: int) -> None:
    """The store says once of each conditional write that another one was under way."""
    seen: set[str] = set()

    def conflict(asked: Asked) -> Fault | None:
        conditional = any(name.lower() in ("if-none-match", "if-match") for name in asked.headers)
        if asked.method != "PUT" or not conditional or asked.path in seen:
            return None
        seen.add(asked.path)
        return Fault(status, "ConditionalRequestConflict" if status == 409 else "PreconditionFailed")

    scene.run(conflict)
    scene.all_done()
    assert len(seen) >= 2 * JOBS


def test_one_forbidden_object_fails_alone(scene: Scene) -> None:
    scene.run(lambda asked: Fault(403, "AccessDenied") if "talk 3 " in asked.path and "/audio/" in asked.path else None)
    answers = scene.all_done(3)
    (bad,) = [one for one in answers if one["status"] == "failed"]
    assert bad["error"]["code"] == "access_denied"


def test_audio_deleted_between_the_look_and_the_fetch_fails_alone(scene: Scene) -> None:
    client = scene.server.client()

    def gone(asked: Asked) -> Fault | None:
        if asked.is_about("GET", "/audio/simple/tiny/week 1/talk 5 "):
            client.delete_object(Bucket=scene.bucket, Key=scene.key(5))
        return None

    scene.run(gone)
    answers = scene.all_done(5)
    (bad,) = [one for one in answers if one["status"] == "failed"]
    assert bad["error"]["code"] == "object_missing"


def test_audio_replaced_between_the_look_and_the_fetch_is_taken_as_it_is_now(scene: Scene) -> None:
    scene.hub_side.environ = {**scene.hub_side.environ, "LFK_ATTEMPTS": "3", "LFK_BACKOFF": "0.5"}
    client = scene.server.client()
    replaced = []

    def meddled(asked: Asked) -> Fault | None:
        if asked.is_about("GET", "/audio/simple/tiny/week 1/talk 5 ") and not replaced:
            replaced.append(client.put_object(Bucket=scene.bucket, Key=scene.key(5), Body=b"another recording"))
        return None

    scene.run(meddled)
    answers = scene.all_done()
    assert sha256_of(scene, answers, 5) == hashlib.sha256(b"another recording").hexdigest()


def test_a_transcript_of_older_audio_never_ends_over_a_newer_one(scene: Scene) -> None:
    """The hub stands still just before it writes; the audio is replaced and done by another one meanwhile."""
    client = scene.server.client()
    again: list[str] = []

    def meddled(asked: Asked) -> Fault | None:
        if (
            asked.is_about("PUT", "/transcripts/simple/tiny/week 1/talk 5 ")
            and asked.path.endswith(".srt")
            and not again
        ):
            again.append(asked.path)
            time.sleep(1.1)  # the store's clock has seconds
            client.put_object(Bucket=scene.bucket, Key=scene.key(5), Body=b"a newer recording")
            environ = {
                **scene.lfk.environ,
                "LFK_GROUP": "another",
                "LFK_TOPIC_AUDIO": scene.lfk.environ["LFK_TOPIC_BULK"],
            }
            other = Lfk(scene.lfk.folder)
            other.environ = {**environ, "LFK_TOPIC_BULK": scene.lfk.environ["LFK_TOPIC_CHUNKS"]}
            expect_ok(other("submit", f"s3://{scene.bucket}/{scene.key(5)}"))
            expect_ok(other("hub", "--workers", "1", "--max-jobs", "1"))
        return None

    scene.hub_side.environ = {**scene.hub_side.environ, "LFK_TOPIC_BULK": scene.lfk.environ["LFK_TOPIC_CHUNKS"]}
    with scene.between.ruled(meddled):
        hub = scene.hub_side.start("hub", "--workers", "2")
        with heard(hub):
            wait_until(scene.answered(JOBS + 1), alive=[hub], seconds=120, every=0.2)
    answers = announcements(scene.lfk)
    assert [one["status"] for one in answers] == ["done"] * (JOBS + 1)
    assert_whole(scene.server, scene.bucket, answers)
    assert sha256_of(scene, answers, 5) == hashlib.sha256(b"a newer recording").hexdigest()


@pytest.mark.parametrize("kind", ["versioned", "locked"])
def test_buckets_of_other_kinds_are_served(
    kind: str, tmp_path: Path, kafka: str, minio: S3Server, topic_prefix: str
) -> None:
    """Versions that pile up, and objects that nobody may remove for a day."""
    client = minio.client()
    bucket = f"lfk-{topic_prefix}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=kind == "locked")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    if kind == "locked":
        rule: Any = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
        client.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
    try:
        lfk = on_servers(tmp_path, kafka, minio, bucket, topic_prefix)
        make_recordings(tmp_path / "recordings", 3)
        expect_ok(lfk("init"))
        expect_ok(lfk("sync", "recordings"))
        expect_ok(lfk("hub", "--max-jobs", "3"))
        # Other files of the same result: the old manifest has to go, and come again.
        expect_ok(lfk("submit", f"s3://{bucket}/lfk/audio/", "--option", "formats=txt"))
        expect_ok(lfk("hub", "--max-jobs", "3"))
        answers = announcements(lfk)
        assert [one["status"] for one in answers] == ["done"] * 6
        assert_whole(minio, bucket, answers)
    finally:
        found = client.list_object_versions(Bucket=bucket)
        for entry in (*found.get("Versions", ()), *found.get("DeleteMarkers", ())):
            client.delete_object(
                Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"], BypassGovernanceRetention=True
            )
        client.delete_bucket(Bucket=bucket)


def sha256_of(scene: Scene, answers: list[dict[str, Any]], number: int) -> str:
    """Which bytes the transcript of a recording says that it is of."""
    location = next(one["path_to_transcript"] for one in answers if f"talk {number} " in one["path_to_audio"])
    key = location.removeprefix(f"s3://{scene.bucket}/")
    content = scene.server.client().get_object(Bucket=scene.bucket, Key=key)["Body"].read()
    return str(json.loads(content)["lfk"]["audio"]["sha256"])
