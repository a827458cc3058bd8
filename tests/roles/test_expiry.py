"""Audio that is deleted in time: what keeps it, what a crash leaves, and who does it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lfk.brokers.base import Partition, Progress, Record
from lfk.brokers.codec import JsonCodec
from lfk.brokers.memory import MemoryBroker
from lfk.core.batch import Entry
from lfk.core.errors import (
    AccessDenied,
    AudioDeleted,
    BrokerUnreachable,
    Kind,
    LfkError,
    PreconditionFailed,
    StoreUnreachable,
)
from lfk.core.failure_record import FailureRecord
from lfk.core.ledger import Ledger
from lfk.core.location import Location
from lfk.core.messages import Announcement, AudioReference, Failure
from lfk.roles.batches import Batches, BatchRecorder, new_batch
from lfk.roles.expiring import Expiring
from lfk.roles.expiry import Expiry, Look
from lfk.roles.failures import Failures
from lfk.roles.hub.backups import BackupsKeeper
from lfk.roles.local_copies import LocalCopies
from lfk.roles.outbox import OutboxPublisher, drain
from lfk.roles.pending import Pending
from lfk.roles.tombstones import Tombstones
from lfk.stores.memory import MemoryStore
from tests.roles.hub_bench import LANES, HubBench
from tests.roles.roots import ROOTS
from tests.roles.test_cleanup import during, findings, there
from tests.roles.test_job import Bench
from tests.waiting import wait_until

KEY = "simple/tiny/a.wav"
AUDIO = ROOTS.audio.join(KEY)
GRACE = 1000.0
TOPICS = (LANES["fresh"], LANES["bulk"], LANES["retry"])


class _Deaf:
    """A listener of a group whose members only settle."""

    def assigned(self, committed: Mapping[Partition, Progress | None]) -> Mapping[Partition, int | None]:
        return dict.fromkeys(committed)

    def revoked(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Nothing."""

    def missed(self, partition: Partition, first: int) -> None:
        """Nothing."""


