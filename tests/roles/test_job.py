"""One reference through the job runner, on a store in memory and the canned engine: what is done, kept and skipped."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lfk.brokers.base import Delivered, Partition
from lfk.brokers.codec import JsonCodec
from lfk.core.errors import (
    AccessDenied,
    AudioEmpty,
    AudioTooLarge,
    EngineCrashed,
    InvalidOption,
    LfkError,
    ModelMissing,
    ObjectMissing,
)
from lfk.core.location import parse_location
from lfk.core.manifest import Rendering, read_manifest
from lfk.core.messages import Announcement, AudioReference
from lfk.engine.base import ModelIdentity, Outcome, Recognised, StageProgress, Task
from lfk.engine.canned import CannedEngine, CannedKind
from lfk.engine.pool import EnginePool
from lfk.roles.expiring import Expiring
from lfk.roles.failures import Failures
from lfk.roles.hub.answers import receive
from lfk.roles.hub.job import Job
from lfk.roles.hub.runner import JobRunner, Limits
from lfk.roles.hub.scratch import Scratch
from lfk.roles.results import Results
from lfk.stores.memory import MemoryStore
from tests.roles.roots import ROOTS

FORMATS = ("txt", "srt", "vtt", "json")


class CountingKind(CannedKind):
    """The canned engine, counting its tasks; it may lack models, and may fail after the recognition."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.tasks: list[Task] = []
        self.lacks: set[str] = set()
        self.dies_after_recognition = False

    def identify(self, model: str) -> ModelIdentity:
        if model in self.lacks:
            raise ModelMissing(f"no weights for {model}")
        return super().identify(model)

    def start(self) -> CannedEngine:
        return _CountingEngine(self)


class _CountingEngine(CannedEngine):
    def __init__(self, kind: CountingKind) -> None:
        super().__init__(0.0)
        self._kind = kind

    def run(self, task: Task, progress: StageProgress | None = None, recognised: Recognised | None = None) -> Outcome:
        self._kind.tasks.append(task)
        outcome = super().run(task, progress, recognised)
        if self._kind.dies_after_recognition:
            raise EngineCrashed("it died while aligning")
        return outcome


class Bench:
    """A runner with everything around it."""

    def __init__(self, folder: Path, *, expires: bool = False) -> None:
        """``expires``: audio is noted as to be deleted in time."""
        self.store = MemoryStore()
        self.store.ensure(ROOTS.audio)
        self.kind = CountingKind()
        self.pool = EnginePool(self.kind, 1)
        self.scratch = Scratch(folder, 1 << 20)
        self.runner = JobRunner(
            store=self.store,
            roots=ROOTS,
            codec=JsonCodec(),
            results=Results(self.store, ROOTS),
            kind=self.kind,
            pool=self.pool,
            scratch=self.scratch,
            limits=Limits(audio_bytes=1000),
            rendering=Rendering(FORMATS, True, 0.5),
            fallbacks={"tiny": "tiny.en"},
            stop=threading.Event(),
            expiring=Expiring(self.store, ROOTS.records) if expires else None,
        )
        self.begun = 0
        self._offset = 0

    def close(self) -> None:
        self.pool.close()
        self.scratch.close()

    def upload(self, key: str, content: bytes = b"speech") -> None:
        self.store.put(ROOTS.audio.join(key), content, content_type="audio/wav")

    def job(self, path: str, **fields: Any) -> Job:
        self._offset += 1
        value = JsonCodec().encode_reference(AudioReference(path, **fields))
        return receive(Delivered(Partition("lfk.audio", 0), self._offset, 1, path.encode(), value), "lfk.audio.retry")[
            0
        ]

    def run(self, path: str, **fields: Any) -> Announcement:
        return self.runner.run(self.job(path, **fields), self._begin)

    def _begin(self) -> None:
        self.begun += 1

    def manifest(self, announcement: Announcement) -> Mapping[str, Any]:
        assert announcement.path_to_transcript is not None
        content, _info = self.store.read(parse_location(announcement.path_to_transcript), limit=1 << 20)
        data: Mapping[str, Any] = json.loads(content)
        return data


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()
    assert not list(tmp_path.iterdir())


