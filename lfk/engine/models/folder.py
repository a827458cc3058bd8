"""The models folder: one folder for each model, and a lock that says what is in them.

A model appears whole or not at all: it is put together aside, on the same disk, and renamed. The lock is written
first, so that a crash in between leaves a model that is fetched again, never one that nobody vouches for.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lfk.core.errors import ModelInvalid, ModelMissing, ScratchFull
from lfk.core.model_manifest import LOCK_NAME, MAX_LOCK_BYTES, Locked, parse_lock, render_lock
from lfk.engine.models.hashes import write_whole

log = logging.getLogger(__name__)

#: Where models are put together before they appear.
INCOMING = ".incoming"
#: Where files go that adopting a folder in its own place leaves out; removing them is for people.
REPLACED = ".replaced"
_GUARD = ".guard"
#: What a killed process left behind is removed after this; no fetch of weights takes a day.
_STALE_SECONDS = 24 * 3600.0
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
#: Files that people keep beside weights; anything else that no lock knows could change how a model is read.
_HARMLESS = (".md", ".txt.asc", "LICENSE", "NOTICE")


class ModelsFolder:
    """LFK_MODELS_FOLDER. It need not exist until something is put in."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Where a model of the manifest lies, or would."""
        return self.root / name

    def holds(self, name: str) -> bool:
        """Whether there is anything in the model's folder."""
        path = self.path(name)
        try:
            return any(not entry.name.startswith(".") for entry in path.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise ModelInvalid(f"{name}: {path} cannot be read", hint=f"let this user read {path}") from error

    def strangers(self, name: str, known: Mapping[str, object]) -> list[str]:
        """Files in the model's folder that are not known and not harmless."""
        path = self.path(name)
        files = (file.relative_to(path).as_posix() for file in sorted(path.rglob("*")) if not file.is_dir())
        return [
            file
            for file in files
            if file not in known and not file.startswith(".") and "/." not in file and not file.endswith(_HARMLESS)
        ]

    def lock(self) -> dict[str, Locked]:
        """What the lock says.

        Raises:
            ModelInvalid: it cannot be read or understood.
        """
        try:
            with (self.root / LOCK_NAME).open(encoding="utf-8") as stream:
                return parse_lock(stream.read(MAX_LOCK_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise ModelInvalid(
                f"{self.root / LOCK_NAME} cannot be read", hint="let this user read it, or put a backup of it back"
            ) from error

    def record(self, name: str, locked: Locked) -> None:
        """Write one model into the lock, whoever else does the same at the time.

        Raises:
            ModelInvalid: the lock there cannot be understood, and is left alone.
            ScratchFull, ModelMissing: it cannot be written.
        """
        with _typed(self.root), self._guarded():
            write_whole(self.root / LOCK_NAME, render_lock({**self.lock(), name: locked}))

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder on the disk of the models; whatever is left in it goes with the block.

        Raises:
            ScratchFull: the disk is full, also where the block met it.
            ModelMissing: the folder cannot be written.
        """
        with _typed(self.root):
            incoming = self.root / INCOMING
            incoming.mkdir(parents=True, exist_ok=True)
            _sweep(incoming)
            stage = Path(tempfile.mkdtemp(prefix="model-", dir=incoming))
            try:
                yield stage
            finally:
                shutil.rmtree(stage, ignore_errors=True)

    def install(self, name: str, stage: Path, locked: Locked) -> Path:
        """Let the files in ``stage``, a folder of :meth:`staging`, be the model from now on.

        Raises as :meth:`record`.
        """
        target = self.path(name)
        self.record(name, locked)
        with _typed(self.root), self._guarded():
            target.parent.mkdir(parents=True, exist_ok=True)
            whole = stage / "whole"
            whole.mkdir()
            for item in list(stage.iterdir()):
                if item != whole:
                    item.rename(whole / item.name)
            whole.chmod(0o755)
            if target.exists():
                self._put_aside(name, target, whole)
            whole.rename(target)
        return target

    def _put_aside(self, name: str, old: Path, new: Path) -> None:
        """Make way without losing anything: whatever is not in the new folder is kept in :data:`REPLACED`."""
        if all(_same(file, new / file.relative_to(old)) for file in old.rglob("*") if not file.is_dir()):
            old.rename(new.parent / "replaced")
            return
        kept = self.root / REPLACED / f"{name.replace('/', '-')}-{time.time_ns()}"
        kept.parent.mkdir(exist_ok=True)
        old.rename(kept)
        log.warning("what lay in %s before is kept in %s", old, kept)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """One writer at a time, of all processes on this machine."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / _GUARD).open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield


@contextmanager
def _typed(root: Path) -> Iterator[None]:
    """What the disk says, in lfk's words."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise ScratchFull(
                f"no room for model weights in {root}", hint="make room there, or name another LFK_MODELS_FOLDER"
            ) from error
        if error.errno in _NOT_ALLOWED:
            raise ModelMissing(
                f"model weights cannot be written to {root}: {error.strerror}",
                hint="let this user write there, name another LFK_MODELS_FOLDER, or pull as a user who may",
            ) from error
        raise


def _same(old: Path, new: Path) -> bool:
    try:
        return old.samefile(new)
    except OSError:
        return False


def _sweep(incoming: Path) -> None:
    oldest = time.time() - _STALE_SECONDS
    for stage in incoming.iterdir():
        if stage.stat().st_mtime < oldest:
            shutil.rmtree(stage, ignore_errors=True)
