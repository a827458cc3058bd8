"""A server as a local process: its own group, its output in a file, ready when it answers, gone with its owner."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import psutil

A = TypeVar("A")

_GUARD = Path(__file__).with_name("guard.py")

#: Kafka, the slowest, takes 8 s on two idle cores; beside a test run that loads both it has been seen to take four
#: times as long.
READY_WITHIN = 90.0
#: A polite stop is only asked for where data must survive it; Kafka writes its state out within a few seconds.
STOPPED_WITHIN = 30.0
#: Two processes may pick the same free port. The one that loses ends before it is ready and is started elsewhere.
START_ATTEMPTS = 3

_POLL_INTERVAL = 0.1
_LOG_TAIL_LINES = 30


class ServerFailedError(Exception):
    """A server gave no answer in time, or did not stop. The message carries the end of its log."""


class ServerEndedError(ServerFailedError):
    """A server ended before it was ready."""


class ServerProcess:
    """One server that can be stopped, killed and started again with the same arguments, ports and data."""

    def __init__(
        self,
        name: str,
        argv: list[str],
        *,
        log: Path,
        answers: Callable[[], bool],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._argv = argv
        self._answers = answers
        self._environ = environ
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ServerEndedError: it ended; perhaps another process took its port.
            ServerFailedError: it did not answer within :data:`READY_WITHIN`.
        """
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, str(_GUARD), "--", *self._argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if self._environ is None else dict(self._environ),
                # A Ctrl-C in the terminal reaches the test run only; it then ends its servers in order.
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the server politely, so that it writes its state out. Nothing happens if it does not run."""
        self._end(b"stop")

    def kill(self) -> None:
        """End the server at once, as a crash would. Nothing happens if it does not run."""
        self._end(b"kill")

    def pause(self) -> None:
        """Take the processor away from the server: its connections stay open and nothing answers.

        Raises:
            ServerFailedError: it goes on.
        """
        self._order(b"pause")
        assert self._guard is not None
        deadline = time.monotonic() + STOPPED_WITHIN
        while not all(_is_paused(child.pid) for child in psutil.Process(self._guard.pid).children(recursive=True)):
            if time.monotonic() > deadline:
                raise ServerFailedError(f"{self.name} does not pause")
            time.sleep(_POLL_INTERVAL)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._order(b"resume")

    def _order(self, order: bytes) -> None:
        if self._guard is None or self._guard.stdin is None:
            raise ServerFailedError(f"{self.name} does not run")
        self._guard.stdin.write(order)
        self._guard.stdin.flush()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not self._answers():
            if self._guard is None or self._guard.poll() is not None:
                raise ServerEndedError(f"{self.name} ended before it was ready:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise ServerFailedError(f"{self.name} gave no answer in {READY_WITHIN:.0f} s:\n{self._tail()}")
            time.sleep(_POLL_INTERVAL)

    def _end(self, order: bytes) -> None:
        guard, self._guard = self._guard, None
        if guard is None or guard.stdin is None:
            return
        pipe = guard.stdin
        with contextlib.suppress(BrokenPipeError):  # the server has ended by itself
            pipe.write(order)
            pipe.flush()
        try:
            guard.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired as error:
            raise ServerFailedError(f"{self.name} did not stop in {STOPPED_WITHIN:.0f} s:\n{self._tail()}") from error
        finally:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
            guard.wait()

    def _tail(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def _is_paused(pid: int) -> bool:
    """Every thread of a process is stopped: the signal reaches one after the other."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.is_dir():
        # No Linux: what the system says of the process as a whole.
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    return all(_state(task) == "T" for task in tasks.iterdir())


def _state(task: Path) -> str:
    """A letter; the name before it, in brackets, may hold anything."""
    try:
        return (task / "stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2][:1]
    except FileNotFoundError:
        return "T"


@dataclass(frozen=True)
class Running(Generic[A]):
    """A server of this test run: where it is, and the process to stop, kill and start again."""

    address: A
    process: ServerProcess


@contextlib.contextmanager
def started(make: Callable[[], Running[A]]) -> Iterator[Running[A]]:
    """The server that ``make`` describes, which picks fresh ports at each call; killed at the end."""
    for attempt in range(1, START_ATTEMPTS + 1):
        server = make()
        try:
            server.process.start()
            break
        except ServerEndedError:
            if attempt == START_ATTEMPTS:
                raise
    try:
        yield server
    finally:
        server.process.kill()


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that nobody listens on just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for taken in sockets:
            taken.bind(("127.0.0.1", 0))
        return [taken.getsockname()[1] for taken in sockets]