def test_a_reference_becomes_files_manifest_and_announcement(bench: Bench) -> None:
    bench.upload("diarisation/tiny/week 1/x.wav")
    done = bench.run("diarisation/tiny/week 1/x.wav")
    assert done.status == "done"
    assert not done.reused
    assert done.transcription_approach == "diarisation.tiny"
    assert done.path_to_transcript == "s3://bucket/transcripts/diarisation/tiny/week 1/x.wav.json"
    assert set(done.files) == set(FORMATS)
    manifest = bench.manifest(done)
    assert manifest["lfk"]["event_id"] == done.event_id
    assert manifest["lfk"]["job_id"] == done.job_id
    assert manifest["word_segments"]
    for name, entry in manifest["lfk"]["files"].items():
        content, _info = bench.store.read(parse_location(entry["location"]), limit=1 << 20)
        assert len(content) == entry["size"], name
    assert bench.begun == 1


def test_a_second_reference_fetches_nothing_and_says_reused(bench: Bench) -> None:
    bench.upload("simple/tiny/x.wav")
    first = bench.run("simple/tiny/x.wav")
    again = bench.run("simple/tiny/x.wav")
    assert again.reused
    assert again.event_id != first.event_id
    assert (again.job_id, [*again.files.items()]) == (first.job_id, [*first.files.items()])
    assert "fetch" not in again.timings
    assert len(bench.kind.tasks) == bench.begun == 1


def test_equal_audio_under_another_name_is_rendered_and_not_recognised_again(bench: Bench) -> None:
    bench.upload("simple/tiny/x.wav")
    bench.upload("simple/tiny/y.wav")
    first = bench.run("simple/tiny/x.wav")
    second = bench.run("simple/tiny/y.wav")
    assert second.reused
    assert second.job_id == first.job_id
    assert second.path_to_transcript != first.path_to_transcript
    assert len(bench.kind.tasks) == 1


def test_another_approach_starts_from_the_recognition_that_is_there(bench: Bench) -> None:
    bench.upload("talks/x.wav")
    bench.run("talks/x.wav", transcription_approach="simple.tiny")
    second = bench.run("talks/x.wav", transcription_approach="diarisation.tiny")
    assert second.reused_stages == ("transcribe",)
    assert bench.kind.tasks[1].recognised is not None


def test_a_retry_after_a_late_stage_died_starts_from_the_recognition(bench: Bench) -> None:
    bench.upload("diarisation/tiny/x.wav")
    bench.kind.dies_after_recognition = True
    with pytest.raises(EngineCrashed):
        bench.run("diarisation/tiny/x.wav")
    bench.kind.dies_after_recognition = False
    assert bench.run("diarisation/tiny/x.wav").reused_stages == ("transcribe",)


def test_force_does_the_work_again_but_not_twice(bench: Bench) -> None:
    bench.upload("simple/tiny/x.wav")
    bench.run("simple/tiny/x.wav")
    job = bench.job("simple/tiny/x.wav", force=True)
    forced = bench.runner.run(job, lambda: None)
    assert not forced.reused
    assert bench.manifest(forced)["lfk"]["event_id"] == forced.event_id
    redelivered = bench.runner.run(receive(job.record, "lfk.audio.retry")[0], lambda: None)
    assert redelivered.reused
    assert redelivered.event_id == forced.event_id
    assert len(bench.kind.tasks) == 2


def test_other_formats_are_rendered_from_the_stored_result(bench: Bench) -> None:
    bench.upload("simple/tiny/x.wav")
    bench.run("simple/tiny/x.wav")
    more = bench.run("simple/tiny/x.wav", options={"formats": ["tsv", "txt"], "timestamps": False})
    assert more.reused
    assert {"tsv", "txt", "json"} <= set(more.files)
    text, _info = bench.store.read(parse_location(more.files["txt"]), limit=1 << 20)
    assert b"[0:00" not in text
    assert len(bench.kind.tasks) == 1


def test_the_flip_in_the_name_turns_timestamps_around(bench: Bench) -> None:
    bench.upload("simple/tiny/x-lfkn0t1m3.wav")
    done = bench.run("simple/tiny/x-lfkn0t1m3.wav")
    text, _info = bench.store.read(parse_location(done.files["txt"]), limit=1 << 20)
    assert b"[0:00" not in text


def test_a_transcript_of_another_audio_is_never_overwritten(bench: Bench) -> None:
    bench.upload("simple/tiny/x.wav", b"one")
    bench.upload("x.wav", b"two")
    first = bench.run("simple/tiny/x.wav")
    second = bench.run("x.wav")
    assert second.path_to_transcript != first.path_to_transcript
    assert "x~" in (second.path_to_transcript or "")
    assert bench.run("simple/tiny/x.wav").path_to_transcript == first.path_to_transcript
    assert bench.run("x.wav").path_to_transcript == second.path_to_transcript


