"""Runs a command for each transcript: arguments and no shell, bounded in time, tried again, each announcement once.

What was applied is written into a journal, as a place in a topic is committed only now and then: an announcement that
is delivered again after a crash does not run its command again. Only a crash between the command's end and the
journal's line, which is written next, can.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from lfk.core.command import CommandTemplate
from lfk.core.errors import CommandFailed, UsageError
from lfk.core.messages import Announcement

log = logging.getLogger(__name__)

#: How often it is looked whether to stop while a command runs.
_TICK_SECONDS = 0.1
#: What a command gets to end by itself, once its time is up or the reader is stopped.
_GRACE_SECONDS = 10.0
#: The wait before the second attempt; each further one is twice as long.
_AGAIN_SECONDS = 1.0
#: Lines of a journal that are remembered; what is older lies far before the place of the reader.
_REMEMBERED = 200_000
_LINE_BYTES = 33


class Interrupted(Exception):
    """The reader was stopped before a command came to an end."""


class Journal:
    """The announcements that were applied, in a file that several readers on one machine may share."""

    def __init__(self, path: Path) -> None:
        """Open or begin it.

        Raises:
            UsageError: it cannot be written to.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            size = self._whole_lines()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written to: {error.strerror}", hint="set LFK_STATE_HOME to a folder that can"
            ) from error
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._read_to = max(0, size // _LINE_BYTES - _REMEMBERED) * _LINE_BYTES

    def __contains__(self, identity: bytes) -> bool:
        """Whether it was applied, by this reader or another one."""
        self._catch_up()
        return identity in self._known

    def add(self, identity: bytes) -> None:
        """It was applied; on the disk when this returns."""
        os.write(self._file, identity + b"\n")
        os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _whole_lines(self) -> int:
        """Fill up a line that a crash or a full disk has cut, which would shift all that follow; returns the size."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            size = os.fstat(self._file).st_size
            if cut := size % _LINE_BYTES:
                os.write(self._file, b"-" * (_LINE_BYTES - cut - 1) + b"\n")
            return size
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _catch_up(self) -> None:
        while block := os.pread(self._file, 4096 * _LINE_BYTES, self._read_to):
            whole = len(block) // _LINE_BYTES * _LINE_BYTES
            if not whole:
                return
            self._read_to += whole
            for at in range(0, whole, _LINE_BYTES):
                self._known[block[at : at + _LINE_BYTES - 1]] = None
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


class Commands:
    """See the module. Used by one thread at a time."""

    def __init__(
        self,
        template: CommandTemplate,
        journal: Journal,
        environ: Mapping[str, str],
        stop: threading.Event,
        *,
        seconds: float,
        attempts: int,
    ) -> None:
        """``seconds``: what one attempt may take; ``stop`` ends waiting and, after a while, the command."""
        self.template = template
        self._journal = journal
        self._environ = dict(environ)
        self._stop = stop
        self._seconds = seconds
        self._attempts = max(1, attempts)

    def applied(self, announcement: Announcement) -> bool:
        """Whether the command has had this announcement."""
        return _identity(announcement) in self._journal

    def run(self, announcement: Announcement, files: Mapping[str, str]) -> None:
        """Run it until it succeeds, at most as often as is allowed; then the announcement counts as applied.

        Raises:
            RejectedReference: the announcement is not fit to be given to a command.
            CommandFailed: it failed each time.
            Interrupted: the reader is being stopped; the announcement does not count as applied.
        """
        words = self.template.fill(announcement, files)
        attempt = 1
        while True:
            try:
                self._attempt(words)
                break
            except CommandFailed as error:
                if attempt >= self._attempts:
                    self._journal.add(_identity(announcement))
                    raise
                wait = _AGAIN_SECONDS * 2 ** (attempt - 1)
                log.warning("attempt %d of the command, again in %.0f s: %s", attempt, wait, error)
                if self._stop.wait(wait):
                    raise Interrupted from error
                attempt += 1
        self._journal.add(_identity(announcement))

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def _attempt(self, words: list[str]) -> None:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                # Standard output is for results, one object a line with --json.
                stdout=2,
                env=self._environ,
                # A group of its own, so that what the command has started ends with it.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CommandFailed(f"{words[0]} cannot be started: {reason}") from error
        try:
            code = self._wait(process)
        finally:
            _end(process, signal.SIGKILL)
        if code is None:
            raise CommandFailed(f"{words[0]} took longer than {self._seconds:g} s and was ended")
        if code:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise CommandFailed(f"{words[0]} {how}")

    def _wait(self, process: subprocess.Popen[bytes]) -> int | None:
        """The exit code; None if it took too long."""
        deadline = time.monotonic() + self._seconds
        told = False
        while True:
            try:
                code = process.wait(_TICK_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            late = time.monotonic() >= deadline
            if code is not None and not (told and code):
                return code
            if told and (late or code is not None):
                if self._stop.is_set():
                    raise Interrupted
                return None
            if not told and (late or self._stop.is_set()):
                told = True
                deadline = time.monotonic() + _GRACE_SECONDS
                if late:
                    _end(process, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a command and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
    if number is signal.SIGKILL:
        process.wait()


def _identity(announcement: Announcement) -> bytes:
    parts = [announcement.event_id, announcement.status, announcement.path_to_transcript]
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[: _LINE_BYTES - 1].encode("ascii")
