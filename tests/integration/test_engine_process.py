"""Engines in real child processes: what happens when they crash, hang, leak, babble, or lose their parent."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from lfk.core.errors import (
    AudioUndecodable,
    EngineCrashed,
    EngineOutOfMemory,
    EngineTimeout,
    EngineUnavailable,
    ModelMissing,
    StageFailed,
)
from lfk.core.transcript import Transcript
from lfk.engine.base import Task
from lfk.engine.child_process import Launch
from lfk.engine.limits import EngineLimits
from lfk.engine.process import ProcessEngine
from lfk.engine.surroundings import engine_environment
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
QUICK = EngineLimits(start_seconds=60.0, base_seconds=60.0)


def launch(**config: Any) -> Launch:
    environment = engine_environment({**os.environ, "PYTHONPATH": str(ROOT)}, threads=1)
    return Launch("tests.integration.engine_faults:build", environment, config)


def task(folder: Path, fault: str | None = None, **options: Any) -> Task:
    audio = folder / "audio.wav"
    audio.write_bytes(b"RIFF")
    options |= {"fault": fault} if fault else {}
    return Task(audio, "ab" * 32, ("transcribe", "align", "diarise"), "tiny.en", options, folder)


@contextlib.contextmanager
def engine(limits: EngineLimits = QUICK, **config: Any) -> Iterator[ProcessEngine]:
    made = ProcessEngine(launch(**config), limits)
    try:
        yield made
    finally:
        made.close()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_one_child_serves_many_tasks(tmp_path: Path) -> None:
    with engine(note="from the config") as one:
        outcomes = [one.run(task(tmp_path)) for _ in range(3)]
    assert [o.provenance["jobs"] for o in outcomes] == [1, 2, 3]
    assert {o.provenance["stage"] for o in outcomes} == {"from the config"}
    assert outcomes[0].transcript.segments[0].text == "kept"


def test_progress_and_recognition_are_heard_as_they_come(tmp_path: Path) -> None:
    heard: list[tuple[str, float]] = []
    found: list[Transcript] = []
    with engine() as one:
        one.run(task(tmp_path, late=True), lambda *news: heard.append(news), found.append)
    assert heard == [("transcribe", 0.0), ("diarise", 0.0)]
    assert [t.segments[0].text for t in found] == ["kept"]


@pytest.mark.parametrize(
    ("fault", "says"),
    [("segfault", "SIGSEGV"), ("abort", "SIGABRT"), ("exit", "status 7"), ("killed", "SIGKILL")],
)
def test_a_crash_is_told_and_the_next_task_is_served(tmp_path: Path, fault: str, says: str) -> None:
    with engine() as one:
        with pytest.raises(EngineCrashed, match=says) as caught:
            one.run(task(tmp_path, fault))
        assert one.run(task(tmp_path)).provenance["jobs"] == 1
        vitals = one.vitals
        assert (vitals.failed, vitals.recycled) == (1, 0)
        assert vitals.memory > 1 << 20
    assert one.vitals.memory == 0
    assert "transcribe" in caught.value.message
    if fault == "segfault":
        assert "about to read address zero" in caught.value.message
        assert "\x1b" not in caught.value.message
    if fault == "killed":
        assert "memory" in caught.value.hint


@pytest.mark.parametrize("fault", ["hang", "stop"])
def test_a_hang_is_ended_in_time(tmp_path: Path, fault: str) -> None:
    with engine(EngineLimits(base_seconds=0.5)) as one:
        wait_until(lambda: one.ready)
        begun = time.monotonic()
        with pytest.raises(EngineTimeout, match="stage transcribe"):
            one.run(task(tmp_path, fault))
        assert time.monotonic() - begun < 5.0
        wait_until(lambda: one.ready)


def test_time_grows_with_the_audio(tmp_path: Path) -> None:
    """2 s of audio at a factor of 1 make 2.5 s in all, which the hang is given."""
    with engine(EngineLimits(base_seconds=0.5, factor=1.0)) as one:
        wait_until(lambda: one.ready)
        begun = time.monotonic()
        with pytest.raises(EngineTimeout, match=r"stage diarise .* for 2\.0 s of audio"):
            one.run(task(tmp_path, "hang", late=True, on_stage_error="fail"))
        assert time.monotonic() - begun > 2.4


def test_a_leak_is_ended_at_the_limit(tmp_path: Path) -> None:
    with engine(EngineLimits(memory_bytes=300 << 20)) as one:
        with pytest.raises(EngineOutOfMemory, match="300 MiB"):
            one.run(task(tmp_path, "leak"))
        assert one.run(task(tmp_path)).transcript.segments


@pytest.mark.parametrize("fault", ["segfault", "surprise"])
def test_text_that_is_there_outlives_a_later_stage(tmp_path: Path, fault: str) -> None:
    """A crash is made good on this side; an engine's own errors are its own to make good."""
    with engine() as one:
        asked = task(tmp_path, fault, late=True)
        if fault == "surprise":
            with pytest.raises(StageFailed):
                one.run(asked)
            return
        outcome = one.run(asked)
        with pytest.raises(EngineCrashed, match="diarise"):
            one.run(task(tmp_path, fault, late=True, on_stage_error="fail"))
    assert outcome.transcript.segments[0].text == "kept"
    assert outcome.recognised is not None
    assert re.match("diarise failed and is left out: .*SIGSEGV", outcome.transcript.warnings[0])