def test_replaced_audio_gets_a_new_transcript_under_the_same_name(bench: Bench) -> None:
    bench.upload("simple/tiny/x.wav", b"one")
    first = bench.run("simple/tiny/x.wav")
    old = bench.store.stat(ROOTS.audio.join("simple/tiny/x.wav")).etag
    bench.upload("simple/tiny/x.wav", b"two, and longer")
    second = bench.run("simple/tiny/x.wav", etag=old)
    assert second.job_id != first.job_id
    assert second.path_to_transcript == first.path_to_transcript
    assert any("replaced" in warning for warning in second.warnings)


def test_an_operators_fallback_serves_and_says_so(bench: Bench) -> None:
    bench.upload("simple/tiny/x.wav")
    bench.kind.lacks = {"tiny"}
    done = bench.run("simple/tiny/x.wav")
    assert done.provenance["model"] == "tiny.en"
    assert done.transcription_approach == "simple.tiny"
    assert any("tiny.en" in warning for warning in done.warnings)


def test_a_dead_letter_that_comes_good_takes_its_record_away(bench: Bench) -> None:
    bench.upload("simple/tiny/x.wav")
    record = Failures(bench.store, ROOTS.records).location("a" * 32)
    bench.store.put(record, b"{}", content_type="application/json")
    bench.run("simple/tiny/x.wav", causation_id="a" * 32)
    with pytest.raises(ObjectMissing):
        bench.store.stat(record)


@pytest.mark.parametrize("causation", ["..", "../../audio/simple/tiny/x.wav", "x", "A" * 32, "\0"])
def test_a_cause_that_is_no_event_costs_nothing(bench: Bench, causation: str) -> None:
    bench.upload("simple/tiny/x.wav")
    assert bench.run("simple/tiny/x.wav", causation_id=causation).status == "done"


def test_a_failure_that_may_not_be_removed_costs_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise AccessDenied("nothing is deleted here")

    bench.upload("simple/tiny/x.wav")
    monkeypatch.setattr(bench.store, "delete", refuse)
    assert bench.run("simple/tiny/x.wav", causation_id="a" * 32).status == "done"


def test_a_leading_sources_may_be_part_of_the_key_or_not(bench: Bench) -> None:
    bench.upload("sources/simple/tiny/in.wav")
    bench.upload("simple/tiny/out.wav")
    inside = bench.run("sources/simple/tiny/in.wav")
    outside = bench.run(".\\sources\\simple\\tiny\\out.wav")
    assert inside.path_to_audio == "s3://bucket/audio/sources/simple/tiny/in.wav"
    assert outside.path_to_audio == "s3://bucket/audio/simple/tiny/out.wav"


@pytest.mark.parametrize(
    ("path", "fields", "error", "stage"),
    [
        ("simple/tiny/none.wav", {}, ObjectMissing, "fetch"),
        ("simple/tiny/empty.wav", {}, AudioEmpty, "fetch"),
        ("simple/tiny/large.wav", {}, AudioTooLarge, "fetch"),
        ("simple/base/x.wav", {}, ModelMissing, "fetch"),
        ("simple/tiny/x.wav", {"options": {"colour": "blue"}}, InvalidOption, "resolve"),
    ],
)
def test_what_cannot_be_done_says_so(
    bench: Bench, path: str, fields: dict[str, Any], error: type[LfkError], stage: str
) -> None:
    bench.upload("simple/tiny/empty.wav", b"")
    bench.upload("simple/tiny/large.wav", b"x" * 1001)
    bench.upload("simple/base/x.wav")
    bench.upload("simple/tiny/x.wav")
    bench.kind.lacks = {"base"}
    job = bench.job(path, **fields)
    with pytest.raises(error):
        bench.runner.run(job, lambda: None)
    assert job.stage == stage
    assert not bench.kind.tasks


def test_a_torn_transcript_is_made_whole(bench: Bench) -> None:
    """Killed between files and manifest, at whichever file: the redelivery finds the result and completes it."""
    bench.upload("simple/tiny/x.wav")
    done = bench.run("simple/tiny/x.wav")
    whole = {name: bench.store.read(parse_location(where), limit=1 << 20)[0] for name, where in done.files.items()}
    for name in FORMATS:
        bench.store.delete(parse_location(done.files["json"]))
        bench.store.delete(parse_location(done.files[name]))
        again = bench.run("simple/tiny/x.wav")
        assert again.reused
        for form, where in again.files.items():
            assert bench.store.read(parse_location(where), limit=1 << 20)[0] == whole[form]
    assert len(bench.kind.tasks) == 1
    assert read_manifest(whole["json"]).job_id == done.job_id
