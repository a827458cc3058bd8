"""Batches on a store in memory: recorded before they are sent, judged by what hubs leave, cleared once answered."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.brokers.codec import JsonCodec
from lfk.core.addressing import resolve
from lfk.core.batch import Entry, Head, Tally, check_batch_id, has_own_wishes, read_part, read_tallies, write_part
from lfk.core.errors import BrokerUnreachable, StoreUnreachable, UsageError
from lfk.core.failure_record import OriginalRecord
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.core.request import Request
from lfk.core.selection import Chosen
from lfk.roles import batches as batches_module
from lfk.roles.batch_progress import Judge, OpenBatches
from lfk.roles.batches import Batches, BatchRecorder, new_batch
from lfk.roles.check import Check, Finding, Trouble
from lfk.roles.failed import failures
from lfk.roles.failures import Failures
from lfk.roles.reconcile import outstanding, unasked
from lfk.roles.republish import Republished, Republisher, RepublishSummary
from lfk.roles.rolling import RollingRecorder
from lfk.roles.sender import ReferenceSender
from lfk.roles.submit import SubmitSummary, Submitter
from tests.integration.syncing import FakePublisher
from tests.roles.failing import failure_record
from tests.roles.roots import ROOTS
from tests.roles.test_cleanup import during
from tests.roles.test_job import Bench

BATCH = "20260101-000000-aaaaaaaa"


class Rig:
    """Senders and lookers around one store; :attr:`bench` is the hub."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.store = bench.store
        self.publisher = FakePublisher()
        self.stop = threading.Event()
        self.items: list[Republished] = []
        self.batches = Batches(self.store, ROOTS.records)

    def upload(self, *keys: str) -> None:
        for key in keys:
            self.bench.upload(key, key.encode())

    def sender(self) -> ReferenceSender:
        return ReferenceSender(self.publisher, JsonCodec(), "lfk.audio.bulk", "lfk/test")

    def republisher(self) -> Republisher:
        return Republisher(self.store, self.sender(), ROOTS, self.items.append, self.stop)

    def republish(self, *only: str, **fields: Any) -> RepublishSummary:
        self.publisher.records.clear()
        return self.republisher().run(Chosen(only=only or ("all",), **fields))

    def submit(self, *names: str, request: Request | None = None, trust: bool = False) -> SubmitSummary:
        recorder = BatchRecorder(self.batches, new_batch("submit", {}))
        return Submitter(
            self.store, self.sender(), ROOTS, request or Request(), lambda _item: None, self.stop,
            recorder=recorder, trust=trust,
        ).run(names)  # fmt: skip

    @property
    def sent(self) -> list[str]:
        return [one["path_to_audio"].removeprefix(f"{ROOTS.audio}") for one in self.publisher.references]

    def work(self) -> None:
        """Do everything that was sent."""
        for one in self.publisher.references:
            self.bench.run(one.pop("path_to_audio"), **one)
        self.publisher.records.clear()

    def fail(self, event: str, reference: AudioReference, timestamp: int, *, original: bool = False) -> None:
        """Record a failure; with ``original``, its record keeps the message that failed."""
        message = json.dumps(reference.to_dict()).encode()
        kept = OriginalRecord.of("lfk.audio", None, message, {}) if original else None
        record = failure_record(event, code="engine_crashed", path=reference.path_to_audio, at=timestamp, original=kept)
        announcement = replace(
            record.announcement,
            transcription_approach=reference.transcription_approach,
            batch_id=reference.batch_id,
        )
        Failures(self.store, ROOTS.records).save(replace(record, announcement=announcement))

    def judge(self, *entries: Entry) -> list[str]:
        judge = Judge(self.store, ROOTS, failures(self.store, ROOTS))
        return [verdict.state for verdict in judge.all(entries)]

    def tally(self, batch_id: str) -> Tally:
        judge = Judge(self.store, ROOTS, failures(self.store, ROOTS))
        return OpenBatches(self.batches, judge).tally(self.batches.head(batch_id))

    @property
    def open(self) -> list[str]:
        return [head.batch_id for head in self.batches.open()]

    def check(self, *, deep: bool = False) -> set[tuple[Trouble, str]]:
        found: list[Finding] = []
        Check(self.store, ROOTS, found.append, threading.Event(), deep=deep).run()
        return {(one.trouble, one.location.removeprefix("s3://bucket/")) for one in found}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    bench = Bench(tmp_path)
    yield Rig(bench)
    bench.close()