def test_errors_cross_with_their_type_and_hint(tmp_path: Path) -> None:
    with engine() as one:
        pid = one.run(task(tmp_path)).provenance["pid"]
        with pytest.raises(AudioUndecodable, match="not a recording"):
            one.run(task(tmp_path, "undecodable"))
        with pytest.raises(ModelMissing) as caught:
            one.run(task(tmp_path, "modelless"))
        assert caught.value.hint == "look under the sofa"
        assert one.run(task(tmp_path)).provenance["pid"] == pid, "a refusal is no reason for another process"
        with pytest.raises(StageFailed, match="ZeroDivisionError: an engine's own mistake"):
            one.run(task(tmp_path, "surprise"))
        with pytest.raises(EngineOutOfMemory):
            one.run(task(tmp_path, "memory"))
        assert one.run(task(tmp_path)).provenance["pid"] != pid, "after a surprise nothing is sure"


def test_a_callback_that_fails_does_not_leave_a_busy_child(tmp_path: Path) -> None:
    def full(_found: Transcript) -> None:
        raise OSError("the store is full")

    with engine() as one:
        with pytest.raises(OSError, match="the store is full"):
            one.run(task(tmp_path, "hang", late=True), recognised=full)
        assert one.run(task(tmp_path)).transcript.segments


def test_output_is_read_bounded_and_made_safe(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "lfk.engine.child_process"), engine() as one:
        assert one.run(task(tmp_path, "chatter")).transcript.segments
        wait_until(lambda: any("xxxx" in record.getMessage() for record in caplog.records))
    lines = [record.getMessage() for record in caplog.records]
    assert all(line.isprintable() and len(line) < 500 for line in lines)
    assert sum("noise" in line for line in lines) == 1000


def test_a_group_goes_with_its_leader(tmp_path: Path) -> None:
    with engine() as one, pytest.raises(EngineCrashed) as caught:
        one.run(task(tmp_path, "offspring"))
    told = re.search(r"grandchild (\d+)", caught.value.message)
    assert told is not None
    wait_until(lambda: gone(int(told[1])))


def test_the_environment_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_SECRET", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "LFK_STORE", "SOMETHING_ELSE"):
        monkeypatch.setenv(name, "hidden")
    with engine() as one:
        seen = one.run(task(tmp_path)).provenance
    assert "hidden" not in seen["environment"].values()
    assert seen["environment"]["HF_HUB_OFFLINE"] == "1"
    assert seen["environment"]["OMP_NUM_THREADS"] == "1"
    assert seen["directory"] == str(ROOT), "not wherever the hub was started"


