"""Waiting for what another thread, process or server does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Collection
from typing import TypeVar

Found = TypeVar("Found")

#: Seconds. Longer than most things take on a busy machine: only a test that fails waits that long.
_PATIENCE = 90.0
#: What a process may have left to say, in bytes.
_REST = 1 << 20


def wait_until(
    condition: Callable[[], Found],
    what: str | Callable[[], str] = "it did not happen in time",
    *,
    alive: Collection[subprocess.Popen[str]] = (),
    seconds: float = _PATIENCE,
    every: float = 0.02,
    step: Callable[[], object] | None = None,
) -> Found:
    """Look again and again until ``condition`` gives something true, and return that.

    Args:
        what: what the failure says; a function is asked once it has failed.
        alive: processes without which it will never happen; the wait fails as soon as one has ended.
        seconds: the longest wait.
        every: seconds between two looks, longer where a look costs something.
        step: done between two looks instead of a pause.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        for process in alive:
            assert process.poll() is None, f"ended with {process.returncode}: {_said(what)}\n{_rest(process)}"
        assert time.monotonic() < deadline, _said(what)
        if step is None:
            time.sleep(every)
        else:
            step()
    return found


def _said(what: str | Callable[[], str]) -> str:
    return what() if callable(what) else what


def _rest(process: subprocess.Popen[str]) -> str:
    """What an ended process said and nobody has read; its children may still hold the pipe, so this never blocks."""
    if process.stdout is None:
        return ""
    with contextlib.suppress(BlockingIOError):
        os.set_blocking(process.stdout.fileno(), False)
        return os.read(process.stdout.fileno(), _REST).decode(errors="replace")
    return ""
