"""The parent's handle on one child process: start it, talk to it, watch its memory, make sure that it is gone.

Knows nothing of jobs and limits; those are :mod:`lfk.engine.process`'s.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from lfk.core.printable import printable
from lfk.engine.wire import BrokenFrame, Message, Unpacker, pack

log = logging.getLogger(__name__)

#: Lines of the child's output that a crash is reported with, and characters of each that are looked at.
_TAIL_LINES = 6
#: What faulthandler writes first; the dump of Python's stack behind it is for the log, not for an announcement.
_DUMP = "Fatal Python error"
_LINE_BYTES = 2000
_READ_BYTES = 1 << 16
#: A command is a few kilobytes, with a known recognition a few megabytes; a child that reads none of it for so long
#: hangs.
_SEND_SECONDS = 30.0
#: Processes die at once when killed, except in the middle of a device's or disk's work.
_REAP_SECONDS = 10.0
_FAMILY_SECONDS = 5.0
#: Folder that holds the package: the child finds lfk there, and nothing that lies about where the hub was started.
_HOME = Path(__file__).resolve().parents[2]

# One thread for the life of the hub starts every child: a child asks the kernel to be killed with the *thread* that
# started it, and job threads come and go.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lfk-engine-starter")


class ChildGone(Exception):
    """The child has ended or closed its pipe."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a child. ``engine`` is ``module:function``; ``config`` is handed to that function."""

    engine: str
    environment: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)
    #: Where each child gets a folder for its temporary files; None for the system's.
    temporary: Path | None = None


