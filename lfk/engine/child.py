"""The child's side of an engine in a process of its own: ``python -m lfk.engine.child``.

Started by :mod:`lfk.engine.process` alone. Talks over two pipes whose numbers it is given, as libraries print to
stdout. Its engine is named by the arguments, never by a message. It ends when its parent does: by the end of the
command pipe, and on Linux by a signal, should native code keep Python from seeing that.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import importlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lfk.core.errors import EngineOutOfMemory, LfkError, StageFailed
from lfk.engine.base import Outcome
from lfk.engine.crew import HEARD, Crew
from lfk.engine.faults import typed
from lfk.engine.reporting import Assistant, ChildEngine
from lfk.engine.wire import Message, Unpacker, error_to_dict, outcome_to_dict, pack, task_from_dict, write_all

#: Progress is news for people; a few times a second is enough.
_PROGRESS_SECONDS = 0.25
#: <linux/prctl.h>: a signal for this process when the thread that started it ends.
_PR_SET_PDEATHSIG = 1
#: Where memory runs out, the kernel is to take an engine rather than the hub.
_OOM_SCORE = "500"
_READ_BYTES = 1 << 16


class Answers:
    """The pipe to the parent; implements :class:`lfk.engine.reporting.Report`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._sending = threading.Lock()
        self.crew = Crew(self.send)
        self._stage = ""
        self._told = 0.0

    def send(self, kind: str, **values: Any) -> None:
        """One message; without a parent there is nothing left to do."""
        try:
            with self._sending:
                write_all(self._fd, pack({"type": kind, **values}))
        except BrokenPipeError:
            os._exit(1)

    def progress(self, stage: str, part: float) -> None:
        """Thinned out, except where a stage begins or ends."""
        now = time.monotonic()
        if stage != self._stage or part >= 1.0 or now - self._told >= _PROGRESS_SECONDS:
            self._stage, self._told = stage, now
            self.send("progress", stage=stage, part=round(min(1.0, max(0.0, part)), 4))

    def audio_is(self, seconds: float) -> None:
        """See Report."""
        self.send("audio", seconds=seconds)

    def model_loads(self) -> None:
        """See Report."""
        self.send("loading")

    def checkpoint(self, outcome: Outcome) -> None:
        """See Report."""
        self.send("checkpoint", outcome=outcome_to_dict(outcome))


def main(argv: list[str] | None = None) -> int:
    """Run until the parent closes the command pipe."""
    parser = argparse.ArgumentParser(prog="python -m lfk.engine.child")
    parser.add_argument("--engine", required=True, help="MODULE:FUNCTION that builds the engine from its config")
    parser.add_argument("--parent", required=True, type=int, help="process id of the hub")
    parser.add_argument("--commands", required=True, type=int, help="file descriptor to read")
    parser.add_argument("--answers", required=True, type=int, help="file descriptor to write")
    arguments = parser.parse_args(argv)
    die_with(arguments.parent)
    # A terminal's interrupt and a supervisor's stop, which go to every process of a service, are the parent's to
    # decide about: it lets a job finish, or kills.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    answers = Answers(arguments.answers)
    commands: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(arguments.commands, commands, answers.crew), daemon=True).start()
    try:
        engine = typed(lambda: _build(arguments.engine, commands.get()["config"]))
    except LfkError as error:
        answers.send("error", error=error_to_dict(error), unfit=True)
        return 1
    answers.send("ready")
    while True:
        _serve(engine, _next(commands, engine), answers)


def _next(commands: queue.SimpleQueue[Message], engine: ChildEngine) -> Message:
    """The next command; while there is none, the engine gives back what it does not need."""
    while True:
        try:
            return commands.get(timeout=engine.rest())
        except queue.Empty:
            continue


def _serve(engine: ChildEngine, command: Message, answers: Answers) -> None:
    answers.send("begun")
    try:
        kind, values = typed(lambda: _do(engine, command, answers))
    except LfkError as error:
        # What was not foreseen may have left the engine or its device in any state.
        unfit = isinstance(error, EngineOutOfMemory | StageFailed)
        answers.send("error", error=error_to_dict(error), unfit=unfit)
    else:
        answers.send(kind, **values)


def _do(engine: ChildEngine, command: Message, answers: Answers) -> tuple[str, Message]:
    """What to answer: a task's outcome, or what was found in a piece of another engine's."""
    if command["type"] == "run":
        return "result", {"outcome": outcome_to_dict(engine.run(task_from_dict(command["task"]), answers))}
    if not isinstance(engine, Assistant):
        raise StageFailed("this kind of engine does no pieces")
    return "answer", {"answer": engine.assist(command["kind"], command["data"], answers)}


def _build(path: str, config: Message) -> Any:
    module, _, function = path.partition(":")
    return getattr(importlib.import_module(module), function)(config)


def _listen(fd: int, commands: queue.SimpleQueue[Message], crew: Crew) -> None:
    """Every command into the queue, but for what the crew hears at once. The end of the pipe is the end of this
    process, whatever it does."""
    unpacker = Unpacker()
    status = 1
    try:
        while data := os.read(fd, _READ_BYTES):
            for message in unpacker.feed(data):
                if message["type"] in HEARD:
                    crew.hear(message)
                else:
                    commands.put(message)
        status = 0
    finally:
        # An engine that hears nothing any more would work for nobody, or wait for ever.
        os._exit(status)


def die_with(parent: int) -> None:
    """Have the kernel end this process with the thread of ``parent`` that started it, where the system knows how."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # Not allowed in some containers, where it does not matter either.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
