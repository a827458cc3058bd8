"""What waits in the store while no broker runs, and what the store itself says is outstanding."""

from __future__ import annotations

from collections.abc import Callable

from lfk.brokers.base import Record
from lfk.brokers.codec import JsonCodec
from lfk.core.errors import BrokerFull, BrokerUnreachable
from lfk.core.location import Location
from lfk.roles.failures import Failures
from lfk.roles.outbox import OutboxPublisher, drain, outbox_folder
from lfk.roles.reconcile import Reconciler, outstanding
from lfk.roles.sender import ReferenceSender
from lfk.stores.memory import MemoryStore
from tests.roles.failing import failure_record
from tests.roles.roots import ROOTS


class FakePublisher:
    """Confirms what it is sent, until its room is used up or it is told to fail."""

    def __init__(self, room: int = 1000) -> None:
        self.sent: list[Record] = []
        self.room = room
        self.failure: Exception | None = None

    def send(self, record: Record, confirmed: Callable[[Exception | None], None]) -> None:
        if len(self.sent) >= self.room:
            raise BrokerFull("no room")
        if self.failure is None:
            self.sent.append(record)
        confirmed(self.failure)

    def flush(self, timeout: float) -> int:
        return 0

    def close(self) -> None:
        """Nothing is held."""


def leave(store: MemoryStore, *keys: bytes) -> None:
    times = iter(range(1, 100))
    publisher = OutboxPublisher(store, ROOTS.records, lambda: float(next(times)))
    outcome: list[Exception | None] = []
    for key in keys:
        publisher.send(Record("lfk.audio", key, b"\x00\xff", {"ce_id": b"1"}), outcome.append)
    assert outcome == [None] * len(keys)


def waiting(store: MemoryStore) -> list[Location]:
    return [info.location for info in store.list(outbox_folder(ROOTS.records))]


def test_records_come_out_as_they_went_in_and_in_order() -> None:
    store, publisher = MemoryStore(), FakePublisher()
    leave(store, b"a", b"b", b"c")
    assert drain(store, ROOTS.records, publisher, set()) == {"a", "b", "c"}
    assert publisher.sent == [Record("lfk.audio", key, b"\x00\xff", {"ce_id": b"1"}) for key in (b"a", b"b", b"c")]
    assert waiting(store) == []


def test_what_the_broker_does_not_take_waits() -> None:
    store, publisher = MemoryStore(), FakePublisher(room=1)
    leave(store, b"a", b"b")
    assert drain(store, ROOTS.records, publisher, set()) == {"a"}
    publisher.room, publisher.failure = 1000, BrokerUnreachable("gone")
    assert drain(store, ROOTS.records, publisher, set()) == set()
    publisher.failure = None
    assert drain(store, ROOTS.records, publisher, set()) == {"b"}


def test_what_is_no_record_is_passed_over_and_told_of_once() -> None:
    store, publisher = MemoryStore(), FakePublisher()
    for name, content in {"0": b"{", "1": b"[]", "2": b'{"topic": 1}', "3": b'{"topic": "t", "key": "%%"}'}.items():
        store.put(outbox_folder(ROOTS.records).join(f"{name}.json"), content, content_type="application/json")
    leave(store, b"a")
    unreadable: set[Location] = set()
    assert drain(store, ROOTS.records, publisher, unreadable) == {"a"}
    assert len(unreadable) == 4
    assert drain(store, ROOTS.records, publisher, unreadable) == set()
    assert len(waiting(store)) == 4


def upload(store: MemoryStore, key: str) -> Location:
    location = ROOTS.audio.join(key)
    store.put(location, b"speech", content_type="audio/wav")
    return location


def fail(store: MemoryStore, audio: Location, *, seconds: float) -> None:
    """Record a failure of the audio, so long after it was uploaded; and one that nobody can read."""
    at = int((store.stat(audio).modified + seconds) * 1000)
    Failures(store, ROOTS.records).save(failure_record(path=str(audio), at=at))
    store.put(Failures(store, ROOTS.records).location("f" * 32), b"{", content_type="application/json")


def found(store: MemoryStore) -> set[str]:
    return {ROOTS.audio.relative(info.location) for info, _address in outstanding(store, ROOTS)}


def test_outstanding_is_what_has_neither_transcript_nor_failure() -> None:
    store = MemoryStore()
    for key in ("simple/tiny/new.wav", "simple/tiny/done.wav", "notes.txt", "simple/nonsense/x.wav"):
        upload(store, key)
    failed = upload(store, "simple/tiny/failed.wav")
    store.put(ROOTS.transcripts.join("simple/tiny/done.wav.json"), b"{}", content_type="application/json")
    fail(store, failed, seconds=10)
    assert found(store) == {"simple/tiny/new.wav"}


def test_audio_that_was_replaced_after_its_failure_is_outstanding_again() -> None:
    store = MemoryStore()
    failed = upload(store, "simple/tiny/failed.wav")
    fail(store, failed, seconds=-10)
    assert found(store) == {"simple/tiny/failed.wav"}


def test_of_two_audios_that_want_one_name_both_are_outstanding() -> None:
    store = MemoryStore()
    upload(store, "simple/tiny/x.wav")
    upload(store, "x.wav")
    store.put(ROOTS.transcripts.join("simple/tiny/x.wav.json"), b"{}", content_type="application/json")
    assert found(store) == {"x.wav"}


def test_reconciling_goes_on_where_the_broker_was_full() -> None:
    store, publisher = MemoryStore(), FakePublisher(room=2)
    for number in range(5):
        upload(store, f"simple/tiny/{number}.wav")
    sender = ReferenceSender(publisher, JsonCodec(), "lfk.audio", "lfk/reconcile")
    reconciler = Reconciler(store, ROOTS, sender, known={str(ROOTS.audio.join("simple/tiny/4.wav"))})
    reconciler.step()
    assert (reconciler.sent, reconciler.done) == (2, False)
    publisher.room = 1000
    reconciler.step()
    assert (reconciler.sent, reconciler.done) == (4, True)
    keys = [record.key for record in publisher.sent]
    assert keys == [str(ROOTS.audio.join(f"simple/tiny/{number}.wav")).encode() for number in range(4)]
