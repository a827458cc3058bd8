"""A folder that is one process's for as long as its process lives; whoever starts next removes what a dead one left.

The owner holds a lock on a file in it, which the system lets go of however the process ends. A folder whose lock is
free has no owner. Several hubs may share a base: none ever removes what a living one holds, also while both start.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

_LOCK = "lock"
#: Another hub that is just sweeping may take a new folder for a dead hub's, at most once for each that starts.
_ATTEMPTS = 20
#: Between making its folder and its lock file a hub needs milliseconds; one that is older and has none died there.
_UNLOCKED_SECONDS = 600.0


class Lease:
    """See the module."""

    def __init__(self, base: Path, prefix: str) -> None:
        """Sweep ``base`` of dead owners' folders, then make one; ``prefix`` begins the names of all of them.

        Raises:
            OSError: ``base`` cannot be written to.
        """
        base.mkdir(parents=True, exist_ok=True)
        _sweep(base, prefix)
        self.folder, self._lock = _take(base, prefix)

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _take(base: Path, prefix: str) -> tuple[Path, IO[bytes]]:
    """A new folder and its lock, which nobody else has held meanwhile."""
    for _attempt in range(_ATTEMPTS):
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        lock: IO[bytes] | None = None
        with suppress(FileNotFoundError, BlockingIOError):
            lock = (folder / _LOCK).open("wb")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock.fileno()), (folder / _LOCK).stat()):
                return folder, lock
        # A hub that sweeps had it first, and removes it.
        if lock is not None:
            lock.close()
    raise OSError(f"every new folder in {base} is removed at once")


def _sweep(base: Path, prefix: str) -> None:
    for folder in base.glob(f"{prefix}*"):
        if _deserted(folder):
            log.info("removed what a former process left in %s", folder)


def _deserted(folder: Path) -> bool:
    """Remove the folder if its owner is gone; whether it was."""
    try:
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return _never_locked(folder)
    except OSError:
        # Somebody else's.
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(handle)


def _never_locked(folder: Path) -> bool:
    """Remove the folder of a hub that died before it made its lock: an old one with nothing in it."""
    with suppress(OSError):
        if time.time() - folder.lstat().st_mtime > _UNLOCKED_SECONDS:
            folder.rmdir()
            return True
    return False
