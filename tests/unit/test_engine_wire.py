"""What crosses the pipes: frames, tasks, outcomes and errors survive the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core import errors
from lfk.core.errors import AudioTooLong, LfkError, ModelMissing, StageFailed
from lfk.core.transcript import Segment, Transcript, Turn, Word
from lfk.engine.base import Outcome, Task
from lfk.engine.limits import DECODE_BYTES_PER_SECOND, Allowance, EngineLimits
from lfk.engine.surroundings import engine_environment
from lfk.engine.wire import (
    MAX_FRAME_BYTES,
    BrokenFrame,
    Unpacker,
    error_from_dict,
    error_to_dict,
    outcome_from_dict,
    outcome_to_dict,
    pack,
    task_from_dict,
    task_to_dict,
)

FOUND = Transcript(
    "en", 3.0, (Segment(0, 1, "Grüße 你好 \ud800", (Word("Grüße", 0.0, None, 0.5, "A"),)),), (Turn(0, 1, "A"),), ("w",)
)


@given(st.lists(st.text(max_size=40), max_size=5), st.data())
def test_messages_come_out_however_the_bytes_are_cut(texts: list[str], data: st.DataObject) -> None:
    messages = [{"type": "x", "text": text} for text in texts]
    stream = b"".join(pack(message) for message in messages)
    unpacker, out, at = Unpacker(), list[dict[str, object]](), 0
    while at < len(stream):
        cut = data.draw(st.integers(1, len(stream) - at))
        out += unpacker.feed(stream[at : at + cut])
        at += cut
    assert out == messages


@pytest.mark.parametrize(
    "data", [(MAX_FRAME_BYTES + 1).to_bytes(4, "big"), b"\0\0\0\x03abc", b"\0\0\0\x02[]", b"\0\0\0\x02{}"]
)
def test_nonsense_is_told(data: bytes) -> None:
    with pytest.raises(BrokenFrame):
        list(Unpacker().feed(data))


def test_a_task_survives(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xf0\x9f\x8e\xa4.wav")
    task = Task(tmp_path / name, "ab" * 32, ("transcribe", "align"), "tiny.en", {"beam_size": 3}, tmp_path, FOUND)
    (message,) = Unpacker().feed(pack({"type": "run", "task": task_to_dict(task)}))
    assert task_from_dict(message["task"]) == task


def test_paths_become_absolute() -> None:
    assert Path(task_to_dict(Task(Path("x.wav"), "", (), "tiny"))["audio"]).is_absolute()


@pytest.mark.parametrize("recognised", [None, FOUND])
def test_an_outcome_survives(recognised: Transcript | None) -> None:
    outcome = Outcome(FOUND, {"align": 0.5}, {"engine": "x", "threads": 1}, ("transcribe",), recognised)
    (message,) = Unpacker().feed(pack({"type": "result", "outcome": outcome_to_dict(outcome)}))
    assert outcome_from_dict(message["outcome"]) == outcome


def every(kind: type[LfkError]) -> Iterator[type[LfkError]]:
    yield kind
    for sub in kind.__subclasses__():
        yield from every(sub)


@pytest.mark.parametrize(
    "kind",
    [
        *every(errors.MediaError),
        *every(errors.EngineError),
        errors.ModelMissing,
        errors.ModelInvalid,
        errors.InvalidOption,
        errors.ScratchFull,
        errors.FileUnreadable,
    ],
)
def test_errors_keep_their_type(kind: type[LfkError]) -> None:
    error = error_from_dict(error_to_dict(kind("what happened", hint="what to do")))
    assert type(error) is kind
    assert (error.message, error.hint) == ("what happened", "what to do")


@pytest.mark.parametrize("kind", [errors.BrokerFull, errors.UsageError, errors.StoreUnreachable])
def test_what_an_engine_cannot_know_is_a_failed_stage(kind: type[LfkError]) -> None:
    """An engine that said ``broker unreachable`` would make the hub wait for an outage that is none."""
    error = error_from_dict(error_to_dict(kind("strange")))
    assert type(error) is StageFailed
    assert error.hint == StageFailed.hint


def test_a_long_message_is_cut() -> None:
    assert len(error_to_dict(ModelMissing("x" * 100_000))["message"]) == 1000
    assert error_from_dict(error_to_dict(AudioTooLong("short"))).message == "short"


# --- the time a job may take


def test_time_by_size_then_by_length() -> None:
    allowance = Allowance(
        EngineLimits(base_seconds=100.0, factor=2.0, start_seconds=30.0), 10 * DECODE_BYTES_PER_SECOND
    )
    assert allowance.seconds == 110.0
    allowance.audio_is(600.0)
    assert allowance.seconds == 1300.0
    allowance.model_loads()
    assert allowance.seconds == 1330.0


def test_a_big_file_with_little_audio_keeps_the_time_to_decode_it() -> None:
    allowance = Allowance(EngineLimits(base_seconds=100.0, factor=2.0), 1000 * DECODE_BYTES_PER_SECOND)
    allowance.audio_is(1.0)
    assert allowance.seconds == 1100.0


# --- what a child may know


def test_no_secret_gets_through() -> None:
    hub = {"PATH": "/bin", "LC_ALL": "C", "API_SECRET": "s", "AWS_ACCESS_KEY_ID": "s", "HF_TOKEN": "s", "LFK_X": "s"}
    environment = engine_environment(hub, threads=3, sentence_data=Path("/data/nltk"))
    assert "s" not in environment.values()
    assert environment["PATH"] == "/bin"
    assert environment["LC_ALL"] == "C"
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["NLTK_DATA"] == "/data/nltk"
