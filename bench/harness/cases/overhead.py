"""What a job costs besides its engine: alone on a hub that waits and in a backlog, with the canned engine; and the part
that this is of the job of a long recording, with the real one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.harness.case import Case, Measured, Size
from bench.harness.figures import Figure, Target
from bench.harness.speech import record, stock
from bench.harness.stand import Stand, engine_seconds, stand, warm_up
from bench.pipeline import ok, tone
from lfk.brokers.codec import JsonCodec
from lfk.brokers.kafka import KafkaBroker

SINGLE, BACKLOG = 40, 300
LONG_SECONDS = 600.0


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    single, backlog = size.of(SINGLE, 8), size.of(BACKLOG, 60)
    for name, first, count in (("warm", 0, 8), ("single", 100, single), ("backlog", 1000, backlog)):
        (folder / name).mkdir()
        for number in range(first, first + count):
            tone(folder / name / f"{number}.wav", number)
    with stand(folder / "stand", engine="canned") as one:
        one.run(one.upload(folder / "warm", "warm"), 8)
        root = one.upload(folder / "single", "single")
        first = len(one.hub.answers)
        for number in range(100, 100 + single):
            ok(one.lfk("submit", f"{root}{number}.wav"))
            one.hub.wait_for(first + number - 99, every=0.005)
        alone = _alone(one, one.hub.answers[first:])
        measured, _answers = one.run(one.upload(folder / "backlog", "backlog"), backlog)
    # At small sizes nothing that a loss would show in.
    part = _part_of_a_long_job(folder, LONG_SECONDS) if size.part == 1 else []
    long_job = Figure("overhead of a recording of 10 min, of its job", "%", part, Target(2, "at most"))
    return Measured(
        [
            Figure("overhead of a job, from its reference to its announcement", "ms", alone, Target(60, "at most")),
            *([long_job] if part else []),
            Figure("jobs a second in a backlog, engines that take no time", "1/s", [backlog / measured.wall]),
            Figure("processor time of a job in a backlog", "ms", [(measured.processor or 0.0) / backlog * 1000]),
        ],
        set_up={
            "model": "canned engine, 0 s a job; one hub, 2 workers; all five formats; for the long one tiny.en, int8",
            "audio": f"{single} recordings of 0.1 s one by one, then {backlog} at once; 2 of 10 min of speech, in WAV",
            "clock": "alone: from the reference's time stamp until the announcement is settled",
            "load": "not counted",
        },
    )


def _part_of_a_long_job(folder: Path, seconds: float) -> list[float]:
    """Per cent of a job, from its reference to its announcement, in which no engine was at it."""
    have = stock()
    with stand(folder / "long stand") as one:
        warm_up(one, folder / "warm up", have)
        before = len(one.hub.answers)
        for number in (1, 2):
            record(folder / f"long {number}", [seconds], have, seed=6, number=number)
            one.run(one.upload(folder / f"long {number}", f"long {number}"), 1)
        answers = one.hub.answers[before:]
        spent = _alone(one, answers)
    return [100 * most / (most + 1000 * engine_seconds(one)) for one, most in zip(answers, spent, strict=True)]


def _alone(one: Stand, answers: list[Mapping[str, Any]]) -> list[float]:
    """Milliseconds of each job that its engine did not take."""
    broker, codec = KafkaBroker({"bootstrap.servers": one.lfk.environ["BOOTSTRAP_SERVERS"]}), JsonCodec()
    sent = [codec.decode_reference(record.value) for record in broker.snapshot(one.lfk.environ["LFK_TOPIC_AUDIO"])]
    made = {reference.path_to_audio: (reference.timestamp or 0) / 1000 for reference in sent}
    return [(answer["heard"] - made[answer["path_to_audio"]] - engine_seconds(answer)) * 1000 for answer in answers]


CASE = Case("overhead", "what a job costs besides its engine", 2.2, run, smoke=0.2)