def entry(key: str, **fields: Any) -> Entry:
    return Entry(AudioReference(str(ROOTS.audio.join(key)), **fields))


texts = st.text(max_size=10)
entries = st.lists(
    st.builds(
        Entry,
        st.builds(
            AudioReference,
            path_to_audio=texts,
            transcription_approach=st.none() | st.just("simple.tiny"),
            options=st.dictionaries(texts, texts | st.integers(), max_size=2),
            language=st.none() | st.just("en"),
            size=st.none() | st.integers(0, 9),
            force=st.booleans(),
        ),
        modified=st.none() | st.floats(0, 1e10),
        before=st.none() | texts,
    ),
    max_size=5,
)


@given(entries, st.none() | texts)
def test_parts_come_back_as_they_were_written(given_entries: list[Entry], until: str | None) -> None:
    part = read_part(write_part(given_entries, until))
    assert (list(part.entries), part.until) == (given_entries, until)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["format", "common", "entries", "path_to_audio", "parts"]), inner)
        ),
        max_leaves=9,
    )
)
def test_a_damaged_record_is_a_value_error_and_nothing_else(data: Any) -> None:
    for content in (json.dumps(data).encode(), json.dumps({"format": 1, "entries": data, "parts": data}).encode()):
        for read in (read_part, read_tallies, Head.from_bytes):
            with suppress(ValueError):
                read(content)


HEAD = {"format": 1, "batch_id": "20261126-070720-14e50520", "kind": "submit", "created": 1, "asked": {}, "sent": 1}
HEAD |= {"size": 1, "place": None, "updated": 1, "finished": True}


@pytest.mark.parametrize("name", ["created", "sent", "size", "updated"])
def test_a_head_with_a_number_without_end_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the head"):
        Head.from_bytes(json.dumps({**HEAD, name: float("inf")}).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_id", ["x"]), ("etag", 1), ("language", {}), ("timestamp", "1"), ("size", []), ("options", ["x"])],
)
def test_a_part_whose_fields_are_of_other_kinds_is_refused(name: str, value: object) -> None:
    rows = [{"path_to_audio": "s3://bucket/audio/x.wav", name: value}]
    with pytest.raises(ValueError, match=f"{name} is no"):
        read_part(json.dumps({"format": 1, "common": {}, "entries": rows}).encode())


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "-a", "a" * 65, "a.b"])
def test_names_of_batches_never_leave_their_folder(name: str) -> None:
    with pytest.raises(UsageError):
        check_batch_id(name)


@pytest.mark.parametrize(
    ("key", "fields", "own"),
    [
        ("simple/tiny/x.wav", {}, False),
        ("simple/tiny/x.wav", {"transcription_approach": "simple.tiny"}, False),
        ("Diarization/Base/x.wav", {"transcription_approach": "diarisation.base"}, False),
        ("x.wav", {"transcription_approach": "simple.tiny"}, False),
        ("x.wav", {"transcription_approach": "simple.base"}, True),
        ("simple/gigantic/x.wav", {"transcription_approach": "simple.base"}, True),
        ("x.wav", {"options": {"beam_size": 3}}, True),
        ("x.wav", {"language": "en"}, True),
        ("x.wav", {"force": True}, True),
        ("x.bin", {}, True),
    ],
)
def test_what_the_path_alone_would_not_bring_back_has_to_be_recorded(
    key: str, fields: dict[str, Any], own: bool
) -> None:
    reference = AudioReference(str(ROOTS.audio.join(key)), **fields)
    address = resolve(reference.path_to_audio, reference.transcription_approach, ROOTS)
    assert has_own_wishes(reference, address, ROOTS) is own


