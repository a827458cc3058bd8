"""What every engine promises, whichever it is and wherever it runs: the canned one, the same in a child, WhisperX."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lfk.core.approaches import APPROACHES, Approach
from lfk.core.transcript import Transcript, from_dict, to_dict
from lfk.engine.base import Engine, EngineKind, ModelIdentity, Task
from lfk.engine.canned import CannedKind
from lfk.engine.child_process import Launch
from lfk.engine.limits import EngineLimits
from lfk.engine.process import ProcessEngine
from lfk.engine.surroundings import engine_environment
from lfk.engine.whisperx_kind import WhisperXKind, WhisperXPlan

SPEECH = Path(__file__).resolve().parents[2] / "lfk" / "demo" / "speech" / "sense-and-sensibility-1.flac"
MODEL = "tiny.en"
#: An engine's libraries take 10 s of one core to load; test machines are shared.
STARTS_WITHIN = 300.0


class CannedChildKind(CannedKind):
    """The canned engine behind pipes."""

    def start(self) -> Engine:  # type: ignore[override]
        return ProcessEngine(Launch("lfk.engine.canned:build", engine_environment(os.environ, 1)), EngineLimits())


def whisperx() -> EngineKind:
    return WhisperXKind(WhisperXPlan(preload=(MODEL,)), EngineLimits(start_seconds=STARTS_WITHIN), os.environ)


KINDS: dict[str, Callable[[], EngineKind]] = {
    "canned": CannedKind,
    "canned-child": CannedChildKind,
    "whisperx": whisperx,
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.engine] * (name == "whisperx")) for name in KINDS],
)
def kind(request: pytest.FixtureRequest) -> EngineKind:
    return KINDS[request.param]()


@pytest.fixture(scope="module")
def engine(kind: EngineKind) -> Iterator[Engine]:
    made = kind.start()
    yield made
    made.close()


@pytest.fixture(params=list(APPROACHES.values()), ids=list(APPROACHES))
def approach(request: pytest.FixtureRequest) -> Approach:
    found: Approach = request.param
    return found


def task(folder: Path, approach: Approach, recognised: Transcript | None = None) -> Task:
    return Task(SPEECH, "ab" * 32, approach.stages, MODEL, {}, folder, recognised)


def test_identity_is_the_same_every_time(kind: EngineKind) -> None:
    identity = kind.identify(MODEL)
    assert identity == kind.identify(MODEL) == ModelIdentity(MODEL, identity.revision)
    assert identity.revision


def test_every_approach_brings_what_it_promises(
    kind: EngineKind, engine: Engine, approach: Approach, tmp_path: Path
) -> None:
    heard: list[tuple[str, float]] = []
    found: list[Transcript] = []
    outcome = engine.run(task(tmp_path, approach), lambda *news: heard.append(news), found.append)
    transcript = outcome.transcript

    assert from_dict(json.loads(json.dumps(to_dict(transcript), allow_nan=False))) == transcript
    assert not transcript.no_speech
    assert transcript.language == "en"
    assert transcript.duration is not None
    starts = [segment.start for segment in transcript.segments]
    assert starts == sorted(starts)
    for segment in transcript.segments:
        assert 0 <= segment.start <= segment.end <= transcript.duration
    for word in transcript.words():
        if word.start is not None and word.end is not None:
            assert 0 <= word.start <= word.end <= transcript.duration

    assert bool(list(transcript.words())) == ("align" in approach.stages)
    if "diarise" in approach.stages:
        assert transcript.turns
        assert all(word.speaker for word in transcript.words() if word.start is not None)
    else:
        assert transcript.speakers == ()

    assert outcome.recognised is not None
    assert found == [outcome.recognised]
    assert not list(outcome.recognised.words())
    assert outcome.reused_stages == ()
    assert set(approach.stages) <= set(outcome.timings)
    assert all(seconds >= 0 for seconds in outcome.timings.values())
    assert [stage for stage in dict.fromkeys(stage for stage, _part in heard) if stage != "decode"] == list(
        approach.stages
    )
    assert all(0 <= part <= 1 for _stage, part in heard)
    assert {"lfk", "engine", "model", "revision", "device", "compute_type"} <= set(outcome.provenance)
    assert (outcome.provenance["model"], outcome.provenance["revision"]) == (MODEL, kind.identify(MODEL).revision)
    assert list(tmp_path.iterdir()) == [], "nothing is left in scratch"


def test_a_known_recognition_is_not_done_again(engine: Engine, tmp_path: Path) -> None:
    known = engine.run(task(tmp_path, APPROACHES["simple"])).recognised
    assert known is not None
    found: list[Transcript] = []
    outcome = engine.run(task(tmp_path, APPROACHES["diarisation"], known), recognised=found.append)
    assert outcome.reused_stages == ("transcribe",)
    assert outcome.recognised is None
    assert found == []
    assert outcome.timings["transcribe"] == 0.0
    again = engine.run(task(tmp_path, APPROACHES["diarisation"]))
    assert outcome.transcript == again.transcript, "the same, wherever the text came from"


def test_it_is_ready_after_a_task_and_not_after_its_end(kind: EngineKind, tmp_path: Path) -> None:
    one = kind.start()
    try:
        one.run(task(tmp_path, APPROACHES["simple"]))
        assert one.ready
    finally:
        begun = time.monotonic()
        one.close()
        assert time.monotonic() - begun < 5.0
    assert not one.ready
    one.close()
