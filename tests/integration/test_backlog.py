"""How much work waits and how fast it goes: read off topics, in memory and in a real Kafka."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lfk.brokers.base import Partition, Progress, Record, TopicPlan
from lfk.brokers.codec import JsonCodec
from lfk.brokers.memory import MemoryBroker
from lfk.core.ledger import Ledger
from lfk.core.lengths import likely_seconds
from lfk.core.messages import Announcement, AudioReference, Failure
from lfk.roles import backlog
from lfk.roles.backlog import Load, Outlook, failure_causes, load, look_ahead, pace
from lfk.roles.estimate import Lengths
from lfk.roles.failures import Failures
from lfk.roles.status import look
from lfk.stores.memory import MemoryStore
from tests.acceptance.command import Lfk
from tests.integration.syncing import ROOTS
from tests.roles.failing import failure_record
from tests.roles.roots import ROOTS as BENCH_ROOTS
from tests.roles.test_job import Bench

AUDIO, TRANSCRIPTS, GROUP = "lfk.audio", "lfk.transcripts", "g"
NOW = 1_700_000_000.0
CODEC = JsonCodec()


class Joins:
    def assigned(self, committed: Mapping[Partition, Progress | None]) -> Mapping[Partition, int | None]:
        return dict.fromkeys(committed)

    def revoked(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Nothing is held."""


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(partitions=1, transactional=False, clock=lambda: NOW)


def send(broker: MemoryBroker, topic: str, *values: bytes) -> None:
    for value in values:
        broker.publisher().send(Record(topic, b"k", value), lambda _error: None)


def reference(path: str, **facts: object) -> bytes:
    return CODEC.encode_reference(AudioReference(f"s3://bucket/audio/{path}", **facts))  # type: ignore[arg-type]


def answer(pair: str, *, seconds: float = 60.0, ago: float = 0.0, **facts: object) -> bytes:
    values = {"status": "done", "duration": seconds, **facts}
    told = Announcement(
        "event", timestamp=int((NOW - ago) * 1000), transcription_approach=pair, path_to_audio="x.wav", **values  # type: ignore[arg-type]
    )  # fmt: skip
    return CODEC.encode_announcement(told)


def measured(broker: MemoryBroker) -> Load:
    return load(broker, GROUP, AUDIO, ROOTS, CODEC.decode_reference)


def settle(broker: MemoryBroker, done: Sequence[int]) -> None:
    """Commit that the references at these offsets are done."""
    member = broker.member(GROUP, [AUDIO], Joins())
    ledger = Ledger()
    while (record := member.poll(0.0)) is not None:
        ledger.deliver(record.offset)
    for offset in done:
        ledger.finish(offset)
    committed = ledger.progress()
    assert committed is not None
    member.settle([], {Partition(AUDIO, 0): Progress(*committed)})
    member.close()