ASKED: list[dict[str, Any]] = [
    {},
    {"options": {"language": "de"}},
    {"language": "fr"},
    {"options": {"beam_size": "3"}},
    {"transcription_approach": "diarisation.tiny"},
    {"transcription_approach": "diarisation.tiny", "options": {"max_speakers": 2}},
    {"transcription_approach": "simple.base"},
    {"options": {"formats": "srt"}},
    {"options": {"timestamps": False, "formats": "txt"}},
]


@pytest.mark.parametrize("done", range(len(ASKED)))
def test_a_transcript_answers_what_it_was_made_for_and_nothing_else(rig: Rig, done: int) -> None:
    rig.upload("simple/tiny/x.wav")
    rig.bench.run("simple/tiny/x.wav", **ASKED[done])
    answered = {
        number for number, asked in enumerate(ASKED) if rig.judge(entry("simple/tiny/x.wav", **asked)) == ["done"]
    }
    # A rendering that says nothing of formats or times is content with any; options left at their default, too.
    also = {7: {0}, 8: {0}}.get(done, set())
    assert answered == {done} | also


def test_options_of_stages_that_do_not_run_are_the_same_work(rig: Rig) -> None:
    rig.upload("simple/tiny/x.wav")
    rig.bench.run("simple/tiny/x.wav")
    assert rig.judge(entry("simple/tiny/x.wav", options={"max_speakers": 3, "beam_size": 5})) == ["done"]


def test_forced_work_is_answered_by_another_event_alone(rig: Rig) -> None:
    rig.upload("simple/tiny/x.wav")
    before = rig.bench.run("simple/tiny/x.wav").event_id
    forced = replace(entry("simple/tiny/x.wav", force=True), before=before)
    assert rig.judge(forced) == ["outstanding"]
    rig.bench.run("simple/tiny/x.wav")
    assert rig.judge(forced) == ["outstanding"]
    rig.bench.run("simple/tiny/x.wav", force=True)
    assert rig.judge(forced) == ["done"]


def test_a_transcript_of_older_audio_does_not_answer_but_one_of_newer_does(rig: Rig) -> None:
    rig.upload("simple/tiny/x.wav")
    rig.bench.run("simple/tiny/x.wav")
    rig.bench.upload("simple/tiny/x.wav", b"newer")
    etag = rig.store.stat(ROOTS.audio.join("simple/tiny/x.wav")).etag
    asked = [entry("simple/tiny/x.wav", etag=etag), entry("simple/tiny/x.wav"), entry("simple/tiny/x.wav", etag="gone")]
    assert rig.judge(*asked) == ["outstanding"] * 3
    rig.bench.run("simple/tiny/x.wav")
    assert rig.judge(*asked) == ["done"] * 3


def test_failures_answer_their_own_batch_if_they_came_after_it(rig: Rig) -> None:
    rig.upload("x.wav")
    asked = entry("x.wav", batch_id=BATCH, timestamp=1000)
    rig.fail("0" * 32, asked.reference, 999)
    rig.fail("1" * 32, replace(asked.reference, batch_id="other"), 2000)
    assert rig.judge(asked) == ["outstanding"]
    rig.fail("2" * 32, asked.reference, 1001)
    assert rig.judge(asked) == ["failed"]


def test_what_is_gone_or_no_longer_offered_is_not_outstanding(rig: Rig) -> None:
    rig.upload("x.wav")
    assert rig.judge(entry("y.wav"), entry("x.wav", transcription_approach="simple.gigantic")) == ["gone", "gone"]


def test_a_plain_submit_needs_no_record_and_a_wish_is_recorded_before_it_is_sent(rig: Rig) -> None:
    rig.upload("simple/tiny/x.wav")
    assert rig.submit("simple/tiny/x.wav").batch_id is None
    assert rig.open == []
    rig.publisher.outcome = BrokerUnreachable("gone")
    summary = rig.submit("simple/tiny/x.wav", request=Request(options={"language": "de"}))
    assert (summary.sent, rig.open) == (0, [summary.batch_id])
    rig.publisher.outcome = None
    # The topic never saw it, and it comes back all the same; the path's own wish is part of it.
    assert rig.republish("missing").reopened == 1
    assert [(one["options"], one["batch_id"]) for one in rig.publisher.references] == [
        ({"language": "de"}, summary.batch_id)
    ]
    rig.work()
    assert rig.tally(str(summary.batch_id)).done == 1
    assert rig.open == []


