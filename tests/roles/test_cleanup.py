"""Cleanup on a store in memory: what is proved goes and stays away, and what happens in between harms nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lfk.core.batch import Entry
from lfk.core.errors import AccessDenied, AudioDeleted, BucketMissing, Kind, ObjectMissing, StoreUnreachable
from lfk.core.failure_record import FailureRecord
from lfk.core.location import Location
from lfk.core.messages import Announcement, AudioReference, Failure
from lfk.core.tombstone import Tombstone, tombstone_name
from lfk.roles.batch_progress import Judge
from lfk.roles.check import Check, Finding, Trouble
from lfk.roles.cleanup import Cleanup, Judged, Verdict
from lfk.roles.failures import Failures
from lfk.roles.tombstones import Tombstones
from lfk.stores.memory import MemoryStore
from tests.roles.roots import ROOTS
from tests.roles.test_job import Bench

KEY = "simple/tiny/a.wav"
AUDIO = ROOTS.audio.join(KEY)
LATER = 10_000_000_000.0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    opened = Bench(tmp_path)
    opened.upload(KEY)
    opened.run(str(AUDIO))
    yield opened
    opened.close()


def cleanup(store: MemoryStore, *, dry_run: bool = False, older_than: float = 0.0, now: float = LATER) -> list[Judged]:
    judged: list[Judged] = []
    Cleanup(
        store, ROOTS, judged.append, threading.Event(), older_than=older_than, dry_run=dry_run, clock=lambda: now
    ).stored()
    return judged


def findings(store: MemoryStore) -> list[Finding]:
    found: list[Finding] = []
    Check(store, ROOTS, found.append, threading.Event(), deep=False).run()
    return found


def there(store: MemoryStore, location: Location = AUDIO) -> bool:
    try:
        store.stat(location)
    except ObjectMissing:
        return False
    return True


def during(store: MemoryStore, method: str, location: Location, do: Callable[[], None]) -> None:
    """Do something once, right before a call of the store."""

    def called(name: str, at: Location) -> None:
        if (name, at) == (method, location):
            store._on_call = None
            do()

    store._on_call = called


def test_a_tombstone_tells_what_was_there(bench: Bench) -> None:
    before = bench.store.stat(AUDIO)
    (judged,) = cleanup(bench.store)
    assert (judged.verdict, judged.size) == (Verdict.DELETE, 6)
    assert not there(bench.store)
    found = Tombstones(bench.store, ROOTS.records).find(AUDIO)
    assert found is not None
    assert (found.etag, found.size, found.modified) == (before.etag, before.size, before.modified)
    assert len(found.sha256) == len(found.job_id) == 64
    assert found.transcript == str(ROOTS.transcripts.join(f"{KEY}.json"))
    assert cleanup(bench.store) == []


def test_the_transcript_answers_for_the_audio(bench: Bench) -> None:
    cleanup(bench.store)
    announcement = bench.run(str(AUDIO))
    assert (announcement.status, announcement.reused) == ("done", True)
    assert announcement.path_to_transcript == str(ROOTS.transcripts.join(f"{KEY}.json"))
    with pytest.raises(AudioDeleted, match="deleted on purpose"):
        bench.run(str(AUDIO), transcription_approach="simple.base")
    with pytest.raises(ObjectMissing):
        bench.run("simple/tiny/never-there.wav")
    bench.upload(KEY, b"another recording")
    assert not bench.run(str(AUDIO)).reused


def test_neither_check_nor_a_batch_misses_what_was_deleted_on_request(bench: Bench) -> None:
    cleanup(bench.store)
    assert findings(bench.store) == []
    entry = Entry(AudioReference(str(AUDIO), "simple.tiny"))
    (verdict,) = Judge(bench.store, ROOTS, ()).all([entry])
    assert verdict.state == "done"
    Tombstones(bench.store, ROOTS.records).remove(AUDIO)
    assert [one.trouble for one in findings(bench.store)] == [Trouble.ORPHAN]
    (verdict,) = Judge(bench.store, ROOTS, ()).all([entry])
    assert verdict.state == "gone"


def test_a_dry_run_tells_of_an_audio_once_and_deletes_nothing(bench: Bench) -> None:
    bench.run(str(AUDIO), transcription_approach="diarisation.base")
    assert [judged.name for judged in cleanup(bench.store, dry_run=True)] == [str(AUDIO)]
    assert there(bench.store)
    assert Tombstones(bench.store, ROOTS.records).find(AUDIO) is None
    assert [judged.verdict for judged in cleanup(bench.store)] == [Verdict.DELETE]


def test_what_is_replaced_at_the_last_moment_stays(bench: Bench) -> None:
    during(bench.store, "delete", AUDIO, lambda: bench.upload(KEY, b"newer"))
    (judged,) = cleanup(bench.store)
    assert (judged.verdict, judged.why) == (Verdict.KEEP, "it was replaced just now")
    assert there(bench.store)
    assert Tombstones(bench.store, ROOTS.records).find(AUDIO) is None


def test_a_crash_between_tombstone_and_delete_harms_nothing(bench: Bench) -> None:
    def crash() -> None:
        raise StoreUnreachable("the store is away")

    during(bench.store, "delete", AUDIO, crash)
    with pytest.raises(StoreUnreachable):
        cleanup(bench.store)
    assert there(bench.store)
    assert bench.run(str(AUDIO)).status == "done"
    assert [judged.verdict for judged in cleanup(bench.store)] == [Verdict.DELETE]


def test_recent_ones_and_ones_that_failed_otherwise_stay(bench: Bench) -> None:
    written = bench.store.stat(ROOTS.transcripts.join(f"{KEY}.json")).modified
    (judged,) = cleanup(bench.store, older_than=100.0, now=written + 99)
    assert judged.why == "the transcript is too recent"
    failures = Failures(bench.store, ROOTS.records)
    error = Failure("engine_crashed", "it died", "align", 3, True)
    announcement = Announcement("f" * 32, "failed", 1, path_to_audio=str(AUDIO), error=error)
    failures.save(FailureRecord(announcement, "hint", Kind.TRANSIENT, ("lfk.audio", 0, 0)))
    (judged,) = cleanup(bench.store)
    assert "failure" in judged.why
    failures.forget("f" * 32)
    bench.store.put(failures.location("e" * 32), b"junk", content_type="application/json")
    assert [judged.verdict for judged in cleanup(bench.store, older_than=100.0, now=written + 101)] == [Verdict.DELETE]


def test_a_manifest_that_points_elsewhere_deletes_nothing(bench: Bench) -> None:
    manifest = ROOTS.transcripts.join(f"{KEY}.json")
    content = bench.store.read(manifest, limit=1 << 20)[0]
    outside = ROOTS.records.join("broker")
    bench.store.put(outside, b"speech", content_type="text/plain")
    hostile = content.replace(str(AUDIO).encode(), str(outside).encode())
    bench.store.put(manifest, hostile, content_type="application/json")
    (judged,) = cleanup(bench.store)
    assert judged.why == "its audio is outside the audio root"
    assert there(bench.store, outside)


@pytest.mark.parametrize("error", [AccessDenied("not yours"), BucketMissing("no such bucket")])
def test_who_may_not_list_tombstones_goes_on_without(error: Exception) -> None:
    def refuse(method: str, _location: Location) -> None:
        if method == "list":
            raise error

    assert Tombstones(MemoryStore(on_call=refuse), ROOTS.records).find(AUDIO) is None


def test_tombstones_are_listed_once_in_a_while_and_read_with_care() -> None:
    calls: list[str] = []
    store = MemoryStore(on_call=lambda method, _location: calls.append(method))
    now = [0.0]
    tombstones = Tombstones(store, ROOTS.records, clock=lambda: now[0])
    for number in range(50):
        assert tombstones.find(ROOTS.audio.join(f"{number}.wav")) is None
    assert calls == ["list"]
    at = ROOTS.records.join(f"tombstones/{tombstone_name(AUDIO)}")
    other = Tombstone("s3://bucket/audio/other.wav", "0" * 64, 1, "e", 1.0, "j", "t", 1)
    for content in (b"junk", b"[]", b"{}", other.to_bytes()):
        store.put(at, content, content_type="application/json")
        now[0] += 61
        assert tombstones.find(AUDIO) is None
        assert tombstones.stand_in(AUDIO) is None
    assert Tombstone.from_bytes(other.to_bytes()) == other
