"""The listener itself: what becomes of what it is told, and what it finds by itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfk.brokers.base import Record
from lfk.core.errors import (
    AccessDenied,
    BrokerUnreachable,
    BucketMissing,
    LfkError,
    MessageTooLarge,
    StoreUnreachable,
    TopicMissing,
)
from lfk.core.identity import upload_mark
from lfk.core.location import Location, parse_location
from lfk.core.notifications import Sighting
from lfk.roles import listen as listen_module
from lfk.roles import rounds as rounds_module
from lfk.roles.listen_events import Outcome
from lfk.roles.recent import Recent
from lfk.roles.room import Room
from lfk.roles.sync_events import Resumed
from lfk.stores.base import REFERRED
from lfk.stores.memory import MemoryStore
from tests.integration.listening import Rig
from tests.integration.syncing import FakePublisher
from tests.integration.syncing import Rig as SyncRig
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfk.roles.outages._LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(rounds_module, "_LEAST_REST_SECONDS", 0.05)


@pytest.fixture
def rig() -> Rig:
    return Rig()


class TestWhatIsTold:
    def test_an_object_becomes_a_reference_with_what_the_event_tells(self, rig: Rig) -> None:
        told = rig.sighting(
            "simple/tiny/a+b %20.wav", size=7, etag="e1", version_id="v1", sequencer="1", metadata={"x": "y"}
        )
        with rig.running():
            rig.script.tell(told)
            wait_until(lambda: rig.script.ended)
        (reference,) = rig.publisher.references
        assert reference.pop("timestamp") > 0
        assert reference == {
            "path_to_audio": "s3://bucket/audio/simple/tiny/a+b %20.wav",
            "final": True,
            "etag": "e1",
            "version_id": "v1",
            "size": 7,
            "content_type": "audio/wav",
        }
        assert rig.publisher.records[0].key == b"s3://bucket/audio/simple/tiny/a+b %20.wav"
        assert rig.script.ended[0][1] is True
        assert (rig.summary.counts[Outcome.SENT], rig.summary.size, rig.summary.found) == (1, 7, 0)

    def test_what_the_event_does_not_tell_is_looked_up(self, rig: Rig) -> None:
        location = rig.put("a.wav", b"audio")
        with rig.running():
            wait_until(lambda: rig.rounds)
            rig.publisher.records.clear()
            rig.script.tell(rig.sighting("a.wav", etag="an older one"))
            wait_until(lambda: rig.script.ended)
        (reference,) = rig.publisher.references
        assert (reference["etag"], reference["size"]) == (rig.store.stat(location).etag, 5)

    def test_only_audio_below_the_root_counts(self, rig: Rig) -> None:
        rig.roots = replace(
            rig.roots,
            audio=parse_location("s3://bucket/"),
            transcripts=parse_location("s3://bucket/transcripts/"),
            records=parse_location("s3://bucket/.lfk/"),
        )
        names = ["notes.txt", ".hidden.wav", "x.wav.part", "transcripts/simple/tiny/a.wav", ".lfk/x.wav", "done.txt"]
        with rig.running():
            rig.script.tell(
                *(rig.sighting(name, metadata={}) for name in names),
                Sighting(parse_location("s3://elsewhere/a.wav"), metadata={}),
                others=2,
                unusable=("a bad record",),
            )
            wait_until(lambda: rig.script.ended)
        assert rig.sent == []
        assert rig.script.ended[0][1] is True
        assert rig.summary.counts[Outcome.OTHER] == 9
        assert [done.reason for done in rig.of(Outcome.UNUSABLE)] == ["a bad record"]

    @pytest.mark.parametrize("told", [True, False], ids=["told", "looked up"])
    def test_what_sync_uploaded_is_left_to_sync_but_a_copy_of_it_is_not(self, rig: Rig, told: bool) -> None:
        place = rig.roots.audio.join("synced.wav")
        metadata = {"lfk-referred": upload_mark(str(place))}
        for key in ("synced.wav", "copy.wav"):
            rig.put(key, lfk_referred=metadata["lfk-referred"])
        with rig.running():
            wait_until(lambda: rig.rounds)
            assert rig.sent == ["copy.wav"]
            for key in ("synced.wav", "copy.wav"):
                rig.script.tell(rig.sighting(key, metadata=metadata if told else None))
            wait_until(lambda: len(rig.script.ended) == 2)
        assert rig.sent == ["copy.wav", "copy.wav"]
        assert rig.summary.counts[Outcome.SYNCED] == 2

    def test_sync_marks_what_it_uploads(self, tmp_path: Path) -> None:
        syncing = SyncRig(tmp_path)
        syncing.write("a.wav")
        syncing.run()
        _data, info = syncing.object("a.wav")
        assert info.metadata[REFERRED] == upload_mark(str(syncing.location("a.wav")))

    def test_what_has_gone_again_is_passed_over(self, rig: Rig) -> None:
        with rig.running():
            rig.script.tell(rig.sighting("gone.wav"))
            wait_until(lambda: rig.script.ended)
        assert (rig.sent, rig.script.ended[0][1]) == ([], True)
        assert rig.summary.counts[Outcome.GONE] == 1

    def test_an_object_that_may_not_be_looked_at_is_left_to_the_hub(self) -> None:
        def refuse(method: str, location: Location) -> None:
            if method == "stat":
                raise AccessDenied("not yours")

        rig = Rig(store=MemoryStore(on_call=refuse))
        with rig.running():
            rig.script.tell(rig.sighting("a.wav", etag="e1"))
            wait_until(lambda: rig.script.ended)
        assert rig.publisher.references[0]["etag"] == "e1"

    def test_a_reference_that_cannot_be_sent_is_told_and_over(self, rig: Rig) -> None:
        rig.publisher.refusals = [MessageTooLarge("too large")]
        with rig.running():
            rig.script.tell(rig.sighting("a.wav", metadata={}), rig.sighting("b.wav", metadata={}))
            wait_until(lambda: rig.script.ended)
        assert rig.script.ended[0][1] is True
        assert len(rig.sent) == len(rig.of(Outcome.FAILED)) == 1

    def test_a_bad_name_goes_to_the_hub_which_answers_it_for_all_to_see(self, rig: Rig) -> None:
        with rig.running():
            rig.script.tell(rig.sighting("simple/gigantic/x.wav", metadata={}))
            wait_until(lambda: rig.script.ended)
        assert rig.sent == ["simple/gigantic/x.wav"]

    def test_little_is_under_way_at_a_time(self, rig: Rig) -> None:
        class Late(FakePublisher):
            def send(self, record: Record, confirmed: Callable[[Exception | None], None]) -> None:
                super().send(record, lambda _none: waiting.append(confirmed))

        waiting: list[Callable[[Exception | None], None]] = []
        rig.publisher = Late()
        count = 3000
        for number in range(count):
            rig.script.tell(rig.sighting(f"{number}.wav", metadata={}))
        with rig.running():
            wait_until(lambda: len(waiting) == 1000)
            assert not threading.Event().wait(0.3)
            assert len(waiting) == 1000
            while len(rig.script.ended) < count:
                while waiting:
                    waiting.pop()(None)
        assert len(set(rig.sent)) == count


class TestOutages:
    @pytest.mark.parametrize("when", ["connecting", "sending", "confirming"])
    def test_the_broker_comes_back_and_nothing_is_lost(self, rig: Rig, when: str) -> None:
        error = BrokerUnreachable("gone")
        if when == "connecting":
            rig.refusals = [error, error, error]
        elif when == "sending":
            rig.publisher.refusals = [error]
        else:
            rig.publisher.outcome = error
        rig.put("a.wav")
        with rig.running():
            wait_until(lambda: rig.pauses)
            rig.publisher.outcome = None
            wait_until(lambda: rig.sent)
            rig.script.tell(rig.sighting("b.wav", metadata={}))
            wait_until(lambda: len(rig.sent) == 2)
        assert rig.pauses[0].error is error
        assert set(rig.sent) == {"a.wav", "b.wav"}
        assert rig.summary.counts[Outcome.FAILED] == 0
        if when != "connecting":
            assert any(isinstance(event, Resumed) for event in rig.events)

    def test_a_delivery_in_an_outage_ends_as_not_done(self, rig: Rig) -> None:
        rig.publisher.outcome = BrokerUnreachable("gone")
        with rig.running():
            rig.script.tell(rig.sighting("a.wav", metadata={}))
            wait_until(lambda: rig.script.ended)
        assert rig.script.ended[0][1] is False

    def test_the_store_comes_back(self, rig: Rig) -> None:
        away = threading.Event()

        def fail(method: str, location: Location) -> None:
            if away.is_set():
                raise StoreUnreachable("gone")

        rig.store = MemoryStore(on_call=fail)
        with rig.running():
            wait_until(lambda: rig.rounds)
            away.set()
            rig.script.tell(rig.sighting("told.wav"))
            wait_until(lambda: len(rig.pauses) >= 2)
            away.clear()
            rig.put("missed.wav")
            wait_until(lambda: rig.sent == ["missed.wav"])

    def test_the_source_comes_back_and_the_gap_is_closed(self, rig: Rig) -> None:
        with rig.running():
            wait_until(lambda: rig.rounds)
            rig.put("in the gap.wav")
            rig.script.queue.put(StoreUnreachable("the stream broke"))
            wait_until(lambda: rig.sent == ["in the gap.wav"])
        assert rig.script.runs >= 2

    @pytest.mark.parametrize("error", [AccessDenied("no"), BucketMissing("no"), TopicMissing("no")], ids=repr)
    def test_what_waiting_does_not_change_ends_it_at_the_start(self, rig: Rig, error: LfkError) -> None:
        def fail(method: str, location: Location) -> None:
            if not isinstance(error, TopicMissing):
                raise error

        rig.store = MemoryStore(on_call=fail)
        rig.refusals = [error]
        with pytest.raises(type(error)):
            rig.listener().run()

    @pytest.mark.parametrize("key", ["audio/", "transcripts/", ".lfk/owners/", ".lfk/batches/"])
    def test_every_place_that_it_reads_is_tried_at_the_start(self, rig: Rig, key: str) -> None:
        def fail(method: str, location: Location) -> None:
            if location.key == key:
                raise AccessDenied("not yours")

        rig.store = MemoryStore(on_call=fail)
        with pytest.raises(AccessDenied):
            rig.listener().run()

    def test_what_is_refused_later_may_pass(self, rig: Rig) -> None:
        with rig.running():
            wait_until(lambda: rig.rounds)
            rig.script.queue.put(AccessDenied("the keys have expired"))
            wait_until(lambda: rig.script.runs == 2)
        assert isinstance(rig.pauses[0].error, AccessDenied)

    def test_a_stop_ends_it_with_what_is_confirmed(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        class Silent(FakePublisher):
            def send(self, record: Record, confirmed: Callable[[Exception | None], None]) -> None:
                self.records.append(record)

        monkeypatch.setattr("lfk.roles.referrals._LAST_SECONDS", 0.2)
        rig.publisher = Silent()
        with rig.running():
            rig.script.tell(rig.sighting("a.wav", metadata={}))
            wait_until(lambda: rig.publisher.records)
        assert rig.script.ended[0][1] is False
        assert (rig.summary.left, rig.summary.counts[Outcome.SENT]) == (1, 0)


class TestRounds:
    def test_what_nobody_told_of_is_found_once(self, rig: Rig) -> None:
        rig.put("a.wav")
        with rig.running(reconcile=0.05):
            wait_until(lambda: len(rig.rounds) >= 3)
            rig.put("b.wav")
            wait_until(lambda: len(rig.sent) == 2)
            rounds = len(rig.rounds)
            wait_until(lambda: len(rig.rounds) >= rounds + 3)
        assert rig.sent == ["a.wav", "b.wav"]
        assert rig.summary.found == 2
        assert rig.rounds[-1].known == 2

    def test_a_name_that_nothing_can_be_done_with_is_told_once(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        rig.put("simple/gigantic/a.wav")
        with rig.running(reconcile=0.05):
            wait_until(lambda: len(rig.rounds) >= 3)
            rig.put("simple/gigantic/b.wav")
            rounds = len(rig.rounds)
            wait_until(lambda: len(rig.rounds) >= rounds + 3)
        told = [text for text in caplog.messages if "passed over" in text]
        assert ["a.wav" in text for text in told] == [True, False]

    def test_what_was_told_is_not_found_again(self, rig: Rig) -> None:
        with rig.running(reconcile=0.05):
            wait_until(lambda: rig.rounds)
            etag = rig.store.stat(rig.put("a.wav")).etag
            rig.script.tell(rig.sighting("a.wav", etag=etag, metadata={}))
            wait_until(lambda: rig.script.ended)
            rounds = len(rig.rounds)
            wait_until(lambda: len(rig.rounds) >= rounds + 3)
        # The round may have been first; whichever it was, nothing goes out again with every round.
        assert 1 <= len(rig.sent) <= 2

    def test_what_was_found_before_it_was_told_goes_out_once_but_every_further_upload_of_it_does(
        self, rig: Rig
    ) -> None:
        etag = rig.store.stat(rig.put("a.wav")).etag
        with rig.running():
            wait_until(lambda: rig.sent)
            for count in range(1, 3):
                rig.script.tell(rig.sighting("a.wav", etag=etag, metadata={}))
                wait_until(lambda count=count: len(rig.script.ended) == count)
        assert rig.sent == ["a.wav", "a.wav"]
        assert rig.summary.counts[Outcome.KNOWN] == 1

    def test_the_same_bytes_written_anew_after_a_failure_are_found_again(self, rig: Rig) -> None:
        clock = time.time()
        rig.store = MemoryStore(clock=lambda: clock)
        location = rig.put("simple/tiny/a.wav")
        with rig.running(reconcile=0.05):
            wait_until(lambda: rig.sent)
            rounds = len(rig.rounds)
            wait_until(lambda: len(rig.rounds) >= rounds + 2)
            assert len(rig.sent) == 1
            clock += 3600
            rig.put("simple/tiny/a.wav")
            wait_until(lambda: len(rig.sent) >= 2)
        assert location == rig.roots.audio.join("simple/tiny/a.wav")

    def test_what_was_answered_is_forgotten_and_a_new_version_of_it_is_found(self, rig: Rig) -> None:
        rig.put("simple/tiny/a.wav", b"one")
        transcript = rig.roots.transcripts.join("simple/tiny/a.wav.json")
        with rig.running(reconcile=0.05):
            wait_until(lambda: len(rig.sent) == 1)
            rig.store.put(transcript, b"{}", content_type="application/json")
            rounds = len(rig.rounds)
            wait_until(lambda: len(rig.rounds) >= rounds + 2)
            assert rig.rounds[-1].known == 0
            rig.store.delete(transcript)
            rig.put("simple/tiny/a.wav", b"two")
            wait_until(lambda: len(rig.sent) == 2)

    def test_a_reference_that_did_not_get_through_is_found_again(self, rig: Rig) -> None:
        rig.publisher.outcome = BrokerUnreachable("gone")
        rig.put("a.wav")
        with rig.running():
            wait_until(lambda: len(rig.pauses) >= 2)
            rig.publisher.outcome = None
            wait_until(lambda: rig.sent == ["a.wav"])


class TestDoneMarkers:
    def test_everything_below_the_prefix_and_nothing_before(self, rig: Rig) -> None:
        for key in ("week1/a.wav", "week1/deep/b.mp4", "week1/notes.txt", "week2/c.wav"):
            rig.put(key)
        with rig.running(marker="done.txt"):
            rig.script.tell(rig.sighting("week1/a.wav", metadata={}))
            wait_until(lambda: rig.rounds and rig.script.ended)
            assert rig.sent == []
            rig.put("week1/done.txt")
            rig.script.tell(rig.sighting("week1/done.txt", sequencer="1"))
            wait_until(lambda: len(rig.script.ended) == 2)
        assert sorted(rig.sent) == ["week1/a.wav", "week1/deep/b.mp4"]
        assert [well for _said, well in rig.script.ended] == [True, True]
        assert rig.summary.counts[Outcome.OTHER] == 1

    def test_a_marker_at_the_root_is_for_all(self, rig: Rig) -> None:
        rig.put("a.wav")
        rig.put("done.txt")
        with rig.running(marker="done.txt"):
            rig.script.tell(rig.sighting("done.txt", sequencer="1"))
            wait_until(lambda: rig.script.ended)
        assert set(rig.sent) == {"a.wav"}

    def test_one_that_is_told_of_again_sends_nothing_again(self, rig: Rig) -> None:
        rig.store = MemoryStore(clock=lambda: 1.0)
        rig.put("week1/a.wav")
        with rig.running(marker="done.txt"):
            wait_until(lambda: rig.rounds)
            for _time in range(3):
                rig.script.tell(rig.sighting("week1/done.txt", etag="e", sequencer="1"))
            wait_until(lambda: len(rig.script.ended) == 3)
            rig.script.tell(rig.sighting("week1/done.txt", etag="e", sequencer="2"))
            wait_until(lambda: len(rig.script.ended) == 4)
        assert rig.sent == ["week1/a.wav", "week1/a.wav"]

    def test_a_lost_one_is_found_with_what_was_there_when_it_came(self, rig: Rig) -> None:
        for key in ("week1/a.wav", "week1/deep/b.wav", "week2/c.wav", "week1/done.txt", "week1/late.wav"):
            rig.put(key)
        with rig.running(marker="done.txt", reconcile=0.05):
            wait_until(lambda: len(rig.rounds) >= 2)
            assert sorted(rig.sent) == ["week1/a.wav", "week1/deep/b.wav"]
            rig.put("week1/done.txt", b"again")
            wait_until(lambda: len(rig.sent) == 3)
        assert rig.sent[2] == "week1/late.wav"

    def test_an_outage_while_its_prefix_is_listed_leaves_it_undone(self, rig: Rig) -> None:
        failing = threading.Event()

        def fail(method: str, location: Location) -> None:
            if method == "list" and location.key == "audio/week1/" and not failing.is_set():
                failing.set()
                raise StoreUnreachable("gone")

        rig.store = MemoryStore(on_call=fail)
        rig.put("week1/a.wav")
        with rig.running(marker="done.txt"):
            rig.script.tell(rig.sighting("week1/done.txt", sequencer="1"))
            wait_until(lambda: rig.script.ended)
            assert rig.script.ended[0][1] is False
            rig.script.tell(rig.sighting("week1/done.txt", sequencer="1"))
            wait_until(lambda: len(rig.script.ended) == 2)
        assert rig.sent == ["week1/a.wav"]


class TestRecent:
    def test_it_holds_so_much_and_forgets_the_oldest(self) -> None:
        recent = Recent(limit=3)
        one, *others = (Sighting(parse_location(f"s3://bucket/{number}.wav"), etag="e") for number in range(4))
        for sighting in (one, *others):
            recent.add(sighting, 0.0, found=False)
        assert not recent.holds(one)
        assert all(recent.holds(sighting) for sighting in others)
        assert recent.full

    def test_a_full_memory_holds_the_rounds_back_until_some_is_answered(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listen_module, "Recent", lambda: Recent(limit=3))
        for number in range(5):
            rig.put(f"simple/tiny/{number}.wav")
        with rig.running(reconcile=0.05):
            wait_until(lambda: len(rig.rounds) >= 3)
            assert len(rig.sent) == 3
            assert (rig.rounds[-1].known, rig.rounds[-1].left) == (3, 2)
            for key in rig.sent:
                rig.store.put(rig.roots.transcripts.join(f"{key}.json"), b"{}", content_type="application/json")
            wait_until(lambda: len(rig.sent) == 5)
        assert len(set(rig.sent)) == 5


class TestRoom:
    def test_whoever_comes_waits_for_a_place(self) -> None:
        room = Room(2)
        assert room.enter(5, None)
        assert not room.enter(1, 0.01)
        threading.Timer(0.05, room.leave, (4,)).start()
        assert room.enter(1, 10)
        assert not room.enter(1, 0)

    def test_who_waits_goes_when_it_closes(self) -> None:
        room = Room(1)
        assert room.enter(1, None)
        threading.Timer(0.05, room.close).start()
        assert not room.enter(1, None)
        assert room.closed
        assert not room.empty
        room.leave(1)
        assert room.empty


def test_references_are_what_the_schema_wants(rig: Rig) -> None:
    with rig.running():
        rig.script.tell(rig.sighting("a.wav", etag="e" * 256, version_id="v" * 1024, size=1 << 52, metadata={}))
        wait_until(lambda: rig.script.ended)
    assert rig.summary.counts[Outcome.SENT] == 1
    headers: dict[str, Any] = dict(rig.publisher.records[0].headers)
    assert headers["ce_source"] == b"lfk/listen"
    assert json.loads(rig.publisher.records[0].value or b"")["final"] is True