def test_nothing_is_sent_that_could_not_be_recorded(rig: Rig) -> None:
    rig.upload("x.wav")

    def fail(method: str, location: Location) -> None:
        if method == "put" and "batches" in location.key:
            raise StoreUnreachable("gone")

    rig.store._on_call = fail
    summary = rig.submit("x.wav", request=Request(language="en"))
    assert isinstance(summary.outage, StoreUnreachable)
    assert rig.sent == []


def test_answered_parts_are_cleared_one_by_one(rig: Rig) -> None:
    rig.upload("a.wav", "b.wav")
    recorder = BatchRecorder(rig.batches, Head(BATCH, "republish", 0, finished=True))
    for key in ("a.wav", "b.wav"):
        recorder.part([entry(key, batch_id=BATCH)])
    recorder.note(finished=True)
    rig.bench.run("b.wav")
    assert rig.tally(BATCH) == Tally(1, 0, 0, 1, rig.tally(BATCH).seconds)
    assert [name for name, _part in rig.batches.parts(BATCH)] == ["00000000"]
    rig.bench.run("a.wav")
    assert rig.tally(BATCH).done == 2
    assert rig.open == []


def test_the_last_parts_of_a_batch_that_is_still_sent_are_left_alone(rig: Rig) -> None:
    rig.upload("a.wav")
    rig.bench.run("a.wav")
    recorder = BatchRecorder(rig.batches, new_batch("sync", {}))
    for _part in range(3):
        recorder.part([entry("a.wav", batch_id=recorder.head.batch_id)])
    assert rig.tally(recorder.head.batch_id).done == 3
    assert [name for name, _part in rig.batches.parts(recorder.head.batch_id)] == ["00000001", "00000002"]


@pytest.mark.parametrize("place", [None, 3, 5, 9])
def test_an_interrupted_republish_sends_the_rest_and_nothing_twice(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, place: int | None
) -> None:
    monkeypatch.setattr("lfk.roles.recording.PART_ENTRIES", 4)
    monkeypatch.setattr("lfk.roles.recording.recorded.__defaults__", (4,))
    monkeypatch.setattr(batches_module, "_PROGRESS_SECONDS", 0.0)
    keys = [f"simple/tiny/{number:02}.wav" for number in range(10)]
    rig.upload(*keys)
    confirmed: list[str] = []

    class Dying(FakePublisher):
        def send(self, record: Any, told: Any) -> None:
            if place is not None and len(self.records) >= place:
                raise BrokerUnreachable("gone")
            super().send(record, told)

    rig.publisher = Dying()
    if place is None:
        rig.stop.set()
    summary = rig.republish("all")
    assert not summary.finished
    confirmed = rig.sent
    rig.publisher = FakePublisher()
    rig.stop.clear()
    again = rig.republisher().resume(str(summary.batch_id))
    assert again.finished
    assert confirmed + rig.sent == keys
    assert {one["batch_id"] for one in rig.publisher.references} == {summary.batch_id}
    recorded = [
        one.reference.path_to_audio for _name, part in rig.batches.parts(str(summary.batch_id)) for one in part.entries
    ]
    assert recorded == [str(ROOTS.audio.join(key)) for key in keys]
    with pytest.raises(UsageError, match="to its end"):
        rig.republisher().resume(str(summary.batch_id))


