"""Forgetting on a store in memory: nothing that names it is left, nothing else goes, and nothing brings it back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lfk.brokers.base import Record
from lfk.core.batch import Entry
from lfk.core.errors import AudioForgotten, EngineCrashed, InvalidLocation, Kind, ObjectMissing, RejectedReference
from lfk.core.failure_record import FailureRecord, OriginalRecord
from lfk.core.forget_target import Target, targets
from lfk.core.location import Location
from lfk.core.messages import Announcement, AudioReference, Failure
from lfk.core.speaker_names import SpeakerNames
from lfk.core.tombstone import Tombstone, tombstone_name
from lfk.roles.batches import Batches, new_batch, part_name
from lfk.roles.failures import Failures
from lfk.roles.forget import Forget, ForgetSummary, lift
from lfk.roles.forgotten import Forgotten
from lfk.roles.outbox import OutboxPublisher
from lfk.roles.speaker_names import NameRecords
from lfk.roles.tombstones import Tombstones
from lfk.roles.traces import Trace, Traces
from lfk.stores.base import ObjectStore
from lfk.stores.memory import MemoryStore
from tests.integration.syncing import Rig
from tests.roles.hub_bench import FaultyKind, HubBench
from tests.roles.roots import ROOTS
from tests.roles.test_job import Bench
from tests.waiting import wait_until

KEY = "week1/secret talk.wav"
AUDIO = ROOTS.audio.join(KEY)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    opened = Bench(tmp_path)
    yield opened
    opened.close()


def forget(store: ObjectStore, *names: str, dry_run: bool = False) -> tuple[ForgetSummary, list[Trace]]:
    traces: list[Trace] = []
    role = Forget(
        Traces(store, ROOTS, history=True),
        Forgotten(store, ROOTS.records),
        traces.append,
        threading.Event(),
        dry_run=dry_run,
    )
    return role.run([target for name in names for target in targets(name, ROOTS)]), traces


def contents(store: MemoryStore) -> dict[str, bytes]:
    return {str(info.location): store.read(info.location, limit=1 << 20)[0] for info in store.list(_everything())}


def names_it(store: MemoryStore, text: str = "secret") -> list[str]:
    """Every object whose key, content or metadata holds the text, also as JSON or base64 would write it."""
    found = []
    for info in store.list(_everything()):
        data, known = store.read(info.location, limit=1 << 20)
        if text in str(info.location) or text.encode() in data or text in str(dict(known.metadata)):
            found.append(str(info.location))
    return found


def _everything() -> Location:
    return Location("s3", "bucket", "")


def during(store: MemoryStore, method: str, at: Callable[[Location], bool], do: Callable[[], Any]) -> None:
    """Do something once, right before a call of the store."""

    def called(name: str, location: Location) -> None:
        if name == method and at(location):
            store._on_call = None
            do()

    store._on_call = called


def failure(event: str, path: str | None, value: bytes = b"") -> FailureRecord:
    announcement = Announcement(
        event, "failed", 1, path_to_audio=path, error=Failure("audio_undecodable", "no", "decode", 1, False)
    )
    original = OriginalRecord("lfk.audio", path.encode() if path else None, value)
    return FailureRecord(announcement, "", Kind.PERMANENT, ("lfk.audio", 0, 1), original)


def _natural(key: str) -> str:
    return f"{ROOTS.default_approach.name}/{ROOTS.default_model}/{key}"


def fill(bench: Bench) -> None:
    """Traces of every kind, of the audio and of its neighbours."""
    store = bench.store
    for key in (KEY, f"{KEY}.mp3", "week1/secret.wav", "week1/other.wav"):
        bench.upload(key, f"speech of {key}".encode())
        bench.run(key)
    bench.run(KEY, transcription_approach="diarisation.base")
    bench.run(KEY, options={"formats": ["rttm", "json"]}, force=True)
    for key in (KEY, "week1/other.wav"):
        location = str(ROOTS.audio.join(key))
        Failures(store, ROOTS.records).save(failure(f"{hash(key) & 0xFFFF:032x}", location))
        Failures(store, ROOTS.records).save(failure(f"{hash(key) & 0xFFFF:031x}a", None, f"not json {key}".encode()))
        OutboxPublisher(store, ROOTS.records, time.time).send(
            Record("lfk.audio", location.encode(), b"{}"), lambda _error: None
        )
        tombstone = Tombstone(location, "0" * 64, 1, "e", 1.0, "j" * 64, "s3://bucket/transcripts/x.json", 1)
        Tombstones(store, ROOTS.records).put(ROOTS.audio.join(key), tombstone)
        expiring = ROOTS.records.join(f"expiring/{tombstone_name(ROOTS.audio.join(key))}")
        store.put(expiring, tombstone.to_bytes(), content_type="application/json")
        at_work = {"host": "h", "jobs": [{"audio": location}]}
        store.put(ROOTS.records.join(f"hubs/{key[6:11]}.json"), json.dumps(at_work).encode(), content_type="text/plain")
        names = SpeakerNames("j" * 64, {"SPEAKER_00": f"Ada of {key[6:11]}"})
        NameRecords(store, ROOTS.records).save(_natural(key), names, None)
    batches = Batches(store, ROOTS.records)
    head = new_batch("submit", {})
    batches.record(head)
    entries = [Entry(AudioReference(path, options={"language": "en"})) for path in (KEY, "week1/other.wav")]
    batches.record_part(head.batch_id, part_name(0), entries, until=None)
    batches.record_part(head.batch_id, part_name(1), entries[:1], until=str(AUDIO))


def test_nothing_that_names_it_is_left_and_nothing_else_goes(bench: Bench) -> None:
    fill(bench)
    before = contents(bench.store)
    planned, told = forget(bench.store, KEY, dry_run=True)
    assert contents(bench.store) == before, "a dry run changes nothing"
    summary, traces = forget(bench.store, KEY)
    assert summary.left == 0
    assert (summary.audios, summary.removed) == (1, planned.removed)
    assert {trace.at for trace in traces} == {trace.at for trace in told}
    assert names_it(bench.store, "secret talk.wav") == names_it(bench.store, "secret talk.wav.mp3")
    after = contents(bench.store)
    gone = before.keys() - after.keys()
    assert gone == {str(trace.at) for trace in traces if trace.content is None}
    assert not [one for one in gone if "other" in one or ".mp3" in one or "secret.wav" in one]
    assert names_it(bench.store, "Ada of ") == [f"s3://bucket/.lfk/speakers/{_natural('week1/other.wav')}.json"]
    changed = {one for one in before.keys() & after.keys() if before[one] != after[one]}
    assert len(changed) == 1, "the batch keeps what it holds of others"
    assert b"other.wav" in after[changed.pop()]
    again, nothing = forget(bench.store, KEY)
    assert nothing == []
    assert not again.removed
    assert again.audios == 0


def test_a_prefix_means_all_below_it_and_no_more(bench: Bench) -> None:
    fill(bench)
    bench.upload("week10/x.wav", b"ten")
    bench.run("week10/x.wav")
    summary, _traces = forget(bench.store, "week1/")
    assert summary.audios == 4
    assert summary.left == 0
    assert names_it(bench.store, "week1/") == []
    assert len([one for one in contents(bench.store) if "week10" in one]) == 6
    assert forget(bench.store, "week1/")[1] == []


def test_of_two_that_share_a_key_each_goes_alone(bench: Bench) -> None:
    bench.upload("simple/tiny/a.wav", b"one")
    bench.upload("sources/a.wav", b"two")
    first = bench.run("simple/tiny/a.wav")
    other = ROOTS.audio.join("a.wav")
    bench.store.put(other, b"two", content_type="audio/wav")
    second = bench.run("a.wav")
    assert first.path_to_transcript != second.path_to_transcript
    forget(bench.store, "simple/tiny/a.wav")
    assert bench.manifest(second)["lfk"]["path_to_audio"] == str(other)
    with pytest.raises(ObjectMissing):
        bench.manifest(first)
    assert names_it(bench.store, "simple/tiny/a.wav") == []
    forget(bench.store, "a.wav")
    assert names_it(bench.store, "a~") == []


def test_equal_audio_elsewhere_keeps_its_transcript(bench: Bench) -> None:
    bench.upload(KEY)
    bench.upload("week1/twin.wav")
    bench.run(KEY)
    twin = bench.run("week1/twin.wav")
    assert twin.reused
    forget(bench.store, KEY)
    assert names_it(bench.store) == []
    assert bench.manifest(twin)["lfk"]["path_to_audio"].endswith("twin.wav")


def test_superseded_results_go_too(bench: Bench) -> None:
    bench.upload(KEY, b"first")
    bench.run(KEY)
    bench.upload(KEY, b"second")
    bench.run(KEY)
    forget(bench.store, KEY)
    assert [one for one in contents(bench.store) if "/results/" in one] == []


def test_results_of_versions_that_did_not_mark_them_are_looked_into(bench: Bench) -> None:
    for key in (KEY, "week1/other.wav"):
        bench.upload(key, key.encode())
        bench.run(key)
    for info in list(bench.store.list(ROOTS.records.join("results").as_prefix())):
        data, _info = bench.store.read(info.location, limit=1 << 20)
        bench.store.put(info.location, data, content_type="application/json")
    forget(bench.store, KEY)
    (left,) = [one for one in contents(bench.store) if "/results/" in one]
    assert b"other.wav" in contents(bench.store)[left]


def _is_manifest(location: Location) -> bool:
    return location.key == f"transcripts/simple/tiny/{KEY}.json"


@pytest.mark.parametrize(
    "moment",
    [
        ("download", lambda at: at == AUDIO),
        ("put", lambda at: at.key.startswith(".lfk/results/recognition-")),
        ("put", lambda at: at.key.startswith(".lfk/results/")),
        ("put", lambda at: at.key.endswith(".txt")),
        ("put", _is_manifest),
        # A look for the note itself.
        ("read", lambda at: at == ROOTS.records.join("forgotten/key")),
    ],
    ids=["fetch", "recognition", "result", "rendering", "manifest", "note"],
)
def test_a_hub_at_work_leaves_nothing(bench: Bench, moment: tuple[str, Callable[[Location], bool]]) -> None:
    bench.upload(KEY)
    during(bench.store, *moment, lambda: forget(bench.store, KEY))
    with pytest.raises((AudioForgotten, ObjectMissing)) as caught:
        bench.run(KEY)
    assert isinstance(caught.value, AudioForgotten)
    assert names_it(bench.store) == []
    assert [one for one in contents(bench.store) if "/results/" in one] == []


def test_what_a_hub_that_died_had_written_goes_with_its_reference(bench: Bench) -> None:
    bench.upload(KEY)
    bench.run(KEY)
    written = {
        info.location: bench.store.read(info.location, limit=1 << 20)[0]
        for info in bench.store.list(_everything())
        if info.location != AUDIO
    }
    forget(bench.store, KEY)
    for location, data in written.items():
        bench.store.put(location, data, content_type="application/json")
    with pytest.raises(AudioForgotten):
        bench.run(KEY)
    assert names_it(bench.store) == []


def test_new_audio_of_that_name_is_welcome_and_the_old_one_is_not(bench: Bench) -> None:
    bench.upload(KEY, b"old")
    bench.run(KEY)
    forget(bench.store, KEY)
    bench.upload(KEY, b"new")
    done = bench.run(KEY)
    assert done.status == "done"
    bench.upload(KEY, b"old")
    with pytest.raises(AudioForgotten):
        bench.run(KEY)
    assert lift(Forgotten(bench.store, ROOTS.records), [AUDIO]) == 1
    assert bench.run(KEY).status == "done"
    assert lift(Forgotten(bench.store, ROOTS.records), [AUDIO]) == 0


def test_a_slow_job_on_old_bytes_does_not_take_the_new_transcript_with_it(bench: Bench) -> None:
    bench.upload(KEY, b"old")
    done: list[Announcement] = []

    def meanwhile() -> None:
        forget(bench.store, KEY)
        bench.upload(KEY, b"new")
        done.append(bench.run(KEY))

    during(bench.store, "put", lambda at: at.key.endswith(".txt"), meanwhile)
    with pytest.raises(AudioForgotten):
        bench.run(KEY)
    assert bench.manifest(done[0])["lfk"]["path_to_audio"] == str(AUDIO)


def test_an_old_reference_is_answered_without_a_name(tmp_path: Path) -> None:
    bench = HubBench(tmp_path)
    bench.add_audio(KEY)
    forget(bench.store, KEY)
    bench.refer(KEY)
    (answer,) = bench.run(1)
    assert answer.error is not None
    assert answer.error.code == "audio_forgotten"
    assert (answer.path_to_audio, answer.job_id) == (None, None)
    assert (answer.topic, answer.offset) == ("lfk.audio", 0)
    (record,) = bench.broker.snapshot("lfk.transcripts")
    assert record.key is None
    assert b"secret" not in (record.value or b"")
    assert not bench.dead_letters()
    assert list(bench.failures.each()) == []


def test_a_failure_that_comes_in_the_same_moment_is_not_kept(tmp_path: Path) -> None:
    bench = HubBench(tmp_path)
    bench.add_audio(KEY)
    bench.store.put(AUDIO, b"", content_type="audio/wav")  # empty: refused for good

    def meanwhile(operation: str, location: Location) -> None:
        if operation == "put" and location.key.startswith(".lfk/failed/"):
            bench.store.fault = lambda _operation, _location: None
            forget(bench.store, KEY)

    bench.store.fault = meanwhile
    bench.refer(KEY)
    (answer,) = bench.run(1)
    assert answer.error is not None
    assert answer.error.code == "audio_forgotten"
    assert names_it(bench.store) == []
    assert not bench.dead_letters()


def test_an_engine_that_fails_on_forgotten_audio_says_so(tmp_path: Path) -> None:
    bench = HubBench(tmp_path)
    bench.add_audio(KEY)
    kind = FaultyKind()

    def fails(_task: Any) -> None:
        forget(bench.store, KEY)
        raise EngineCrashed("it died")

    kind.fault = fails
    bench.refer(KEY)
    with bench.hub(kind, attempts=1):
        wait_until(bench.answered(1))
    assert bench.outcomes() == {"audio_forgotten": 1}
    assert names_it(bench.store) == []


def test_sync_refuses_the_same_file_and_takes_another(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.write("simple/tiny/a.wav", b"old")
    rig.run()
    forget(rig.store, "simple/tiny/a.wav")
    rig.state.unlink()
    assert rig.run().outage is None
    assert rig.failures == {"simple/tiny/a.wav": "audio_forgotten"}
    rig.write("simple/tiny/a.wav", b"another recording")
    rig.run()
    assert rig.outcomes == {"simple/tiny/a.wav": "new"}


def test_names_of_transcripts_and_records_are_refused() -> None:
    for name in ("s3://bucket/transcripts/x.wav", "s3://elsewhere/x.wav", "../x.wav", "/etc/passwd", "simple/x.wav"):
        with pytest.raises(RejectedReference):
            targets(name, ROOTS)
    for name in ("sources/", "./", "./sources/", ".\\sources/"):
        # What is dropped where it leads a path would leave the whole store.
        with pytest.raises(InvalidLocation):
            targets(name, ROOTS)
    assert targets("s3://bucket/audio/", ROOTS) == [Target(ROOTS.audio.as_prefix(), "")]
    assert targets("sources/x.wav", ROOTS) == [
        Target(ROOTS.audio.join("x.wav"), "x.wav"),
        Target(ROOTS.audio.join("sources/x.wav"), "x.wav"),
    ]
