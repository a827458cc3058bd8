"""An engine that goes wrong on demand, in a real child process: what ``task.options`` name happens in a stage."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfk.core.errors import AudioUndecodable, ModelMissing
from lfk.core.transcript import Segment, Transcript
from lfk.engine.base import Outcome, Task
from lfk.engine.reporting import Report

FOUND = Transcript("en", 2.0, (Segment(0.0, 1.0, "kept"),))


class FaultyEngine:
    """See the module."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._jobs = 0
        self._held: list[bytearray] = []

    def run(self, task: Task, report: Report) -> Outcome:
        self._jobs += 1
        report.progress("transcribe", 0.0)
        fault = task.options.get("fault")
        if task.options.get("late"):
            report.audio_is(2.0)
            report.checkpoint(Outcome(FOUND, {"transcribe": 0.1}, {"engine": "faulty"}, (), FOUND))
            report.progress("diarise", 0.0)
        if fault is not None:
            getattr(self, f"_{fault}")()
        provenance = {
            "engine": "faulty",
            "pid": os.getpid(),
            "jobs": self._jobs,
            "environment": dict(os.environ),
            "directory": str(Path.cwd()),
            "stage": self._config.get("note"),
        }
        return Outcome(FOUND, {"transcribe": 0.1}, provenance, (), FOUND)

    def rest(self) -> float | None:
        """Writes a line into the file ``rests`` of the config, and asks to be called again soon."""
        if "rests" not in self._config:
            return None
        with Path(self._config["rests"]).open("a", encoding="utf-8") as file:
            file.write(f"after {self._jobs}\n")
        return 0.02

    def _segfault(self) -> None:
        print("about to read address zero \x1b[31m", flush=True)
        ctypes.string_at(0)

    def _abort(self) -> None:
        os.abort()

    def _exit(self) -> None:
        os._exit(7)

    def _killed(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _hang(self) -> None:
        time.sleep(3600)

    def _dawdle(self) -> None:
        time.sleep(1.0)

    def _stop(self) -> None:
        """Not even able to answer a signal that asks politely."""
        os.kill(os.getpid(), signal.SIGSTOP)

    def _leak(self) -> None:
        while True:
            self._held.append(bytearray(os.urandom(1 << 20) * 16))
            time.sleep(0.02)

    def _grow(self) -> None:
        """Memory that stays, within the limit."""
        self._held.append(bytearray(os.urandom(1 << 20) * 200))

    def _chatter(self) -> None:
        """More output than any pipe holds, with hostile bytes and a very long line."""
        for _ in range(1000):
            print("noise \x1b]0;title\x07 \xff" * 8)
        sys.stdout.buffer.write(b"x" * 5_000_000 + b"\n")
        sys.stdout.flush()

    def _offspring(self) -> None:
        """A grandchild that outlives it unless the whole group is ended."""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        print(f"grandchild {child.pid}", flush=True)
        os._exit(3)

    def _undecodable(self) -> None:
        raise AudioUndecodable("not a recording")

    def _modelless(self) -> None:
        raise ModelMissing("no weights", hint="look under the sofa")

    def _surprise(self) -> None:
        raise ZeroDivisionError("an engine's own mistake")

    def _memory(self) -> None:
        raise MemoryError


def build(config: Mapping[str, Any]) -> FaultyEngine:
    """As :mod:`lfk.engine.child` calls it."""
    if config.get("broken") == "crash":
        os._exit(9)
    if config.get("broken") == "import":
        raise ImportError("no module named whisperx")
    time.sleep(config.get("slow", 0.0))
    return FaultyEngine(config)