def test_each_choice_sends_what_it_says(rig: Rig) -> None:
    rig.upload(
        "simple/tiny/new.wav", "simple/tiny/old.wav", "simple/tiny/fine.wav", "diarisation/base/bad.wav", "y.wav"
    )
    for key in ("simple/tiny/old.wav", "simple/tiny/fine.wav", "y.wav"):
        rig.bench.run(key)
    rig.bench.run("simple/tiny/fine.wav", transcription_approach="segmentation.tiny")
    rig.bench.upload("simple/tiny/old.wav", b"changed")
    bad = AudioReference(str(ROOTS.audio.join("diarisation/base/bad.wav")), "diarisation.base")
    rig.fail("a" * 32, bad, 10**13)
    rig.fail("b" * 32, bad, 10**13 + 1)
    rig.republish("missing")
    assert rig.sent == ["simple/tiny/new.wav", "simple/tiny/old.wav"]
    rig.republish("missing", "stale")
    assert rig.sent == ["simple/tiny/new.wav", "simple/tiny/old.wav"]
    rig.republish("stale")
    assert rig.sent == ["simple/tiny/old.wav"]
    rig.republish("failed")
    assert [(one["causation_id"], one["transcription_approach"]) for one in rig.publisher.references] == [
        ("b" * 32, "diarisation.base")
    ]
    rig.republish("all")
    assert len(rig.sent) == 5
    rig.republish("all", below=(ROOTS.audio.join("simple"),), limit=2)
    assert rig.sent == ["simple/tiny/fine.wav", "simple/tiny/new.wav"]
    rig.republish("missing", request=Request("segmentation", "", options={"language": "de"}))
    assert len(rig.sent) == 4
    assert {one["transcription_approach"] for one in rig.publisher.references} == {
        "segmentation.tiny",
        "segmentation.base",
    }


def test_missing_is_what_has_no_transcript_as_it_is_now(rig: Rig) -> None:
    """Also audio that was replaced while it was transcribed, which no listing tells, but not what failed since."""
    rig.upload("x.wav", "fine.wav", "bad.wav", "asked.wav")
    rig.bench.run("fine.wav")
    rig.bench.run("bad.wav")
    rig.bench.run("asked.wav")
    rig.bench.upload("asked.wav", b"replaced")
    rig.submit("asked.wav", request=Request(options={"max_speakers": 2}))
    during(
        rig.store, "put", ROOTS.transcripts.join("simple/tiny/x.wav.json"), lambda: rig.bench.upload("x.wav", b"new")
    )
    rig.bench.run("x.wav")
    rig.bench.upload("bad.wav", b"new and bad")
    rig.fail("a" * 32, AudioReference(str(ROOTS.audio.join("bad.wav")), "simple.tiny"), 10**13)
    listed = {info.location.name: info.modified for info in rig.store.list(ROOTS.transcripts)}
    assert listed["x.wav.json"] > rig.store.stat(ROOTS.audio.join("x.wav")).modified
    summary = rig.republish("missing")
    # What an open batch asks for goes in that batch's words, and once.
    assert sorted(rig.sent) == ["asked.wav", "x.wav"]
    assert summary.reopened == 1
    rig.work()
    rig.republish("missing")
    assert rig.sent == []
    # A hub that reconciles by itself believes the listings' times, as it looks each time that it starts.
    assert {item.name.rpartition("/")[2] for item in outstanding(rig.store, ROOTS)} == set()
    rig.bench.upload("fine.wav", b"replaced")
    rig.republish("missing")
    assert rig.sent == ["fine.wav"]
    rig.batches.remove(rig.open[0])
    assert [item.name.rpartition("/")[2] for item in outstanding(rig.store, ROOTS)] == ["fine.wav"]


def test_what_failed_is_sent_again_with_the_options_that_its_record_keeps(rig: Rig) -> None:
    rig.upload("simple/tiny/x.wav", "simple/tiny/y.wav")
    path = str(ROOTS.audio.join("simple/tiny/x.wav"))
    asked = AudioReference(path, "diarisation.tiny", options={"max_speakers": 2}, language="de", force=True)
    rig.fail("a" * 32, asked, 10**13, original=True)
    rig.fail("b" * 32, AudioReference(str(ROOTS.audio.join("simple/tiny/y.wav")), "simple.tiny"), 10**13)
    rig.republish("failed")
    wishes = ("transcription_approach", "options", "language", "force")
    assert [[one.get(name) for name in wishes] for one in rig.publisher.references] == [
        ["diarisation.tiny", {"max_speakers": 2}, "de", True],
        ["simple.tiny", None, None, None],
    ]