class TestLoad:
    def test_what_is_asked_for_and_how_long_it_is(self, broker: MemoryBroker) -> None:
        send(
            broker,
            AUDIO,
            reference("simple/tiny/a.wav", duration=100.0),
            reference("simple/tiny/b.wav", size=960_000),
            reference("simple/tiny/c.mp4", transcription_approach="diarisation.base", duration=30.0),
            b"not a reference",
        )
        seen = measured(broker)
        assert {pair: (one.files, one.audio, one.told) for pair, one in seen.pairs.items()} == {
            "simple.tiny": (2, 110.0, 100.0),
            "diarisation.base": (1, 30.0, 30.0),
            backlog.UNKNOWN: (1, 0.0, 0.0),
        }

    def test_what_is_done_out_of_order_does_not_wait(self, broker: MemoryBroker) -> None:
        send(broker, AUDIO, *(reference(f"simple/tiny/{number}.wav", duration=1.0) for number in range(10)))
        settle(broker, [0, 1, 5, 9])
        status = look(broker, MemoryStore(), ROOTS, GROUP, (AUDIO,))
        assert status.waiting == {AUDIO: 6}
        assert (measured(broker).files, measured(broker).pairs["simple.tiny"].files) == (6, 6)

    def test_a_long_queue_is_read_in_part(self, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backlog, "_READ", 10)
        send(broker, AUDIO, *(reference(f"simple/tiny/{number}.wav", duration=2.0) for number in range(50)))
        one = measured(broker).pairs["simple.tiny"]
        assert (one.files, one.audio, one.told) == (50, 100.0, 100.0)

    def test_transcripts_of_such_files_say_how_long_it_is(self, broker: MemoryBroker, tmp_path: Path) -> None:
        bench = Bench(tmp_path)
        bench.upload("simple/tiny/known.opus", b"s" * 100)
        seconds = bench.run("simple/tiny/known.opus").duration
        assert seconds
        now = [0.0]
        lengths = Lengths(bench.store, BENCH_ROOTS, clock=lambda: now[0])
        send(
            broker,
            AUDIO,
            reference("simple/tiny/a.opus", size=300),
            reference("simple/tiny/b.wav", size=960_000),
        )

        def hours() -> float:
            found = load(broker, GROUP, AUDIO, ROOTS, CODEC.decode_reference, lengths.seconds)
            return found.pairs["simple.tiny"].audio

        assert hours() == pytest.approx(3 * seconds + 10.0), "of wav there is no example: as such files usually are"
        bench.upload("simple/tiny/known.wav", b"s" * 96)
        other = bench.run("simple/tiny/known.wav").duration
        assert hours() == pytest.approx(3 * seconds + 10.0), "it learns anew once in a while"
        now[0] = 301.0
        assert other
        assert hours() == pytest.approx(3 * seconds + other * 10_000)
        bench.close()

    def test_nothing_waits(self, broker: MemoryBroker) -> None:
        assert measured(broker) == Load()
        broker.ensure_topics([TopicPlan(AUDIO, 1, 1)])
        assert measured(broker) == Load()

    def test_what_is_answered_below_the_group_s_place_is_not_read(
        self, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send(broker, AUDIO, *(reference(f"simple/tiny/{number}.wav", duration=1.0) for number in range(20)))
        settle(broker, range(15))
        monkeypatch.setattr(backlog, "_PASSED", 6)
        assert measured(broker).files == 5

    def test_references_that_say_nothing_are_taken_to_be_like_the_others(self, broker: MemoryBroker) -> None:
        send(broker, AUDIO, reference("simple/tiny/a.wav"))
        assert measured(broker).audio == 300.0
        send(broker, AUDIO, *(reference(f"simple/tiny/{number}.wav", duration=60.0) for number in range(2)))
        assert (measured(broker).audio, measured(broker).oldest) == (180.0, NOW)


class TestPace:
    def test_what_was_answered_in_the_last_hour(self, broker: MemoryBroker) -> None:
        failure = Failure("audio_empty", "no audio", "decode", 1, retryable=False)
        send(
            broker,
            TRANSCRIPTS,
            answer("simple.tiny", ago=100.0, timings={"transcribe": 20.0}),
            answer("simple.tiny", ago=50.0, reused=True),
            answer("simple.tiny", status="failed", duration=None, error=failure),
            b"nonsense",
        )
        told = pace(broker, TRANSCRIPTS, CODEC.decode_announcement, NOW)
        done = told.pairs["simple.tiny"]
        assert (done.files, done.failed, done.reused, done.audio) == (2, 1, 1, 60.0)
        assert (told.seconds, told.speed, told.causes) == (120.0, 0.5, {"audio_empty": 1})

    def test_a_moment_is_no_pace(self, broker: MemoryBroker) -> None:
        send(broker, TRANSCRIPTS, answer("simple.tiny"))
        assert pace(broker, TRANSCRIPTS, CODEC.decode_announcement, NOW).seconds == 10.0

    def test_no_topic_no_pace(self, broker: MemoryBroker) -> None:
        assert pace(broker, TRANSCRIPTS, CODEC.decode_announcement, NOW).speed == 0.0


class TestOutlook:
    def test_how_long_it_will_take(self, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "time", lambda: NOW)
        send(broker, AUDIO, reference("simple/tiny/a.wav", duration=300.0))
        send(broker, TRANSCRIPTS, answer("simple.tiny", ago=60.0))
        ahead = look_ahead(broker, MemoryStore(), ROOTS, GROUP, {AUDIO: 1}, TRANSCRIPTS, CODEC)
        assert (ahead.audio, ahead.is_estimate, ahead.seconds_left) == (300.0, False, 300.0)

    def test_nothing_waits_or_nothing_is_known(self) -> None:
        assert Outlook().seconds_left == 0.0
        assert Outlook({"simple.tiny": backlog.Waiting(1, 10.0)}).seconds_left is None
        assert Outlook({"simple.tiny": backlog.Waiting(1, 0.0)}).seconds_left is None

    def test_failures_by_cause(self) -> None:
        store = MemoryStore()
        failures = Failures(store, ROOTS.records)
        for number, code in enumerate(["audio_empty", "audio_empty", "engine_crashed"]):
            failures.save(failure_record(str(number) * 32, code=code))
        store.put(failures.location("f" * 32), b"[]", content_type="application/json")
        assert failure_causes(store, ROOTS) == {"audio_empty": 2, "engine_crashed": 1, backlog.UNKNOWN: 1}


@pytest.mark.parametrize(
    ("name", "kind", "seconds"),
    [("x.wav", None, 10.0), ("x.mp4", None, 960_000 / 190_000), ("v.mp4", "audio/flac", 24.0)],
)
def test_lengths_are_judged_by_what_the_bytes_are(name: str, kind: str | None, seconds: float) -> None:
    assert likely_seconds(name, 960_000, kind) == pytest.approx(seconds)


@pytest.mark.kafka
@pytest.mark.timeout(180)
def test_through_the_command(tmp_path: Path, kafka: str, topic_prefix: str) -> None:
    topics = ("AUDIO", "BULK", "CHUNKS", "TRANSCRIPTS", "RETRY", "DLQ")
    lfk = Lfk(
        tmp_path,
        LFK_STORE="store",
        LFK_SETTLE="0",
        LFK_ENGINE="canned",
        LFK_PARTITIONS="2",
        LFK_GROUP=f"{topic_prefix}-hub",
        BOOTSTRAP_SERVERS=kafka,
        **{f"LFK_TOPIC_{topic}": f"{topic_prefix}.{topic.lower()}" for topic in topics},
    )
    assert lfk("init").code == 0
    for number in range(4):
        path = tmp_path / "rec" / "simple" / "tiny" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number * 96_000)
    assert lfk("sync", "rec").code == 0
    told = lfk("status", "--json").of("status")[0]
    assert told["waiting"][f"{topic_prefix}.audio"] == 4
    assert told["backlog"] == {"simple.tiny": {"files": 4, "audio_seconds": 4.0, "told_seconds": 0.0}}
    assert (told["estimate"], told["eta_seconds"]) == (True, None)
    shown = lfk("status").out
    assert "simple.tiny" in shown
    assert "no pace to judge by yet" in shown
    assert lfk("hub", "--workers", "1", "--max-jobs", "4").code in (0, 1)
    told = lfk("status", "--json").of("status")[0]
    assert (told["backlog"], told["eta_seconds"]) == ({}, 0.0)
    done = told["pace"]["pairs"]["simple.tiny"]
    assert done["files"] + done["failed"] == 4
    assert sum(told["causes"].values()) == done["failed"] == told["failures"]


def test_live_goes_on_until_it_is_stopped(tmp_path: Path) -> None:
    import signal

    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_LIVE_SECONDS="0.05")
    assert lfk("init").code == 0
    process = lfk.start("status", "--live", "--json")
    assert process.stdout is not None
    assert [json.loads(process.stdout.readline())["event"] for _look in range(3)] == ["status"] * 3
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
