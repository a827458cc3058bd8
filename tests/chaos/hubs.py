"""Hubs as the harness holds them: real ``lfk hub`` processes, each with a log, to signal, kill and replace.

A hub that ends without having been told to is started again, as a service manager would, and remembered: no fault of
broker or store may end one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lfk.core.errors import ExitCode
from tests.acceptance.command import Lfk

#: Twice the grace time of the hubs here, with what a loaded machine adds.
_STOP_SECONDS = 60.0
_COMMAND: Sequence[str] = ("-m", "lfk")
_KILLING: Sequence[str] = (str(Path(__file__).with_name("killing_hub.py")),)
#: A hub that has answered with failures says so when it ends.
_ENDS_WELL: Collection[int] = (ExitCode.OK, ExitCode.SOME_FAILED)


@dataclass(slots=True)
class Hub:
    """One hub process. ``doomed``: it was told to end, or will end itself by SIGKILL, and is not replaced."""

    number: int
    process: subprocess.Popen[bytes]
    log: Path
    doomed: bool = False
    stopped: bool = False

    @property
    def alive(self) -> bool:
        """Its process is there; a stopped one, too."""
        return self.process.poll() is None

    @property
    def ready(self) -> bool:
        """It has said so; before that it is a program that starts, and SIGTERM ends it like any other."""
        return b"hub ready" in self.log.read_bytes()

    @property
    def killed(self) -> bool:
        """It has ended by SIGKILL."""
        return self.process.poll() == -signal.SIGKILL

    def kill(self) -> None:
        """``kill -9``."""
        self.doomed = True
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGSTOP: it keeps all that it has, and does nothing."""
        self.stopped = True
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self.stopped = False
        self.process.send_signal(signal.SIGCONT)

    def tell_to_end(self) -> None:
        """SIGTERM; it is waited for elsewhere."""
        self.doomed = True
        self.process.terminate()


@dataclass(slots=True)
class Hubs:
    """Every hub of a run. ``environ`` is what hubs get on top of the command's own; ``mortal`` ones die of poison."""

    lfk: Lfk
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    mortal: bool = False
    workers: int = 2
    #: What hubs did that no hub may do: ended by themselves, or did not end when told.
    misbehaved: list[str] = field(default_factory=list)
    all: list[Hub] = field(default_factory=list)

    @property
    def working(self) -> list[Hub]:
        """Those that live and were not told to end, the oldest first."""
        return [hub for hub in self.all if hub.alive and not hub.doomed]

    def start(self, count: int = 1) -> list[Hub]:
        """More hubs."""
        return [self._start(self.environ, _KILLING if self.environ else _COMMAND) for _ in range(count)]

    def start_doomed(self, **sentence: str) -> Hub:
        """A hub that kills itself at a named step (see :mod:`tests.chaos.killing_hub`)."""
        hub = self._start({**self.environ, **sentence}, _KILLING)
        hub.doomed = True
        return hub

    def watch(self) -> None:
        """Replace what has ended by itself."""
        for hub in self.all:
            if hub.alive or hub.doomed:
                continue
            hub.doomed = True
            if not (self.mortal and hub.killed):
                self.misbehaved.append(f"hub {hub.number} ended by itself with {hub.process.returncode}: {hub.log}")
            self.start()

    def end(self) -> None:
        """SIGTERM to all; kills what does not obey, and says so."""
        for hub in self.all:
            if hub.alive:
                if hub.stopped:
                    hub.wake()
                hub.tell_to_end()
        for hub in self.all:
            self.await_end(hub)

    def await_end(self, hub: Hub) -> None:
        """Wait for a hub that was told to end."""
        try:
            code = hub.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.misbehaved.append(f"hub {hub.number} did not end in {_STOP_SECONDS:.0f} s: {hub.log}")
            hub.kill()
            return
        if code not in _ENDS_WELL and not hub.killed and not (code == -signal.SIGTERM and not hub.ready):
            self.misbehaved.append(f"hub {hub.number} ended with {code} when it was told to: {hub.log}")

    def kill_all(self) -> None:
        """Leave nothing behind."""
        for hub in self.all:
            if hub.alive:
                os.killpg(hub.process.pid, signal.SIGKILL)
            hub.process.wait()

    def _start(self, environ: Mapping[str, str], program: Sequence[str]) -> Hub:
        number = len(self.all) + 1
        log = self.folder / f"hub-{number}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *program, "hub", "--workers", str(self.workers), "-v"],
                cwd=self.lfk.folder,
                env={**self.lfk.environ, **environ},
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own, so that one that is killed with its group takes nobody else along.
                start_new_session=True,
            )
        with (self.folder / "hubs.txt").open("a", encoding="utf-8") as diary:
            diary.write(f"{time.strftime('%H:%M:%S')} hub {number} is process {process.pid} {dict(environ)}\n")
        hub = Hub(number, process, log)
        self.all.append(hub)
        return hub