def test_a_transcript_that_lacks_files_is_rendered_anew_without_transcribing(rig: Rig) -> None:
    rig.upload("x.wav")
    rig.bench.run("x.wav")
    rig.store.delete(ROOTS.transcripts.join("simple/tiny/x.wav.srt"))
    assert rig.check() == {(Trouble.HALF_WRITTEN, "transcripts/simple/tiny/x.wav.json")}
    rig.republish("stale")
    assert rig.sent == ["x.wav"]
    rig.work()
    assert len(rig.bench.kind.tasks) == 1
    assert rig.tally(rig.open[0]).done == 1
    assert rig.check() == set()


def test_check_tells_other_bytes_only_when_it_looks_deep(rig: Rig) -> None:
    rig.upload("x.wav")
    rig.bench.run("x.wav")
    location = ROOTS.transcripts.join("simple/tiny/x.wav.txt")
    text, _info = rig.store.read(location, limit=1 << 20)
    rig.store.put(location, text[:-1] + b"!", content_type="text/plain")
    assert rig.check() == set()
    assert rig.check(deep=True) == {(Trouble.HALF_WRITTEN, "transcripts/simple/tiny/x.wav.json")}


def test_check_knows_transcripts_that_messages_asked_for_and_results_that_were_replaced(rig: Rig) -> None:
    rig.upload("simple/tiny/x.wav")
    rig.bench.run("simple/tiny/x.wav")
    rig.bench.run("simple/tiny/x.wav", transcription_approach="diarisation.base")
    rig.bench.run("simple/tiny/x.wav", options={"language": "de"})
    rig.bench.run("simple/tiny/x.wav", force=True)
    assert rig.check() == set()
    rig.bench.upload("simple/tiny/x.wav", b"other")
    stale = {(Trouble.STALE, "audio/simple/tiny/x.wav")}
    assert rig.check() == stale
    rig.republish("stale")
    assert [one.get("transcription_approach") for one in rig.publisher.references] == ["diarisation.base", None]
    rig.work()
    assert rig.check() == set()
    rig.store.delete(ROOTS.audio.join("simple/tiny/x.wav"))
    assert rig.check() == {
        (Trouble.ORPHAN, f"transcripts/{pair}/x.wav.json") for pair in ("simple/tiny", "diarisation/base")
    }


def test_an_embedded_broker_begins_with_what_open_batches_ask_for(rig: Rig) -> None:
    rig.upload("simple/tiny/x.wav", "simple/tiny/y.wav")
    rig.submit("simple/tiny/x.wav", request=Request(language="de"))
    assert [(item.audio.name, item.reference.language) for item in outstanding(rig.store, ROOTS)] == [
        ("x.wav", "de"),
        ("y.wav", None),
    ]


def test_what_a_batch_asks_for_is_nothing_that_a_listener_missed(rig: Rig) -> None:
    rig.upload("simple/tiny/x.wav", "simple/tiny/y.wav", "simple/tiny/z.wav")
    rig.submit("simple/tiny/x.wav", "simple/tiny/z.wav", request=Request(language="de"))
    rig.bench.run("simple/tiny/z.wav", language="de")
    before = [part for head in rig.batches.open() for part in rig.batches.parts(head.batch_id)]
    assert [(item.audio.name, item.reference.language) for item in unasked(rig.store, ROOTS)] == [("y.wav", None)]
    assert before == [part for head in rig.batches.open() for part in rig.batches.parts(head.batch_id)]


def test_threads_that_record_at_once_share_writes_and_lose_nothing(rig: Rig) -> None:
    rig.upload("x.wav")
    recorder = RollingRecorder(rig.batches, ROOTS, "sync", {})
    address = resolve("x.wav", None, ROOTS)
    count, threads = 30, 8

    def admit(lane: int) -> None:
        for number in range(count):
            reference = AudioReference(str(address.location), language="en", etag=f"{lane}-{number}")
            assert recorder.admit(reference, address).batch_id == recorder.batch_id
            stored = {
                one.reference.etag for _name, part in rig.batches.parts(recorder.batch_id) for one in part.entries
            }
            assert reference.etag in stored

    workers = [threading.Thread(target=admit, args=(lane,)) for lane in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert recorder.admit(AudioReference("x.wav"), address).batch_id is None
    recorder.close()
    assert rig.batches.head(recorder.batch_id).finished
    assert sum(len(part.entries) for _name, part in rig.batches.parts(recorder.batch_id)) == count * threads
