"""The gateway on a broker and a store in memory: what is joined, what is refused, what is let go of, what is late."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfk.brokers.base import Partition, Progress, Record
from lfk.brokers.codec import Codec, JsonCodec
from lfk.brokers.memory import MemoryBroker
from lfk.core.chunks import AudioChunk
from lfk.core.errors import MessageTooLarge, SettlementLost, SettlementRefused, StoreUnreachable
from lfk.core.identity import upload_mark
from lfk.core.location import Location, parse_location
from lfk.core.pcm import Pcm, wav_header
from lfk.roles.chunks.audio import GatewaySummary, Joined
from lfk.roles.chunks.gateway import Gateway
from lfk.roles.chunks.keeper import Keeper
from lfk.roles.chunks.plan import GatewayPlan
from lfk.roles.chunks.spool import Spool
from lfk.roles.forgotten import Forgotten
from lfk.roles.hub.answers import Topics
from lfk.stores.base import REFERRED, SOURCE
from lfk.stores.memory import MemoryStore
from tests.roles.roots import ROOTS
from tests.roles.silent_registry import SilentRegistryCodec
from tests.waiting import wait_until

CODEC = JsonCodec()
PLAN = GatewayPlan(
    group="gateways",
    topic="chunks",
    topic_audio="audio",
    answers=Topics("transcripts", "retry", "dlq"),
    timeout=60.0,
    settle_interval=0.0,
    grace=5.0,
    max_audio_bytes=10_000,
    transfers=2,
    exit_when_idle=0.1,
)
PATH = "diarisation/base/x.wav"


class Clock:
    """Stands still but for what a test adds, and a little at each look, so that idle gateways end."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class World:
    """A broker, a store and a scratch folder, with a gateway whenever one is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = MemoryBroker(partitions=1)
        self.broker.ensure_topics([])
        self.store = MemoryStore(on_call=self._called)
        self.clock = Clock()
        self.outcomes: list[Joined] = []
        self.plan = PLAN
        self.codec: Codec = CODEC
        self.budget = 1 << 20
        self.outages = 0
        self.gateways = 0

    def _called(self, method: str, _location: Location) -> None:
        if method == "upload" and self.outages:
            self.outages -= 1
            raise StoreUnreachable("the store is away")

    def gateway(self) -> Gateway:
        """One with a scratch folder of its own."""
        abandon = threading.Event()
        self.gateways += 1
        own = self.folder / str(self.gateways)
        own.mkdir()
        spool = Spool(own, self.budget)
        return Gateway(
            broker=self.broker,
            codec=self.codec,
            keeper=Keeper(self.store, ROOTS, spool, abandon),
            spool=spool,
            plan=self.plan,
            stop=threading.Event(),
            abandon=abandon,
            report=self.outcomes.append,
            clock=self.clock,
        )

    def run(self) -> GatewaySummary:
        """Work until there is nothing in hand."""
        return self.gateway().run()

    def turn(self, gateway: Gateway, times: int = 60) -> None:
        for _turn in range(times):
            gateway._turn()

    def send(self, *chunks: AudioChunk) -> None:
        for chunk in chunks:
            self.publish(CODEC.encode_chunk(chunk), chunk.path_to_audio)

    def publish(self, value: bytes, key: str = "k") -> None:
        outcomes: list[Exception | None] = []
        self.broker.publisher().send(Record("chunks", key.encode(), value), outcomes.append)
        assert outcomes == [None]

    def records(self, topic: str) -> list[dict[str, Any]]:
        if not self.broker.partitions(topic):
            return []
        return [json.loads(record.value or b"{}") for record in self.broker.snapshot(topic)]

    def stored(self, key: str) -> bytes:
        return self.store.read(parse_location(f"s3://bucket/audio/{key}"), limit=1 << 20)[0]

    def left_on_disk(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def committed(self) -> Progress | None:
        partition = Partition("chunks", 0)
        return self.broker.standing("gateways", "chunks")[partition].progress


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("_IDLE_POLL_SECONDS", "_BUSY_POLL_SECONDS"):
        monkeypatch.setattr(f"lfk.roles.chunks.gateway.{name}", 0.002)
    return World(tmp_path)


def numbered(path: str, *frames: bytes, upload: str = "u1", **more: Any) -> list[AudioChunk]:
    return [
        AudioChunk(
            path, block, final=at == len(frames) - 1, upload_id=upload, chunk_index=at, chunk_count=len(frames), **more
        )
        for at, block in enumerate(frames)
    ]


def older(path: str, *frames: bytes, pair: str | None = "diarisation.base") -> list[AudioChunk]:
    params = f"1,2,16000,{sum(map(len, frames)) // 2},NONE,not compressed"
    return [
        AudioChunk(path, block, final=at == len(frames) - 1, params=params, transcription_approach=pair)
        for at, block in enumerate(frames)
    ]


def test_what_the_older_tool_sends_becomes_a_proper_wav_and_one_reference(world: World) -> None:
    path = ".\\sources\\diarisation\\base\\x.wav"
    world.send(*older(path, b"aaaa", b"bbbb", b"cc"))
    assert world.run().joined == 1
    assert world.stored(PATH) == wav_header(Pcm(1, 2, 16000), 10) + b"aaaabbbbcc"
    (reference,) = world.records("audio")
    assert reference["path_to_audio"] == f"s3://bucket/audio/{PATH}"
    assert reference["transcription_approach"] == "diarisation.base"
    assert reference["size"] == 54
    assert reference["content_type"] == "audio/wav"
    assert reference["duration"] == 5 / 16000
    (record,) = world.broker.snapshot("audio")
    assert record.key == f"s3://bucket/audio/{PATH}".encode()
    assert record.headers["ce_source"] == b"lfk/chunks"
    # A listener leaves it to the gateway to refer to what it stored.
    assert world.store.stat(ROOTS.audio.join(PATH)).metadata[REFERRED] == upload_mark(reference["path_to_audio"])
    assert world.left_on_disk() == []
    committed = world.committed()
    assert committed is not None
    assert committed.offset == 3


def test_the_trace_of_who_sent_the_chunks_goes_on_with_the_reference(world: World) -> None:
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for chunk in numbered(PATH, b"ab", b"cd"):
        record = Record("chunks", b"k", CODEC.encode_chunk(chunk), {"traceparent": parent, "other": b"x"})
        world.broker.publisher().send(record, lambda _error: None)
    assert world.run().joined == 1
    (record,) = world.broker.snapshot("audio")
    assert record.headers["traceparent"] == parent
    assert "other" not in record.headers


def test_any_interleaving_never_mixes_files(world: World) -> None:
    one = numbered("simple/tiny/one.mp3", b"1a", b"1b", b"1c", upload="u1")
    two = numbered("simple/tiny/two.mp3", b"2a", b"2b", upload="u2")
    old = older("simple/tiny/three.wav", b"3a", b"3b")
    world.send(one[2], two[0], old[0], one[0], one[0], two[1], old[1], one[1])
    assert world.run().joined == 3
    assert world.stored("simple/tiny/one.mp3") == b"1a1b1c"
    assert world.stored("simple/tiny/two.mp3") == b"2a2b"
    assert world.stored("simple/tiny/three.wav")[44:] == b"3a3b"
    assert len(world.records("audio")) == 3


def test_the_same_name_again_is_a_new_version_and_the_last_one_stays(world: World) -> None:
    world.send(*numbered("a.mp3", b"first", upload="u1"), *numbered("a.mp3", b"second", upload="u2"))
    world.run()
    assert world.stored("a.mp3") == b"second"
    assert len(world.records("audio")) == 2


def test_chunks_that_come_again_after_the_end_change_nothing(world: World) -> None:
    chunks = numbered("a.mp3", b"one", b"two")
    single = older("b.wav", b"bb", pair=None)
    world.broker.cluster.clock = lambda: 5.0
    world.send(*chunks, *single, chunks[1], chunks[0], *single)
    world.run()
    assert len(world.records("audio")) == 2
    assert world.records("transcripts") == []
    world.broker.cluster.clock = lambda: 6.0
    world.send(*single)
    world.run()
    assert len(world.records("audio")) == 3, "sent anew it is a new request"


def test_a_gateway_that_dies_repeats_nothing_and_loses_nothing(world: World) -> None:
    slow = numbered("slow.mp3", b"s1", b"s2", upload="u1")
    quick = numbered("quick.mp3", b"q1", b"q2", upload="u2")
    world.send(slow[0], *quick)
    first = world.gateway()
    world.turn(first)
    assert [reference["path_to_audio"] for reference in world.records("audio")] == ["s3://bucket/audio/quick.mp3"]
    committed = world.committed()
    assert committed is not None
    assert committed.offset == 0, "the oldest audio that is not answered is where the next one reads from"
    # It dies without a word: the group gives it up, and another one comes.
    world.broker.evict(first._member)  # type: ignore[arg-type]
    world.send(slow[1])
    world.run()
    assert world.stored("slow.mp3") == b"s1s2"
    assert len(world.records("audio")) == 2


@pytest.mark.parametrize("after", ["nothing", "records", "everything"])
def test_a_commit_whose_outcome_is_not_known(world: World, after: Any) -> None:
    world.send(*numbered("a.mp3", b"one", b"two"))
    gateway = world.gateway()
    world.broker.fail_next_settlement(SettlementLost("no answer"), after=after)
    world.turn(gateway)
    assert world.outcomes[0].error is None
    assert len(world.records("audio")) == (2 if after == "records" else 1), "only without transactions it may repeat"
    assert len(world.outcomes) == 1


def test_a_commit_amid_a_rebalance_waits(world: World) -> None:
    world.send(*numbered("a.mp3", b"one"))
    gateway = world.gateway()
    world.broker.fail_next_settlement(SettlementRefused("sharing out"), after="nothing")
    world.turn(gateway)
    assert world.outcomes == []
    world.clock.now += 20
    world.turn(gateway, 3)
    assert len(world.records("audio")) == 1


def test_an_audio_that_stays_away_is_given_up_with_a_clear_error(world: World) -> None:
    world.send(*numbered(PATH, b"one", b"two", b"three")[:2])
    gateway = world.gateway()
    world.turn(gateway)
    world.clock.now += 59
    world.turn(gateway, 3)
    assert world.records("transcripts") == []
    world.clock.now += 3
    world.turn(gateway, 3)
    (failed,) = world.records("transcripts")
    assert failed["status"] == "failed"
    assert failed["path_to_audio"] == f"s3://bucket/audio/{PATH}"
    assert failed["error"]["code"] == "chunks_timed_out"
    assert "missing: 2" in failed["error"]["message"]
    assert world.left_on_disk() == []
    assert world.records("audio") == []
    assert gateway._partitions.in_hand == 0
    # What comes of it later is known to be late, and begins nothing.
    world.send(*numbered(PATH, b"one", b"two", b"three")[2:])
    world.turn(gateway)
    assert gateway._partitions.in_hand == 0
    assert len(world.records("transcripts")) == 1


def test_nothing_is_given_up_while_more_may_be_waiting_or_the_broker_is_away(world: World) -> None:
    chunks = numbered(PATH, b"one", b"two")
    world.send(chunks[0])
    gateway = world.gateway()
    world.turn(gateway)
    world.clock.now += 100
    world.broker.reachable = False
    world.turn(gateway, 3)
    world.broker.reachable = True
    # Sent before it was found to be late, but not read yet.
    world.send(chunks[1])
    gateway._looked = 0.0
    gateway._look_for_late()
    assert world.records("transcripts") == []
    world.turn(gateway)
    assert world.stored(PATH) == b"onetwo"
    assert world.records("transcripts") == []


@pytest.mark.parametrize(
    ("chunk", "code"),
    [
        (AudioChunk("../../etc/x.wav", b"a", final=True), "invalid_location"),
        (AudioChunk("C:\\x.wav", b"a", final=True), "forbidden_location"),
        (AudioChunk("s3://elsewhere/x.wav", b"a", final=True), "forbidden_location"),
        (AudioChunk("s3://bucket/transcripts/x.wav", b"a", final=True), "forbidden_location"),
        (AudioChunk("simple/gigantic/x.wav", b"a", final=True), "unknown_model"),
        (AudioChunk("x.wav", b"a", final=True, transcription_approach="guess.base"), "unknown_approach"),
        (AudioChunk("simple/tiny/x.exe", b"a", final=True), "invalid_location"),
        (AudioChunk("x.wav", final=True), "audio_empty"),
        (AudioChunk("x.wav", b"a", final=True, params="ULAW"), "malformed_message"),
        (AudioChunk("x.wav", b"aaa", final=True, params="1,2,16000"), "chunks_mixed"),
        (AudioChunk("x.wav", b"a" * 10_001, final=True), "audio_too_large"),
        (AudioChunk("x.wav", b"a", final=True, size=5), "chunks_mixed"),
        (AudioChunk("x.wav", b"a", final=True, sha256="0" * 64), "chunks_mixed"),
        (AudioChunk("x.wav", b"a", final=True, options={"x": "y" * 70_000}), "message_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_answered_with_an_error(world: World, chunk: AudioChunk, code: str) -> None:
    world.send(chunk, *numbered("good.mp3", b"good"))
    assert world.run().joined == 1
    (failed,) = world.records("transcripts")
    assert failed["error"]["code"] == code
    assert failed["path_to_audio"]
    assert len(world.records("audio")) == 1
    assert world.left_on_disk() == []


def test_the_rest_of_a_failed_audio_is_never_an_audio_of_its_own(world: World) -> None:
    params = "1,2,16000"
    first = AudioChunk("a.wav", b"aaaa", params="nonsense")
    world.send(first, AudioChunk("a.wav", b"bbbb", params=params))
    before = world.gateway()
    world.turn(before)
    world.broker.evict(before._member)  # type: ignore[arg-type]
    # Another gateway reads all of it again, fails it again, and answers once: with its last chunk.
    world.send(AudioChunk("a.wav", b"cccc", params=params, final=True))
    world.run()
    assert [failed["error"]["code"] for failed in world.records("transcripts")] == ["malformed_message"]
    assert world.records("audio") == []


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xfe",
        b"{}",
        b'{"path_to_audio": "\\ud800.wav", "frames": "AAAA"}',
        b'{"path_to_audio": 1}',
        b'{"path_to_audio":"x","frames":"*"}',
    ],
)
def test_what_is_no_chunk_gets_a_dead_letter_and_an_answer(world: World, value: bytes) -> None:
    world.publish(value)
    world.run()
    (letter,) = world.broker.snapshot("dlq")
    assert letter.value == value
    assert letter.headers["lfk.error.code"] == b"malformed_message"
    (failed,) = world.records("transcripts")
    assert failed["path_to_audio"] is None
    assert (failed["topic"], failed["partition"], failed["offset"]) == ("chunks", 0, 0)


def test_a_dead_letter_that_is_too_large_goes_without_its_value(world: World) -> None:
    world.publish(b" " * 600_000)
    gateway = world.gateway()
    world.broker.fail_next_settlement(MessageTooLarge("too large"), after="nothing")
    world.turn(gateway)
    (letter,) = world.broker.snapshot("dlq")
    assert letter.value is None
    assert letter.headers["lfk.error.value.omitted"] == b"600000"


def test_what_came_another_way_is_not_overwritten(world: World) -> None:
    location = parse_location("s3://bucket/audio/a.mp3")
    world.store.put(location, b"by sync", content_type="audio/mpeg", metadata={SOURCE: "host:1"})
    world.send(*numbered("a.mp3", b"other"))
    world.run()
    assert [failed["error"]["code"] for failed in world.records("transcripts")] == ["source_conflict"]
    assert world.stored("a.mp3") == b"by sync"
    # Another sender's is another source, too; the same content is no conflict whoever sends it.
    world.send(*numbered("b.mp3", b"mine", upload="u2", source="one"))
    world.send(*numbered("b.mp3", b"theirs", upload="u3", source="two"))
    world.send(*numbered("b.mp3", b"mine", upload="u4", source="two"))
    world.run()
    assert world.stored("b.mp3") == b"mine"
    assert len(world.records("audio")) == 2


def test_what_was_forgotten_is_not_stored_again(world: World) -> None:
    forgot = Forgotten(world.store, ROOTS.records)
    forgot.keep(ROOTS.audio.join("a.mp3"), [hashlib.sha256(b"whole").hexdigest()])
    before = [info.location for info in world.store.list(ROOTS.audio)]
    world.send(*numbered("a.mp3", b"who", b"le"))
    assert world.run().joined == 0
    assert [info.location for info in world.store.list(ROOTS.audio)] == before
    (answer,) = world.records("transcripts")
    assert (answer["error"]["code"], answer["path_to_audio"]) == ("audio_forgotten", None)
    assert (world.records("dlq"), world.records("audio")) == ([], [])
    world.send(*numbered("a.mp3", b"other", upload="u2"))
    assert world.run().joined == 1


def test_an_outage_of_the_store_is_waited_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfk.roles.chunks.keeper._OUTAGE_SECONDS", 0.01)
    world.outages = 3
    world.send(*numbered("a.mp3", b"one"))
    assert world.run().joined == 1


def test_an_outage_of_the_registry_is_waited_out_in_order(world: World) -> None:
    codec = world.codec = SilentRegistryCodec()
    gateway = world.gateway()
    # Chunks without numbers: joined in any other order they are another audio.
    first, *rest = older("b.wav", b"aaaa", b"bbbb", b"cc", pair=None)
    world.send(first)
    world.turn(gateway)
    codec.silent.set()
    world.send(*rest)
    world.turn(gateway)
    assert world.outcomes == []
    assert 1 <= codec.asked <= 2
    codec.silent.clear()
    world.clock.now += 5
    wait_until(lambda: world.outcomes, step=lambda: world.turn(gateway, 1))
    assert [one.error for one in world.outcomes] == [None]
    assert world.stored("b.wav")[44:] == b"aaaabbbbcc"
    assert world.records("dlq") == []


def test_more_than_the_scratch_holds_costs_the_latest_audio(world: World) -> None:
    world.budget = 1000
    early = numbered("early.mp3", *[b"e" * 300] * 3, upload="u1")
    late = numbered("late.mp3", *[b"l" * 300] * 3, upload="u2")
    world.send(early[0], late[0], early[1], late[1], early[2], late[2])
    world.run()
    assert world.stored("early.mp3") == b"e" * 900
    (failed,) = world.records("transcripts")
    assert failed["error"]["code"] == "scratch_full"
    assert failed["error"]["retryable"]
    assert world.left_on_disk() == []


def test_several_gateways_share_the_partitions(world: World) -> None:
    world.broker = MemoryBroker(partitions=4)
    audios: list[Sequence[AudioChunk]] = [
        numbered(f"{number}.mp3", b"a%d" % number, b"b%d" % number, upload=f"u{number}") for number in range(20)
    ]
    one = world.gateway()
    world.turn(one, 3)
    for chunks in audios:
        world.send(chunks[0])
    world.turn(one, 30)
    two = world.gateway()
    for _round in range(40):
        one._turn()
        two._turn()
    for chunks in audios:
        world.send(chunks[1])
    for _round in range(80):
        one._turn()
        two._turn()
    assert len(world.records("audio")) == 20
    assert world.records("transcripts") == []
    assert one.summary.joined
    assert two.summary.joined
    for number in range(20):
        assert world.stored(f"{number}.mp3") == b"a%db%d" % (number, number)


def test_a_note_that_would_be_too_long_is_left_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfk.roles.chunks.partitions.NOTE_LIMIT", 4)
    slow = numbered("slow.mp3", b"s1", b"s2", upload="u1")
    world.send(slow[0], *numbered("quick.mp3", b"q1", upload="u2"))
    gateway = world.gateway()
    world.turn(gateway)
    assert world.committed() == Progress(0, "")


def test_a_chunk_without_params_after_one_with_them(world: World) -> None:
    chunks = older("x.wav", b"aaaa", b"bb", pair=None)
    world.send(chunks[0], replace(chunks[1], params=None))
    world.run()
    assert world.stored("x.wav")[44:] == b"aaaabb"


def test_chunks_that_the_topic_has_dropped_are_waited_for_no_longer(world: World) -> None:
    slow = numbered("slow.mp3", b"s1", b"s2", b"s3", upload="u1")
    world.send(slow[0], *numbered("quick.mp3", b"q", upload="u2"))
    before = world.gateway()
    world.turn(before)
    world.broker.evict(before._member)  # type: ignore[arg-type]
    world.send(*slow[1:])
    world.broker.trim({Partition("chunks", 0): 3})
    gateway = world.gateway()
    world.turn(gateway)
    world.clock.now += 70
    world.turn(gateway, 5)
    (failed,) = world.records("transcripts")
    assert failed["error"]["code"] == "chunks_timed_out"
    assert "missing: 0, 1" in failed["error"]["message"]
    assert world.committed() == Progress(4, "")
