"""Runs the real ``lfk`` command in a subprocess, as a user would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Far more than any command here takes; a command that hangs fails its test instead of the whole run.
_TIMEOUT = 180.0


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The objects that ``--json`` printed, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [event for event in self.events if event["event"] == kind]


class Lfk:
    """The command with its environment and working folder. Nothing of the caller's own settings leaks in."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        keep = {
            name: os.environ[name]
            for name in ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH")
            if name in os.environ
        }
        self.environ: Mapping[str, str] = {**keep, "XDG_STATE_HOME": str(folder / "state"), **environ}

    def __call__(self, *arguments: str, timeout: float = _TIMEOUT) -> Done:
        """Run to the end."""
        done = subprocess.run(
            self.argv(arguments),
            cwd=self.folder,
            env=dict(self.environ),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start in the background; the caller sees to its end."""
        return subprocess.Popen(
            self.argv(arguments),
            cwd=self.folder,
            env=dict(self.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run in the background for as long as the block lasts, then stop it with SIGTERM."""
        process = self.start(*arguments)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            finally:
                if process.stdout is not None:
                    process.stdout.close()

    def argv(self, arguments: tuple[str, ...] = ()) -> list[str]:
        return [sys.executable, "-m", "lfk", *arguments]
