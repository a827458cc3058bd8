"""Submit over a store in memory: which objects it refers to, what it says of them, what it refuses."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from lfk.brokers.codec import JsonCodec
from lfk.core.errors import BrokerFull, BrokerUnreachable, MessageTooLarge, StoreUnreachable
from lfk.core.location import Location, parse_location
from lfk.core.request import Request
from lfk.roles import submit as submit_module
from lfk.roles.sender import ReferenceSender
from lfk.roles.submit import SubmitSummary, Submitted, Submitter
from lfk.stores.base import SHA256
from lfk.stores.memory import MemoryStore
from tests.integration.syncing import ROOTS, FakePublisher


class Rig:
    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.publisher = FakePublisher()
        self.stop = threading.Event()
        self.items: list[Submitted] = []
        self.roots = replace(ROOTS, allowed=(parse_location("s3://archive/2020/"),))

    def put(self, *keys: str, data: bytes = b"RIFF", **metadata: str) -> None:
        for key in keys:
            self.store.put(parse_location(f"s3://{key}"), data, content_type="audio/wav", metadata=metadata)

    def run(self, *names: str, request: Request | None = None, dry_run: bool = False) -> SubmitSummary:
        sender = None if dry_run else ReferenceSender(self.publisher, JsonCodec(), "lfk.audio", "lfk/submit")
        submitter = Submitter(self.store, sender, self.roots, request or Request(), self.items.append, self.stop)
        return submitter.run(names)

    @property
    def sent(self) -> list[str]:
        return [
            reference["path_to_audio"].removeprefix("s3://bucket/audio/") for reference in self.publisher.references
        ]

    @property
    def failures(self) -> dict[str, str]:
        return {item.name: item.error.code for item in self.items if item.error is not None}


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.put("bucket/audio/simple/tiny/a.wav", "bucket/audio/simple/tiny/b/c.mp4", "bucket/audio/simple/tiny/notes.txt")
    return rig


def test_an_object_with_all_that_is_known_of_it(rig: Rig) -> None:
    rig.put("bucket/audio/x.wav", data=b"audio", **{SHA256: "ab" * 32})
    assert rig.run("x.wav").sent == 1
    reference = rig.publisher.references[0]
    assert reference.pop("timestamp") > 0
    assert reference == {
        "path_to_audio": "s3://bucket/audio/x.wav",
        "final": True,
        "etag": rig.store.stat(parse_location("s3://bucket/audio/x.wav")).etag,
        "sha256": "ab" * 32,
        "size": 5,
        "content_type": "audio/wav",
    }
    assert rig.publisher.records[0].key == b"s3://bucket/audio/x.wav"


@pytest.mark.parametrize(
    "name",
    ["simple/tiny/", "./simple/tiny/", ".\\simple/tiny/", "sources/simple/tiny/", "s3://bucket/audio/simple/tiny/",
     "s3://bucket/audio/", "./"],
)  # fmt: skip
def test_prefixes_are_listed_and_what_is_no_media_is_counted(rig: Rig, name: str) -> None:
    summary = rig.run(name)
    assert rig.sent == ["simple/tiny/a.wav", "simple/tiny/b/c.mp4"]
    assert (summary.sent, summary.skipped, summary.failed, summary.size) == (2, 1, 0, 8)


@pytest.mark.parametrize("name", ["simple/tiny/a.wav", "sources/simple/tiny/a.wav", "simple\\tiny\\a.wav"])
def test_names_resolve_below_the_audio_root(rig: Rig, name: str) -> None:
    rig.run(name)
    assert rig.sent == ["simple/tiny/a.wav"]


@pytest.mark.parametrize("name", ["sources/only/here.wav", "sources/only/"])
def test_what_really_lies_below_sources_is_found_there(rig: Rig, name: str) -> None:
    rig.put("bucket/audio/sources/only/here.wav")
    rig.run(name)
    assert rig.sent == ["sources/only/here.wav"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("missing.wav", "object_missing"),
        ("missing/", "object_missing"),
        ("s3://elsewhere/x.wav", "forbidden_location"),
        ("s3://bucket/", "forbidden_location"),
        ("s3://bucket/audio2/", "forbidden_location"),
        ("/abs/x.wav", "forbidden_location"),
        ("/", "forbidden_location"),
        ("C:\\x.wav", "forbidden_location"),
        ("../x.wav", "invalid_location"),
        ("gs://bucket/x.wav", "invalid_location"),
        ("simple/gigantic/x.wav", "unknown_model"),
        ("", "invalid_location"),
    ],
)
def test_each_bad_name_is_told_and_the_others_go_on(rig: Rig, name: str, code: str) -> None:
    summary = rig.run(name, "simple/tiny/a.wav")
    assert rig.failures == {name: code}
    assert (summary.failed, rig.sent) == (1, ["simple/tiny/a.wav"])


def test_objects_below_a_prefix_that_cannot_be_asked_for_are_told_one_by_one(rig: Rig) -> None:
    rig.put("bucket/audio/simple/gigantic/x.wav")
    rig.put("bucket/audio/simple/tiny/empty.wav", data=b"")
    assert rig.run("simple/").failed == 2
    assert rig.failures == {
        "s3://bucket/audio/simple/gigantic/x.wav": "unknown_model",
        "s3://bucket/audio/simple/tiny/empty.wav": "audio_empty",
    }
    assert rig.sent == ["simple/tiny/a.wav", "simple/tiny/b/c.mp4"]


def test_allowed_prefixes_beside_the_audio_root(rig: Rig) -> None:
    rig.put("archive/2020/diarisation/base/x.wav")
    rig.run("s3://archive/2020/")
    assert rig.sent == ["s3://archive/2020/diarisation/base/x.wav"]


def test_results_that_share_the_place_are_no_audio(rig: Rig) -> None:
    rig.roots = replace(rig.roots, audio=parse_location("s3://bucket/"))
    rig.put("bucket/transcripts/simple/tiny/a.wav", "bucket/.lfk/x.wav")
    assert rig.run("s3://bucket/").skipped == 3


def test_what_is_asked_for_travels_in_the_message(rig: Rig) -> None:
    rig.run("simple/tiny/a.wav", request=Request(approach="diarisation", language="de", options={"max_speakers": "2"}))
    reference = rig.publisher.references[0]
    assert reference["transcription_approach"] == "diarisation.tiny"
    assert (reference["language"], reference["options"]) == ("de", {"max_speakers": "2"})


def test_a_dry_run_sends_nothing(rig: Rig) -> None:
    assert rig.run("./", dry_run=True).sent == 2
    assert rig.publisher.records == []
    assert [item.reference is not None for item in rig.items] == [True, True]


@pytest.mark.parametrize("when", ["sent", "confirmed"])
def test_an_outage_of_the_broker_ends_it(rig: Rig, when: str) -> None:
    error = BrokerUnreachable("gone")
    if when == "sent":
        rig.publisher.refusals = [error] * 9
    else:
        rig.publisher.outcome = error
    summary = rig.run("./", "missing.wav")
    assert (summary.outage, summary.sent, rig.failures) == (error, 0, {})


def test_an_outage_of_the_store_ends_it() -> None:
    def fail(method: str, location: Location) -> None:
        raise StoreUnreachable("gone")

    summary = Rig(MemoryStore(on_call=fail)).run("a.wav", "b.wav")
    assert isinstance(summary.outage, StoreUnreachable)


def test_a_refused_reference_is_told_and_a_full_broker_waited_for(rig: Rig) -> None:
    rig.publisher.refusals = [MessageTooLarge("too large"), BrokerFull("full")]
    assert rig.run("./").failed == 1
    assert rig.sent == ["simple/tiny/b/c.mp4"]


def test_few_are_on_their_way_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(FakePublisher):
        def send(self, record: Any, confirmed: Any) -> None:
            self.records.append(record)
            waiting.append(confirmed)
            most.append(len(waiting))
            if len(waiting) == limit:
                for one in waiting[:]:
                    waiting.remove(one)
                    threading.Timer(0.01, one, (None,)).start()

    limit = 10
    monkeypatch.setattr(submit_module, "IN_FLIGHT", limit)
    waiting: list[Any] = []
    most: list[int] = []
    rig = Rig()
    rig.publisher = Late()
    rig.put(*(f"bucket/audio/{number:03}.wav" for number in range(100)))
    assert rig.run("./").sent == 100
    assert max(most) == limit


def test_a_stop_ends_it(rig: Rig) -> None:
    rig.stop.set()
    assert rig.run("./").sent <= 1
