"""A hub in numbers: what each answer adds, and how the hub is whenever somebody looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from lfk.core import metrics
from lfk.core.errors import Suspect
from lfk.core.messages import Announcement
from lfk.core.readings import STAGES, TIMED, Reading, code_label, pair_labels, stage_label
from lfk.engine.base import Vitals
from lfk.engine.pool import EnginePool
from lfk.roles.hub.hub import Hub

#: Stages of the engine.
_ENGINE = ("decode", "transcribe", "align", "diarise")
_OUTCOMES = ("done", "reused", "failed")


def of_answer(answer: Announcement) -> Iterator[Reading]:
    """What an answer that is settled adds."""
    approach, model = pair_labels(answer.transcription_approach)
    outcome = "failed" if answer.error is not None else "reused" if answer.reused else "done"
    # All three at once: a series that begins with its first failure shows no increase by it.
    for one in _OUTCOMES:
        yield metrics.JOBS.of(one == outcome, approach, model, one)
    if answer.error is not None:
        yield metrics.FAILURES.of(1, code_label(answer.error.code), stage_label(answer.error.stage))
        yield metrics.DEAD_LETTERS.of(1)
    else:
        yield metrics.AUDIO.of(answer.duration or 0.0, approach, model, outcome)
    for stage in TIMED:
        if stage in answer.timings:
            yield metrics.STAGE.of(answer.timings[stage], stage, model)
    work = sum(answer.timings.get(stage, 0.0) for stage in _ENGINE)
    if outcome == "done" and work > 0 and answer.duration:
        yield metrics.RTFX.of(answer.duration / work, approach, model)


def of_hub(hub: Hub, pool: EnginePool, lanes: Mapping[str, str]) -> Iterator[Reading]:
    """How a hub is; ``lanes`` are topics by name of the lane."""
    yield metrics.RETRIES.of(hub.summary.retried)
    yield metrics.ENGINES.of(pool.size, "all")
    yield metrics.ENGINES.of(pool.ready, "ready")
    yield metrics.ENGINES.of(pool.busy, "busy")
    yield from _of_engines(pool.vitals)
    running = Counter(stage_label(job.stage) for job in hub.running)
    for stage in STAGES:
        yield metrics.RUNNING.of(running[stage], stage)
    in_hand = hub.in_hand
    for lane, topic in lanes.items():
        held = [count for partition, count in in_hand.items() if partition.topic == topic]
        yield metrics.QUEUE.of(sum(held), lane)
        yield metrics.PARTITIONS.of(len(held), lane)
    trouble = hub.trouble
    for part in Suspect:
        yield metrics.TROUBLE.of(trouble is not None and trouble.suspect is part, part.value)


def _of_engines(vitals: Sequence[Vitals]) -> Iterator[Reading]:
    yield metrics.ENGINE_RESTARTS.of(sum(one.failed for one in vitals), "failed")
    yield metrics.ENGINE_RESTARTS.of(sum(one.recycled for one in vitals), "recycled")
    for number, one in enumerate(vitals):
        yield metrics.ENGINE_MEMORY.of(one.memory, str(number))