class ChildProcess:
    """One child. :meth:`receive` and :meth:`send` are for one thread at a time; the rest is for any."""

    def __init__(self, launch: Launch) -> None:
        # Libraries leave files behind, and a child is killed in the end: it tidies nothing up.
        self._temporary = tempfile.mkdtemp(prefix="lfk-engine-", dir=launch.temporary)
        try:
            self._start(launch)
        except BaseException:
            shutil.rmtree(self._temporary, ignore_errors=True)
            raise

    def _start(self, launch: Launch) -> None:
        commands_out, self._commands = os.pipe()
        self._answers, answers_in = os.pipe()
        try:
            self._process = _starter.submit(_spawn, launch, self._temporary, commands_out, answers_in).result()
        except BaseException:
            os.close(self._commands)
            os.close(self._answers)
            raise
        finally:
            os.close(commands_out)
            os.close(answers_in)
        os.set_blocking(self._commands, False)
        # Closed with the last reference: another thread may be about to write when the child is killed, and must not
        # meet the number in another use.
        weakref.finalize(self, os.close, self._commands)
        self.started = time.monotonic()
        #: Set once the child has said that it is ready.
        self.ready = threading.Event()
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._dumping = False
        self._family: list[psutil.Process] = []
        self._family_seen = -math.inf
        self._kill_lock = threading.Lock()
        self._returncode: int | None = None
        self._reader = threading.Thread(target=self._read, name=f"lfk-engine-{self._process.pid}", daemon=True)
        self._reader.start()
        self.send({"type": "load", "config": dict(launch.config)})

    @property
    def pid(self) -> int:
        """Process id; its process group has the same."""
        return self._process.pid

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that the child wrote to stdout or stderr, safe to show."""
        return tuple(self._tail)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises:
            ChildGone: nobody reads it, or not in time.
        """
        view = memoryview(pack(message))
        deadline = time.monotonic() + _SEND_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self._commands, selectors.EVENT_WRITE)
            while view:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ChildGone("it does not read its commands")
                try:
                    view = view[os.write(self._commands, view) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise ChildGone("it has closed its pipe") from error

    def receive(self, timeout: float) -> Message | None:
        """The next message, or None if none comes within ``timeout`` seconds.

        Raises:
            ChildGone: there will be none any more.
        """
        try:
            message = self._messages.get(timeout=timeout)
        except queue.Empty:
            return None
        if message is None:
            self._messages.put(None)
            raise ChildGone("it has ended")
        return message

    def memory(self) -> int:
        """Bytes that the child and its children hold and that the system could not take back: mapped files count
        for nothing, as far as the platform tells them apart."""
        total = 0
        for process in self._relatives():
            with contextlib.suppress(psutil.Error):
                usage = process.memory_info()
                total += usage.rss - getattr(usage, "shared", 0)
        return total

    def _relatives(self) -> list[psutil.Process]:
        """The child and its children. Finding those means looking at every process of the machine, so it is done now
        and then; an engine that has any is rare."""
        now = time.monotonic()
        if now - self._family_seen >= _FAMILY_SECONDS:
            self._family_seen = now
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(self.pid)
                self._family = [root, *root.children(recursive=True)]
        return self._family

    def kill(self) -> int:
        """End the child and everything it has started; returns its exit status, negative for a signal.

        Also collects one that has ended by itself. May be called again.
        """
        with self._kill_lock:
            if self._returncode is None:
                # While the leader is not waited for, its number cannot mean another group.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
                try:
                    self._returncode = self._process.wait(_REAP_SECONDS)
                except subprocess.TimeoutExpired:
                    log.error("engine process %d does not end although it was killed", self.pid)
                    return -signal.SIGKILL
                shutil.rmtree(self._temporary, ignore_errors=True)
            return self._returncode

    def end(self) -> int:
        """As :meth:`kill`, for a child that has closed its pipe: leaves it a moment to end by itself, so that its
        own exit status is seen, and its last words are read."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._wait_for_exit(1.0)
        status = self.kill()
        self._reader.join(1.0)
        return status

    def _wait_for_exit(self, seconds: float) -> None:
        """Until it has ended, without collecting it: its group is still to be killed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(psutil.NoSuchProcess):
                if psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE:
                    time.sleep(0.01)
                    continue
            return

    def _read(self) -> None:
        """Answers into the queue and output into the log, until both pipes are closed."""
        unpacker = Unpacker()
        output = self._process.stdout
        if output is None:  # never: it is asked for
            return
        lines = _Lines(self._heard)
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            selector.register(output, selectors.EVENT_READ)
            while selector.get_map():
                for key, _events in selector.select():
                    data = os.read(key.fd, _READ_BYTES)
                    if key.fd == output.fileno():
                        lines.feed(data)
                    elif data:
                        data = self._take(unpacker, data)
                    if not data:
                        selector.unregister(key.fileobj)
                        if key.fd == self._answers:
                            self._messages.put(None)
        os.close(self._answers)
        output.close()

    def _take(self, unpacker: Unpacker, data: bytes) -> bytes:
        """Empty if the child talks nonsense, which is as good as its end."""
        try:
            for message in unpacker.feed(data):
                if message["type"] == "ready":
                    self.ready.set()
                self._messages.put(message)
        except BrokenFrame as error:
            log.error("engine process %d sent %s", self.pid, error)
            return b""
        return data

    def _heard(self, line: str) -> None:
        if not self._dumping:
            self._tail.append(line)
        self._dumping = self._dumping or line.startswith(_DUMP)
        log.debug("engine %d: %s", self.pid, line)


class _Lines:
    """Output cut into lines of bounded length, made safe for a log."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Empty data is the end."""
        *lines, rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[:_LINE_BYTES]
        if not data:
            lines, self._rest = [*lines, rest], b""
        for line in lines:
            text = line[:_LINE_BYTES].decode("utf-8", "replace").strip()
            if text:
                self._sink(printable(text))


def _spawn(launch: Launch, temporary: str, commands: int, answers: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "lfk.engine.child", "--engine", launch.engine, "--parent", str(os.getpid())]
    return subprocess.Popen(
        [*arguments, "--commands", str(commands), "--answers", str(answers)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        pass_fds=(commands, answers),
        env={**launch.environment, "TMPDIR": temporary},
        cwd=_HOME,
        # A group of its own: a terminal's interrupt does not reach it, and one signal ends all of it.
        start_new_session=True,
    )