class Aged(Bench):
    """One recording that was transcribed and whose grace time is over, and a group of hubs that has read nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, expires=True)
        self.broker = MemoryBroker(partitions=2)
        self.member = self.broker.member("hubs", TOPICS, _Deaf())
        self.pending = Pending(self.broker, self.store, ROOTS, "hubs", TOPICS, JsonCodec().decode_reference)
        self.upload(KEY)
        self.run(str(AUDIO))
        (record,) = Expiring(self.store, ROOTS.records).listed()
        self.record = record.location
        self.now = record.modified + GRACE

    @property
    def records(self) -> int:
        return len(list(Expiring(self.store, ROOTS.records).listed()))

    def expiry(self, **options: Any) -> Expiry:
        return Expiry(self.store, ROOTS, self.pending, GRACE, threading.Event(), clock=lambda: self.now, **options)

    def look(self) -> Look:
        return self.expiry().look()

    def refer(self, lane: str, **fields: Any) -> None:
        value = json.dumps({"path_to_audio": str(AUDIO), **fields}).encode()
        self.broker.publisher().send(Record(LANES[lane], b"a key of its sender's", value), lambda _error: None)

    def settle(self, lane: str, *, but: int | None = None) -> None:
        """The group is done with all that is on a topic, except for the offset ``but``."""
        for partition in self.broker.standing("hubs", LANES[lane]):
            ledger = Ledger()
            for record in self.broker.snapshot(LANES[lane]):
                if record.partition == partition:
                    ledger.deliver(record.offset)
                    if record.offset != but:
                        ledger.finish(record.offset)
            if (mark := ledger.progress()) is not None:
                self.member.settle([], {partition: Progress(*mark)})


@pytest.fixture
def aged(tmp_path: Path) -> Iterator[Aged]:
    opened = Aged(tmp_path)
    yield opened
    opened.close()


def test_it_goes_when_its_time_is_over_and_leaves_what_answers_for_it(aged: Aged) -> None:
    aged.now -= 1
    look = aged.look()
    assert (look.waiting, look.deleted, there(aged.store)) == (1, 0, True)
    aged.now += 1
    look = aged.look()
    assert (look.waiting, look.deleted, look.size, look.complete) == (0, 1, 6, True)
    assert not there(aged.store)
    assert aged.records == 0
    assert there(aged.store, ROOTS.transcripts.join(f"{KEY}.txt"))
    assert findings(aged.store) == []
    answer = aged.run(str(AUDIO))
    assert (answer.status, answer.reused) == ("done", True)
    assert aged.records == 0, "what is deleted does not expire again"
    with pytest.raises(AudioDeleted, match="on purpose") as refused:
        aged.run(str(AUDIO), transcription_approach="simple.base")
    assert refused.value.code == "audio_deleted"


def test_another_answer_begins_the_time_anew(aged: Aged) -> None:
    assert aged.run(str(AUDIO)).reused
    assert (aged.look().waiting, there(aged.store)) == (1, True)


def test_audio_that_goes_while_it_is_about_to_be_fetched_is_told_of_as_deleted(aged: Aged) -> None:
    during(aged.store, "download", AUDIO, lambda: None if aged.look().deleted else pytest.fail("it stayed"))
    with pytest.raises(AudioDeleted):
        aged.run(str(AUDIO), transcription_approach="simple.base")


@pytest.mark.parametrize("lane", list(LANES))
@pytest.mark.parametrize(
    "fields",
    [{}, {"transcription_approach": "diarisation.base"}, {"path_to_audio": r".\sources\simple\tiny\a.wav"}],
    ids=["same", "other", "relative"],
)
def test_a_reference_that_waits_keeps_it(aged: Aged, lane: str, fields: dict[str, str]) -> None:
    aged.refer(lane, **fields)
    look = aged.look()
    assert look.deleted == 0
    assert look.kept == {f"a reference to it is not done in {LANES[lane]}": 1}
    assert there(aged.store)
    aged.settle(lane)
    assert aged.look().deleted == 1


def test_a_reference_that_is_open_behind_others_keeps_it(aged: Aged) -> None:
    aged.broker.publisher().send(Record(LANES["bulk"], b"k", b"not a reference"), lambda _error: None)
    for _number in range(3):
        value = json.dumps({"path_to_audio": str(AUDIO)}).encode()
        aged.broker.publisher().send(Record(LANES["bulk"], b"k", value), lambda _error: None)
    aged.settle("bulk", but=2)
    assert aged.look().deleted == 0
    aged.settle("bulk")
    assert aged.look().deleted == 1


def test_references_to_other_audio_keep_nothing(aged: Aged) -> None:
    aged.refer("fresh", path_to_audio="simple/tiny/b.wav")
    aged.refer("fresh", path_to_audio="../a.wav")
    assert aged.look().deleted == 1


def test_a_reference_in_the_outbox_keeps_it(aged: Aged) -> None:
    value = json.dumps({"path_to_audio": str(AUDIO), "transcription_approach": "simple.base"}).encode()
    OutboxPublisher(aged.store, ROOTS.records, lambda: 1.0).send(Record(LANES["fresh"], b"k", value), lambda _e: None)
    aged.store.put(ROOTS.records.join("outbox/junk.json"), b"junk", content_type="application/json")
    assert aged.look().kept == {"a reference to it waits in the outbox": 1}
    drain(aged.store, ROOTS.records, aged.broker.publisher(), set())
    assert aged.look().kept == {f"a reference to it is not done in {LANES['fresh']}": 1}
    aged.settle("fresh")
    assert aged.look().deleted == 1


def test_an_open_batch_keeps_it_until_it_is_answered(aged: Aged) -> None:
    batches = Batches(aged.store, ROOTS.records)
    recorder = BatchRecorder(batches, new_batch("submit", {}))
    asked = AudioReference(str(AUDIO), "simple.base", batch_id=recorder.head.batch_id)
    recorder.part([Entry(AudioReference("simple/tiny/b.wav")), Entry(asked)])
    recorder.note(finished=True)
    assert aged.look().kept == {"an open batch asks for it": 1}
    aged.run(str(AUDIO), transcription_approach="simple.base")
    aged.now += GRACE
    assert aged.look().deleted == 1


def test_a_recorded_failure_keeps_it_until_it_is_dealt_with(aged: Aged) -> None:
    failures = Failures(aged.store, ROOTS.records)
    error = Failure("engine_crashed", "it died", "align", 3, True)
    announcement = Announcement("f" * 32, "failed", 1, path_to_audio=str(AUDIO), error=error)
    failures.save(FailureRecord(announcement, "hint", Kind.TRANSIENT, ("lfk.audio", 0, 0)))
    aged.store.put(failures.location("e" * 32), b"junk", content_type="application/json")
    expiry = aged.expiry()
    assert expiry.look().kept == {"a failure of it is recorded, which may be tried again": 1}
    failures.forget("f" * 32)
    assert expiry.look().deleted == 1


def test_what_asks_for_a_model_that_is_not_offered_here_keeps_it(aged: Aged) -> None:
    """Other hubs may offer it, and an operator may allow it and try the failure again."""
    aged.refer("fresh", transcription_approach="diarisation.gigantic")
    (why,) = aged.look().kept
    assert why.startswith("a reference to it is not done in")
    aged.settle("fresh")
    error = Failure("unknown_model", "no such model", "resolve", 1, False)
    # As a hub answers for what it could not resolve: with the path as it came.
    announcement = Announcement("5" * 32, "failed", 1, path_to_audio=f"sources/{KEY}", error=error)
    Failures(aged.store, ROOTS.records).save(FailureRecord(announcement, "", Kind.PERMANENT, ("t", 0, 0), None))
    assert aged.look().kept == {"a failure of it is recorded, which may be tried again": 1}
    assert there(aged.store)


def test_without_a_broker_that_answers_nothing_goes(aged: Aged) -> None:
    aged.broker.reachable = False
    with pytest.raises(BrokerUnreachable):
        aged.look()
    assert there(aged.store)
    assert aged.records == 1


def test_audio_that_was_replaced_stays(aged: Aged) -> None:
    aged.upload(KEY, b"newer speech")
    look = aged.look()
    assert (look.deleted, look.kept, look.failed) == (0, {}, 0)
    assert there(aged.store)
    assert aged.records == 0, "its own transcript will record it anew"
    aged.run(str(AUDIO))
    aged.now += GRACE
    assert aged.look().deleted == 1


def test_audio_that_is_replaced_at_the_last_moment_stays(aged: Aged) -> None:
    during(aged.store, "delete", AUDIO, lambda: aged.upload(KEY, b"newer"))
    assert aged.look().kept == {"it was replaced just now": 1}
    assert there(aged.store)
    assert Tombstones(aged.store, ROOTS.records).find(AUDIO) is None


def test_two_hubs_that_delete_at_once_leave_the_tombstone(aged: Aged) -> None:
    """The other one is first, and this store calls the missing object a failed condition."""

    def other_hub() -> None:
        assert aged.look().deleted == 1
        raise PreconditionFailed("it is not the object with that ETag")

    during(aged.store, "delete", AUDIO, other_hub)
    assert aged.look().kept == {}
    assert not there(aged.store)
    assert Tombstones(aged.store, ROOTS.records).find(AUDIO) is not None


def test_a_hub_that_slept_asks_again_who_waits(aged: Aged) -> None:
    """It stands still between its question and the deletion, and meanwhile somebody refers to the audio."""
    before = aged.pending.of

    def slept(audios: Collection[Location]) -> dict[Location, str]:
        found = before(audios)
        expiry.sleep = True
        return found

    def clock() -> float:
        if expiry.sleep and not expiry.woken:
            # The first look at the clock after the answer is before the sleep.
            expiry.woken = True
        elif expiry.sleep:
            aged.refer("fresh", transcription_approach="diarisation.base")
            aged.now += 3600.0
            expiry.sleep = False
        return aged.now

    expiry = SimpleNamespace(sleep=False, woken=False)
    aged.pending.of = slept  # type: ignore[method-assign]
    role = Expiry(aged.store, ROOTS, aged.pending, GRACE, threading.Event(), clock=clock)
    assert role.look().kept == {"it is asked again whether anybody waits for it": 1}
    assert there(aged.store)
    aged.pending.of = before  # type: ignore[method-assign]
    (why,) = role.look().kept
    assert why.startswith("a reference to it is not done in")


def test_a_record_that_is_written_anew_meanwhile_stays(aged: Aged) -> None:
    """The audio comes back and is transcribed between its deletion and that of its record."""

    def come_back() -> None:
        aged.upload(KEY)
        aged.run(str(AUDIO))

    during(aged.store, "delete", aged.record, come_back)
    assert aged.look().deleted == 1
    assert aged.records == 1
    aged.now += GRACE
    assert aged.look().deleted == 1
    assert not there(aged.store)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda store: store.delete(ROOTS.transcripts.join(f"{KEY}.srt")), "its srt is missing"),
        (
            lambda store: store.put(ROOTS.transcripts.join(f"{KEY}.txt"), b"other", content_type="text/plain"),
            "its txt is not what the manifest says",
        ),
        (lambda store: store.delete(ROOTS.transcripts.join(f"{KEY}.json")), "its transcript is gone"),
    ],
)
def test_without_a_whole_transcript_it_stays(aged: Aged, spoil: Callable[[MemoryStore], None], why: str) -> None:
    spoil(aged.store)
    assert aged.look().kept == {why: 1}
    assert there(aged.store)
    assert aged.records == 1


def test_a_record_is_not_believed(aged: Aged) -> None:
    victim = ROOTS.records.join("broker")
    aged.store.put(victim, b"speech", content_type="text/plain")
    told = json.loads(aged.store.read(aged.record, limit=1 << 20)[0])
    expiring = Expiring(aged.store, ROOTS.records)
    for fields in ({"location": str(victim)}, {"location": "nowhere"}, {"transcript": "s3://elsewhere/x.json"}):
        aged.store.put(aged.record, json.dumps({**told, **fields}).encode(), content_type="application/json")
        assert aged.look().deleted == 0
    aged.store.put(aged.record, b"junk", content_type="application/json")
    aged.now += GRACE
    look = aged.look()
    assert (look.failed, there(aged.store), there(aged.store, victim)) == (1, True, True)
    assert str(aged.record) in look.error
    assert aged.run(str(AUDIO)).status == "done", "the next answer writes it anew"
    assert expiring.read(aged.record) is not None


def test_a_crash_at_any_step_loses_nothing_and_forgets_nothing(tmp_path: Path) -> None:
    """Whatever call of the store is the last one of a look: audio or tombstone is there, and a later look ends it."""
    last = 0
    while True:
        aged = Aged(tmp_path / str(last))
        calls: list[str] = []

        def crash(method: str, _location: Location, calls: list[str] = calls, last: int = last) -> None:
            calls.append(method)
            if len(calls) > last:
                raise StoreUnreachable("the process is gone")

        aged.store._on_call = crash
        try:
            aged.look()
        except StoreUnreachable:
            crashed = True
        else:
            crashed = False
        aged.store._on_call = None
        assert there(aged.store) or Tombstones(aged.store, ROOTS.records).find(AUDIO) is not None
        assert there(aged.store) or findings(aged.store) == []
        assert aged.run(str(AUDIO)).status == "done"
        aged.now += GRACE
        aged.look()
        assert not there(aged.store)
        assert aged.records == 0
        aged.close()
        if not crashed:
            break
        last += 1
    assert last > 10, "a look asks the store more often than that"


def test_a_hub_that_dies_before_the_transcript_is_complete_has_noted_it_and_it_stays(aged: Aged) -> None:
    other = ROOTS.audio.join("simple/tiny/b.wav")
    aged.upload("simple/tiny/b.wav", b"other speech")

    def die(method: str, location: Location) -> None:
        if (method, location.name) == ("put", "b.wav.json"):
            raise StoreUnreachable("the process is gone")

    aged.store._on_call = die
    with pytest.raises(StoreUnreachable):
        aged.run(str(other))
    aged.store._on_call = None
    assert aged.records == 2
    aged.now += GRACE
    look = aged.look()
    assert (look.deleted, look.kept) == (1, {"its transcript is gone": 1})
    assert there(aged.store, other)


def test_the_hub_notes_it_before_anybody_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, expires=True)
    bench.upload(KEY)

    def refuse(method: str, location: Location) -> None:
        if method == "put" and "expiring" in location.key:
            raise StoreUnreachable("the store is away")

    bench.store._on_call = refuse
    with pytest.raises(StoreUnreachable):
        bench.run(str(AUDIO))
    bench.store._on_call = None
    assert bench.run(str(AUDIO)).reused
    assert len(list(Expiring(bench.store, ROOTS.records).listed())) == 1
    bench.close()


def test_audio_outside_the_audio_root_is_nobodys_to_delete(aged: Aged) -> None:
    told = json.loads(aged.store.read(aged.record, limit=1 << 20)[0])
    aged.store.delete(aged.record)
    outside = Location("s3", "other", "a.wav")
    expiring = Expiring(aged.store, ROOTS.records)
    from lfk.core.tombstone import tombstone_name

    at = ROOTS.records.join(f"expiring/{tombstone_name(outside)}")
    aged.store.put(at, json.dumps({**told, "location": str(outside)}).encode(), content_type="application/json")
    aged.now += GRACE
    assert aged.look().kept == {"it is outside the audio root": 1}
    assert expiring.read(at) is not None


def test_many_are_looked_at_a_few_at_a_time_and_none_is_left_out(aged: Aged) -> None:
    names = [f"simple/tiny/{number}.wav" for number in range(7)]
    for name in names:
        aged.upload(name, name.encode())
        aged.run(name)
    aged.now += GRACE
    for name in names[:4]:
        aged.refer("bulk", path_to_audio=name, transcription_approach="simple.base")
    expiry = aged.expiry(most=3)
    looks = [expiry.look() for _look in range(3)]
    assert [look.complete for look in looks] == [False, False, True]
    assert sum(look.deleted for look in looks) == 4
    assert sum(look.kept.total() for look in looks) == 4
    aged.settle("bulk")
    assert sum(expiry.look().deleted for _look in range(2)) == 4


def test_one_that_cannot_be_deleted_is_told_of_and_holds_no_other_up(aged: Aged) -> None:
    other = "simple/tiny/b.wav"
    aged.upload(other, b"other speech")
    aged.run(other)
    aged.now += GRACE

    def locked(method: str, location: Location) -> None:
        if (method, location) == ("delete", AUDIO):
            raise AccessDenied("it is locked")

    aged.store._on_call = locked
    look = aged.look()
    assert (look.deleted, look.failed) == (1, 1)
    assert "it is locked" in look.error
    aged.store._on_call = None
    assert there(aged.store)
    assert aged.look().deleted == 1


# --- local copies


def test_local_copies_go_after_the_audio_and_only_they(aged: Aged) -> None:
    copies = MemoryStore()
    root = Location("s3", "copies", "here/")

    def copy(text: bytes | None = None) -> None:
        for info in aged.store.list(ROOTS.transcripts):
            content = aged.store.read(info.location, limit=1 << 20)[0]
            at = root.join(ROOTS.transcripts.relative(info.location))
            copies.put(at, content if text is None or at.name.endswith("json") else text, content_type="text/plain")

    copy()
    copies.put(root.join("notes.json"), b"{}", content_type="text/plain")
    newest = max(info.modified for info in copies.list(root))
    stop = threading.Event()
    local = LocalCopies((copies, root), aged.store, ROOTS, GRACE, stop, clock=lambda: newest + GRACE)
    assert local.look() == 0, "its audio is there"
    assert aged.look().deleted == 1
    early = LocalCopies((copies, root), aged.store, ROOTS, GRACE, stop, clock=lambda: newest)
    assert early.look() == 0
    assert local.look() == 1
    assert [info.location.name for info in copies.list(root)] == ["notes.json"]
    copy(b"of a newer recording")
    later = LocalCopies((copies, root), aged.store, ROOTS, 0, stop, clock=lambda: newest + GRACE)
    assert later.look() == 1
    assert {info.location.name.rpartition(".")[2] for info in copies.list(root)} == {"txt", "srt", "vtt", "json"}


# --- hubs


def test_one_hub_of_the_group_does_it_and_another_when_that_one_leaves(tmp_path: Path) -> None:
    bench = HubBench(tmp_path)
    bench.expiring = Expiring(bench.store, ROOTS.records)
    pending = Pending(bench.broker, bench.store, ROOTS, "hubs", TOPICS, JsonCodec().decode_reference)

    def keeper(leads: Callable[[], bool]) -> BackupsKeeper:
        stop = threading.Event()
        expiry = Expiry(bench.store, ROOTS, pending, 0.0, stop, clock=lambda: 1e10)
        return BackupsKeeper(expiry, None, leads, 0.0, stop)

    with bench.hub() as first:
        wait_until(lambda: first.hub.leads)
        with bench.hub() as second:
            keepers = [keeper(lambda: first.hub.leads), keeper(lambda: second.hub.leads)]
            bench.add_audio("simple/tiny/0.wav", "simple/tiny/1.wav")
            bench.refer("simple/tiny/0.wav", "simple/tiny/1.wav")
            wait_until(lambda: keepers[0].told.get("deleted") == 2)
            assert keepers[1].told == {}
            assert not second.hub.leads
            assert len(bench.announcements()) == 2
            first.end()
            wait_until(lambda: second.hub.leads)
            bench.add_audio("simple/tiny/2.wav")
            bench.refer("simple/tiny/2.wav")
            wait_until(lambda: keepers[1].told.get("deleted") == 1)
            for one in keepers:
                one.close()
    assert not list(bench.store.list(ROOTS.audio))
    assert not list(bench.expiring.listed())


def test_an_outage_is_waited_out_and_told_of(tmp_path: Path) -> None:
    outcomes: list[Look | LfkError | Exception] = [
        StoreUnreachable("the store is away"),
        RuntimeError("a bug"),
        Look(deleted=2, size=10),
    ]
    seen: list[dict[str, Any]] = []

    class Scripted:
        def look(self) -> Look:
            seen.append(dict(keeper.told))
            outcome = outcomes.pop(0) if outcomes else Look()
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

    stop = threading.Event()
    keeper = BackupsKeeper(Scripted(), None, lambda: True, 0.0, stop)  # type: ignore[arg-type]
    wait_until(lambda: len(seen) > 3)
    keeper.close()
    assert [one.get("error") for one in seen[:4]] == [None, "the store is away", "internal: RuntimeError", ""]
    assert seen[3]["deleted"] == 2