def test_what_libraries_leave_behind_goes_with_the_child(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    made = ProcessEngine(replace(launch(), temporary=temporary), QUICK)
    try:
        first = Path(made.run(task(tmp_path)).provenance["environment"]["TMPDIR"])
        assert first.parent == temporary
        (first / "library" / "cache").mkdir(parents=True)
        with pytest.raises(EngineCrashed):
            made.run(task(tmp_path, "segfault"))
        second = Path(made.run(task(tmp_path)).provenance["environment"]["TMPDIR"])
        assert list(temporary.iterdir()) == [second]
    finally:
        made.close()
    assert list(temporary.iterdir()) == []


def test_replaced_after_so_many_jobs(tmp_path: Path) -> None:
    with engine(EngineLimits(recycle_jobs=2)) as one:
        pids = [one.run(task(tmp_path)).provenance["pid"] for _ in range(5)]
        assert (one.vitals.failed, one.vitals.recycled) == (0, 2)
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [2, 2, 1]


def test_replaced_when_it_holds_too_much(tmp_path: Path) -> None:
    with engine(EngineLimits(recycle_bytes=150 << 20)) as one:
        first = one.run(task(tmp_path)).provenance["pid"]
        assert one.run(task(tmp_path, "grow")).provenance["pid"] == first
        assert one.run(task(tmp_path)).provenance["pid"] != first


def test_what_an_engine_needs_from_the_start_is_no_reason_to_replace_it(tmp_path: Path) -> None:
    with engine(EngineLimits(recycle_bytes=150 << 20)) as one:
        pids = {one.run(task(tmp_path, "grow")).provenance["pid"]}
        pids |= {one.run(task(tmp_path)).provenance["pid"] for _ in range(3)}
        assert len(pids) == 1
        assert one.run(task(tmp_path, "grow")).provenance["pid"] in pids
        assert one.run(task(tmp_path)).provenance["pid"] not in pids


def test_an_engine_gives_back_what_it_can_while_it_waits(tmp_path: Path) -> None:
    rests = tmp_path / "rests"
    rests.touch()
    with engine(rests=str(rests)) as made:
        wait_until(lambda: rests.read_text().count("after 0") > 2)
        made.run(task(tmp_path))
        wait_until(lambda: rests.read_text().count("after 1") > 2)
        made.run(task(tmp_path))


def test_closing_ends_a_task_at_once(tmp_path: Path) -> None:
    with engine() as one:
        closer = threading.Timer(0.3, one.close)
        wait_until(lambda: one.ready)
        closer.start()
        begun = time.monotonic()
        with pytest.raises(EngineCrashed, match="stopped"):
            one.run(task(tmp_path, "hang", late=True))
        assert time.monotonic() - begun < 3.0
        with pytest.raises(EngineCrashed, match="stopped"):
            one.run(task(tmp_path))
        closer.join()
    assert gone(one.pid)


@pytest.mark.parametrize(
    ("config", "says"),
    [({"broken": "crash"}, "status 9"), ({"broken": "import"}, "not installed"), ({"slow": 60.0}, "within 1 s")],
)
def test_a_machine_without_an_engine_says_so(tmp_path: Path, config: dict[str, Any], says: str) -> None:
    with engine(EngineLimits(start_seconds=1.0), **config) as one, pytest.raises(EngineUnavailable, match=says):
        one.run(task(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_of_the_whole_service_is_the_parents_to_decide(tmp_path: Path, number: int) -> None:
    """The child goes on with its task until the parent has done with it."""
    begun = threading.Event()

    def interrupt() -> None:
        begun.wait(20.0)
        os.kill(one.pid, number)

    with engine() as one:
        meddler = threading.Thread(target=interrupt)
        meddler.start()
        outcome = one.run(task(tmp_path, "dawdle"), lambda *_news: begun.set())
        meddler.join()
        assert one.run(task(tmp_path)).provenance["pid"] == outcome.provenance["pid"]


def test_a_child_that_died_idle_costs_the_next_task_nothing(tmp_path: Path) -> None:
    with engine() as one:
        first = one.run(task(tmp_path)).provenance["pid"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: gone(first))
        assert one.run(task(tmp_path)).provenance["pid"] != first


@pytest.mark.parametrize("fault", ["hang", "stop"])
def test_a_child_dies_with_its_parent(tmp_path: Path, fault: str) -> None:
    """Also one that is stopped, so that it cannot see the end of its pipe."""
    if fault == "stop" and sys.platform != "linux":
        pytest.skip("only Linux signals the death of a parent")
    script = textwrap.dedent(f"""
        import sys, threading
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from tests.integration.test_engine_process import *
        # Its temporary files are left to the next hub's sweep, here to pytest's.
        one = ProcessEngine(replace(launch(), temporary=Path({str(tmp_path)!r})), QUICK)
        wait_until(lambda: one.ready)
        # From a thread that ends: what counts is the process.
        print(one.pid, flush=True)
        one.run(task(Path({str(tmp_path)!r}), {fault!r}), lambda *news: print("begun", flush=True))
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "begun\n"
        parent.kill()
    wait_until(lambda: gone(child))


def test_starting_from_a_thread_that_ends_is_safe(tmp_path: Path) -> None:
    """The kernel's signal follows the thread that started the child; job threads must not be that one."""
    made: list[ProcessEngine] = []
    thread = threading.Thread(target=lambda: made.append(ProcessEngine(launch(), QUICK)))
    thread.start()
    thread.join()
    try:
        wait_until(lambda: made[0].ready)
        first = made[0].run(task(tmp_path)).provenance
        assert made[0].run(task(tmp_path)).provenance["pid"] == first["pid"]
    finally:
        made[0].close()
