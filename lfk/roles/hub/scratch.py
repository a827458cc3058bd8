"""The hub's scratch folder: one folder a job, bounded in bytes, swept of what a killed hub left behind.

The budget is for audio that is fetched, so that fetching ahead is bounded. What engines decode lies on the same disk
without a name (64 kB a second of the audio in their hands) and counts as what the disk has no more.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lfk.core.errors import AudioTooLarge, ScratchFull, UsageError
from lfk.roles.hub.lease import Lease

log = logging.getLogger(__name__)

_PREFIX = "lfk-hub-"
#: A disk that has not even room for this takes no recording.
_CHECK_BYTES = 1 << 20
#: Jobs that wait for room are woken when another ends; this is for a stop, and for room that others have made.
_LOOK_SECONDS = 1.0


class Scratch:
    """Folders for jobs. Safe for use by several threads."""

    def __init__(self, root: Path | None, budget: int) -> None:
        """``root``: where, None for the system's; ``budget``: bytes of fetched audio in all.

        Raises:
            UsageError: the folder cannot be used.
        """
        base = root or Path(tempfile.gettempdir())
        try:
            self._lease = Lease(base, _PREFIX)
        except OSError as error:
            raise UsageError(
                f"the scratch folder {base} cannot be used: {error.strerror or error}",
                hint="set MAIN_NODE_TEMP_FOLDER to a folder that this user may write to",
            ) from error
        self.folder = self._lease.folder
        self._budget = budget
        #: Bytes reserved by each job's folder.
        self._reserved: dict[Path, int] = {}
        self._freed = threading.Condition()

    @contextmanager
    def job(self, size: int, stop: threading.Event) -> Iterator[Path]:
        """A folder for one job whose audio has ``size`` bytes; waits until there is room for it, then removes it.

        A single audio over the budget is let through when nothing else is there.

        Raises:
            AudioTooLarge: the whole disk is smaller.
            ScratchFull: the disk has no room now, for which no other job is to blame; or the hub stops meanwhile.
        """
        folder = self._reserve(size, stop)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with self._freed:
                del self._reserved[folder]
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
        self._lease.close()

    def _reserve(self, size: int, stop: threading.Event) -> Path:
        with self._freed:
            try:
                while not self._has_room(size):
                    if stop.is_set():
                        raise ScratchFull("the hub stops")
                    self._freed.wait(_LOOK_SECONDS)
                folder = Path(tempfile.mkdtemp(prefix="job-", dir=self.folder))
            except OSError as error:
                raise ScratchFull(f"{self.folder} cannot be written to: {error.strerror}") from error
            self._reserved[folder] = size
            return folder

    def _has_room(self, size: int) -> bool:
        """In the budget and on the disk, after what the jobs here have reserved and not written yet.

        Raises:
            AudioTooLarge, ScratchFull: there is none, and no job here whose end would change that.
        """
        disk = shutil.disk_usage(self.folder)
        if self._reserved:
            unwritten = sum(max(0, reserved - _bytes_in(folder)) for folder, reserved in self._reserved.items())
            return sum(self._reserved.values()) + size <= self._budget and size <= disk.free - unwritten
        if size > disk.total:
            raise AudioTooLarge(
                f"the audio has {size} bytes, and the disk of this hub's scratch folder {disk.total}",
                hint="point MAIN_NODE_TEMP_FOLDER to a larger disk",
            )
        if size > disk.free:
            raise ScratchFull(f"{self.folder} has no room for {size} bytes")
        return True


def _bytes_in(folder: Path) -> int:
    """What the files of a job take on the disk."""
    total = 0
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
