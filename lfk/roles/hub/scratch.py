"""The hub's scratch folder: one folder a job, bounded in bytes, swept of what a killed hub left behind.

Every hub holds a lock file in its own folder below the scratch root; a folder whose lock is free has no hub.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lfk.core.errors import ScratchFull, UsageError

log = logging.getLogger(__name__)

_PREFIX = "lfk-hub-"
_LOCK = "lock"
#: A disk that has not even room for this takes no recording.
_CHECK_BYTES = 16 << 20


class Scratch:
    """Folders for jobs. Safe for use by several threads."""

    def __init__(self, root: Path | None, budget: int) -> None:
        """``root``: where, None for the system's; ``budget``: bytes that all jobs together may reserve.

        Raises:
            UsageError: the folder cannot be used.
        """
        base = root or Path(tempfile.gettempdir())
        try:
            base.mkdir(parents=True, exist_ok=True)
            _sweep(base)
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
            self._lock_file = (self.folder / _LOCK).open("w")
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"the scratch folder {base} cannot be used: {error.strerror}",
                hint="set MAIN_NODE_TEMP_FOLDER to a folder that this user may write to",
            ) from error
        self._budget = budget
        self._reserved = 0
        self._freed = threading.Condition()

    @contextmanager
    def job(self, size: int, stop: threading.Event) -> Iterator[Path]:
        """A folder for one job whose audio has ``size`` bytes; waits until the budget has room, then removes it.

        A single audio over the budget is let through when nothing else is there.

        Raises:
            ScratchFull: the disk has no room for it, or the hub stops while it waits.
        """
        with self._freed:
            while self._reserved and self._reserved + size > self._budget:
                if stop.is_set():
                    raise ScratchFull("the hub stops")
                # Woken by the next job that ends; the time-out only lets a stop through.
                self._freed.wait(1.0)
            self._reserved += size
        try:
            if shutil.disk_usage(self.folder).free < size:
                raise ScratchFull(f"{self.folder} has no room for {size} bytes")
            folder = Path(tempfile.mkdtemp(prefix="job-", dir=self.folder))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            with self._freed:
                self._reserved -= size
                self._freed.notify_all()

    def check(self) -> None:
        """Confirm that the disk takes anything at all.

        Raises:
            ScratchFull: it does not.
        """
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(b"\0" * _CHECK_BYTES)
        except OSError as error:
            raise ScratchFull(f"{self.folder} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock_file.close()


def _sweep(base: Path) -> None:
    """Remove folders whose hub is gone, however it went."""
    for folder in base.glob(f"{_PREFIX}*"):
        try:
            handle = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            # Not ours, or a hub that is just starting.
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            log.info("removing what a former hub left in %s", folder)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
