"""The real engine on real and unreal sound, with the packaged weights and no network."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest

from lfk.core.errors import (
    AudioEmpty,
    AudioTooLong,
    AudioUndecodable,
    EngineUnavailable,
    InvalidOption,
    LfkError,
    ModelInvalid,
    ModelMissing,
)
from lfk.engine.base import Outcome, Task
from lfk.engine.child_process import Launch
from lfk.engine.limits import EngineLimits
from lfk.engine.media import decode
from lfk.engine.models.library import open_library
from lfk.engine.process import ProcessEngine
from lfk.engine.surroundings import engine_environment
from lfk.engine.weights import sentence_data
from lfk.engine.whisperx_kind import WhisperXKind, WhisperXPlan

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]
SPEECH = ROOT / "lfk" / "demo" / "speech"
MODEL = "tiny.en"
CLIPS = ("conversation", "sense-and-sensibility-1", "sense-and-sensibility-2")
RATE = 16_000
#: Loading takes 10 s of one core; test machines are shared.
LIMITS = EngineLimits(start_seconds=300.0)
MOST_SECONDS = 120.0

SIMPLE: tuple[Any, ...] = ("transcribe",)
SEGMENTATION: tuple[Any, ...] = ("transcribe", "align")
DIARISATION: tuple[Any, ...] = ("transcribe", "align", "diarise")

#: Every processor's kernels round differently, and on some the smallest model takes "ill-disposed" for "old-sposed":
#: two words of 24.
MOST_WRONG = 0.1


def start(sentences: Path | None = None, **config: Any) -> ProcessEngine:
    environment = engine_environment({**os.environ, "PYTHONPATH": str(ROOT)}, 1, sentences or sentence_data())
    config = {"preload": [MODEL], "max_seconds": MOST_SECONDS, **config}
    return ProcessEngine(Launch("tests.integration.engine_offline:build", environment, config), LIMITS)


def shared_with_a_cache(folder: Path) -> Path:
    """The data that sentences are split with, each file under two names, as uv installs it."""
    data = sentence_data()
    assert data is not None
    shutil.copytree(data, folder / "installed")
    shutil.copytree(folder / "installed", folder / "cache", copy_function=os.link)
    return folder / "installed"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessEngine]:
    one = start(shared_with_a_cache(tmp_path_factory.mktemp("nltk")))
    yield one
    one.close()


def run(engine: ProcessEngine, audio: Path, scratch: Path, stages: tuple[Any, ...] = SIMPLE, **options: Any) -> Outcome:
    return engine.run(Task(audio, "ab" * 32, stages, MODEL, options, scratch))


def wav(path: Path, samples: np.ndarray[Any, Any]) -> Path:
    import wave

    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def spoken(name: str) -> list[tuple[str, str]]:
    """(speaker, what was said), line by line."""
    lines = (SPEECH / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    parts = [re.fullmatch(r"(?:([AB]): )?(.*)", line) for line in lines]
    return [(part[1] or "", part[2]) for part in parts if part]


def word_error_rate(said: str, heard: str) -> float:
    plain = jiwer.Compose(
        [
            jiwer.ToLowerCase(),
            jiwer.SubstituteRegexes({"-": " "}),
            jiwer.RemovePunctuation(),
            jiwer.RemoveMultipleSpaces(),
            jiwer.Strip(),
            jiwer.ReduceToListOfListOfWords(),
        ]
    )
    return float(jiwer.wer(said, heard, reference_transform=plain, hypothesis_transform=plain))


def test_the_trap_works(tmp_path: Path) -> None:
    one = start(reach_out=True, preload=[])
    try:
        with pytest.raises(EngineUnavailable, match="status 77"):
            run(one, SPEECH / "conversation.flac", tmp_path)
    finally:
        one.close()


@pytest.mark.parametrize("name", ["sense-and-sensibility-1", "sense-and-sensibility-2", "conversation"])
def test_what_is_said_is_what_is_written(engine: ProcessEngine, tmp_path: Path, name: str) -> None:
    found = run(engine, SPEECH / f"{name}.flac", tmp_path).transcript
    said = " ".join(text for _speaker, text in spoken(name))
    assert word_error_rate(said, " ".join(segment.text for segment in found.segments)) <= MOST_WRONG


def test_a_conversation_in_turns(engine: ProcessEngine, tmp_path: Path) -> None:
    outcome = run(engine, SPEECH / "conversation.flac", tmp_path, DIARISATION)
    found = outcome.transcript
    assert found.speakers == ("SPEAKER_00", "SPEAKER_01")
    assert found.warnings == ()
    runs: list[tuple[str | None, list[str]]] = []
    for word in found.words():
        if not runs or runs[-1][0] != word.speaker:
            runs.append((word.speaker, []))
        runs[-1][1].append(word.text)
    lines = spoken("conversation")
    assert [speaker for speaker, _words in runs] == ["SPEAKER_00", "SPEAKER_01"] * 3 + ["SPEAKER_00"]
    for (_label, words), (_speaker, said) in zip(runs, lines, strict=True):
        assert word_error_rate(said, " ".join(words)) <= 0.15
    assert outcome.provenance["aligner"].startswith("alignment/en@")
    assert outcome.provenance["diariser"]


def test_the_speaker_count_may_be_given(engine: ProcessEngine, tmp_path: Path) -> None:
    found = run(engine, SPEECH / "conversation.flac", tmp_path, DIARISATION, max_speakers=1).transcript
    assert found.speakers == ("SPEAKER_00",)


def test_hotwords_and_prompt_and_beam_are_taken(engine: ProcessEngine, tmp_path: Path) -> None:
    options = {"hotwords": "Dashwood", "initial_prompt": "A novel by Jane Austen.", "beam_size": 2, "batch_size": 1}
    found = run(engine, SPEECH / "sense-and-sensibility-1.flac", tmp_path, **options).transcript
    assert "Dashwood" in found.segments[0].text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"language": "de"}, "knows English only"),
        ({"task": "translate"}, "cannot translate"),
        ({"initial_prompt": "so many words " * 57, "hotwords": "and more words " * 50}, "Whisper takes 223"),
    ],
)
def test_options_that_the_model_rules_out(
    engine: ProcessEngine, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidOption, match=says):
        run(engine, SPEECH / "sense-and-sensibility-1.flac", tmp_path, **options)


def chords(seconds: float) -> np.ndarray[Any, Any]:
    """Something like music: four notes at a time, another four every half second."""
    chance = np.random.default_rng(5)
    at = np.arange(RATE // 2) / RATE
    fade = np.exp(-3 * at)
    bars = [
        sum(np.sin(2 * np.pi * hertz * at) for hertz in 220 * 2 ** (chance.integers(0, 24, 4) / 12)) * fade * 0.1
        for _ in range(int(seconds * 2))
    ]
    return np.concatenate(bars)


NOISE = np.random.default_rng(3).standard_normal(RATE * 10) * 0.1
NO_SPEECH = {
    "silence": np.zeros(RATE * 10),
    "noise": NOISE,
    "quiet noise": NOISE * 0.01,
    "music": chords(10.0),
    "a click": np.concatenate([np.zeros(RATE), np.ones(10), np.zeros(RATE)]),
    "10 ms": NOISE[:160],
    "50 ms": NOISE[:800],
    "one sample": NOISE[:1],
}


@pytest.mark.parametrize("name", list(NO_SPEECH))
def test_no_speech_is_no_error(engine: ProcessEngine, tmp_path: Path, name: str) -> None:
    outcome = run(engine, wav(tmp_path / "x.wav", NO_SPEECH[name]), tmp_path, DIARISATION)
    assert outcome.transcript.no_speech
    assert outcome.transcript.duration == pytest.approx(len(NO_SPEECH[name]) / RATE, abs=0.001)
    assert set(outcome.timings) >= set(DIARISATION)


@pytest.mark.parametrize("part", [0.05, 0.3, 1.0])
def test_the_shortest_speech(engine: ProcessEngine, tmp_path: Path, part: float) -> None:
    from lfk.engine.media import decode

    samples = decode(SPEECH / "sense-and-sensibility-1.flac", tmp_path, 60.0).samples[RATE : RATE + int(part * RATE)]
    outcome = run(engine, wav(tmp_path / "x.wav", np.array(samples)), tmp_path, DIARISATION)
    for segment in outcome.transcript.segments:
        assert 0 <= segment.start <= segment.end <= part + 0.001


def test_bad_recordings_keep_their_errors_through_the_pipe(engine: ProcessEngine, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound in here\n" * 100, encoding="utf-8")
    with pytest.raises(AudioUndecodable):
        run(engine, tmp_path / "text.wav", tmp_path)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioEmpty):
        run(engine, tmp_path / "empty.wav", tmp_path)
    with pytest.raises(AudioTooLong):
        run(engine, wav(tmp_path / "long.wav", np.zeros(int(RATE * (MOST_SECONDS + 1)))), tmp_path)
    assert run(engine, SPEECH / "sense-and-sensibility-1.flac", tmp_path).transcript.segments


def test_a_model_that_is_nowhere(engine: ProcessEngine, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="large-v3") as caught:
        engine.run(Task(SPEECH / "conversation.flac", "", SIMPLE, "large-v3", {}, tmp_path))
    assert "lfk models pull whisper/large-v3" in caught.value.hint


# --- weights that are not what they should be


def shipped(name: str, tmp_path: Path) -> Path:
    """Where weights lie that came with packages."""
    found = open_library(tmp_path / "nothing here").find(name)
    assert found is not None
    return found.path


def test_weights_in_the_models_folder_come_first(tmp_path: Path) -> None:
    models = tmp_path / "models"
    kind = WhisperXKind(WhisperXPlan(models=models), LIMITS, os.environ)
    packaged = kind.identify(MODEL)
    copy = models / "whisper" / MODEL
    shutil.copytree(shipped(f"whisper/{MODEL}", tmp_path), copy)
    assert kind.identify(MODEL) == packaged, "the same bytes are the same model"
    weights = copy / "model.bin"
    os.truncate(weights, weights.stat().st_size // 2)
    one = start(models=str(models), preload=[])
    try:
        with pytest.raises(ModelInvalid, match=re.escape(MODEL)):
            kind.identify(MODEL)
        with pytest.raises(ModelInvalid, match=re.escape(MODEL)):
            run(one, SPEECH / "sense-and-sensibility-1.flac", tmp_path)
        shutil.rmtree(copy)
        assert run(one, SPEECH / "sense-and-sensibility-1.flac", tmp_path).transcript.segments
    finally:
        one.close()


def test_a_damaged_aligner_costs_precision_alone(tmp_path: Path) -> None:
    """Whisper's own word times stand in: in order, within the audio, and about right."""
    models = tmp_path / "models"
    copy = models / "alignment" / "en"
    shutil.copytree(shipped("alignment/en", tmp_path), copy)
    (copy / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0" + b"{" * 16)
    one = start(models=str(models))
    try:
        audio = SPEECH / "sense-and-sensibility-1.flac"
        coarse = run(one, audio, tmp_path, SEGMENTATION).transcript
        with pytest.raises(ModelInvalid, match="alignment/en"):
            run(one, audio, tmp_path, SEGMENTATION, on_stage_error="fail")
        shutil.rmtree(copy)
        fine = run(one, audio, tmp_path, SEGMENTATION).transcript
    finally:
        one.close()
    assert "Whisper's own" in coarse.warnings[0]
    assert fine.warnings == ()
    assert [word.text for word in coarse.words()] == [word.text for word in fine.words()]
    apart = [abs((a.start or 0) - (b.start or 0)) for a, b in zip(coarse.words(), fine.words(), strict=True)]
    assert sorted(apart)[len(apart) // 2] < 0.3
    starts = [word.start or 0 for word in coarse.words()]
    assert starts == sorted(starts)


def test_bad_settings_are_told_before_any_job(tmp_path: Path) -> None:
    one = start(compute_type="float16")
    try:
        with pytest.raises(EngineUnavailable, match="float16") as caught:
            run(one, SPEECH / "conversation.flac", tmp_path)
        assert "LFK_COMPUTE_TYPE" in caught.value.hint
    finally:
        one.close()


def test_errors_name_no_folder_of_this_machine(engine: ProcessEngine, tmp_path: Path) -> None:
    """They end up in announcements."""
    (tmp_path / "text.wav").write_text("no sound", encoding="utf-8")
    with pytest.raises(LfkError) as caught:
        run(engine, tmp_path / "text.wav", tmp_path)
    assert str(tmp_path) not in json.dumps([caught.value.message, caught.value.hint])


def test_help_with_a_long_recording_changes_nothing(engine: ProcessEngine, tmp_path: Path) -> None:
    pieces = [decode(SPEECH / f"{name}.flac", tmp_path, 600.0).samples for name in CLIPS]
    audio = wav(tmp_path / "long.wav", np.concatenate([*pieces, pieces[0]]))
    alone = run(engine, audio, tmp_path, DIARISATION, batch_size=1)
    other = start()
    helped: list[str] = []

    class Watched:
        """The other engine, and what it was asked for."""

        def assist(self, kind: str, seconds: float, data: Mapping[str, Any]) -> Mapping[str, Any]:
            answer = other.assist(kind, seconds, data)
            helped.append(kind)
            return answer

    lent = threading.Lock()

    @contextmanager
    def spare() -> Iterator[Watched | None]:
        free = lent.acquire(blocking=False)
        try:
            yield Watched() if free else None
        finally:
            if free:
                lent.release()

    try:
        engine.cooperate(spare)
        together = run(engine, audio, tmp_path, DIARISATION, batch_size=1)
        # This recording is too short for two pieces of these.
        samples = tmp_path / "samples"
        samples.write_bytes(pieces[0].tobytes())
        said = {"language": "en", "segments": [{"start": 0.5, "end": 6.0, "text": spoken("conversation")[0][1]}]}
        for kind, data in (("speech", {"block": 0}), ("voices", {"first": 2, "count": 5}), ("align", said)):
            found = [one.assist(kind, 10.0, {"audio": str(samples), **data}) for one in (engine, other)]
            assert found[0] == found[1]
            assert found[0]
    finally:
        engine.cooperate(lambda: nullcontext(None))
        other.close()
    assert together.transcript == alone.transcript
    assert together.provenance == alone.provenance
    assert "recognise" in helped
