"""The sha256 of files, remembered until a file changes, so that gigabytes are not read at every start.

A remembered hash counts while size, modification time, change time and inode are what they were: nobody sets a
change time back by accident. What is remembered may be deleted at any time, and is not needed to go on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from lfk.core.errors import ModelInvalid
from lfk.core.model_manifest import Pin

log = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 20
#: Some hundred bytes for each file of each model ever used here.
_MAX_MEMORY_BYTES = 4 << 20

_Identity = list[int]


class HashMemory:
    """Safe for use by several threads; of two processes that write at once one may have to hash again."""

    def __init__(self, path: Path | None = None) -> None:
        """``path``: where hashes are remembered beyond this process; None remembers them within it only."""
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Identity, str]] | None = None

    def sha256(self, file: Path, *, fresh: bool = False) -> str:
        """The sha256 of a file in hex; ``fresh`` reads it whatever is remembered.

        Raises:
            OSError: it cannot be read.
        """
        key = str(file.absolute())
        identity = _identity(file)
        with self._lock:
            known = self._load().get(key)
        if known is not None and known[0] == identity and not fresh:
            return known[1]
        digest = hash_file(file)
        if _identity(file) == identity:
            with self._lock:
                self._load()[key] = (identity, digest)
                self._save()
        return digest

    def _load(self) -> dict[str, tuple[_Identity, str]]:
        if self._known is None:
            self._known = {} if self._path is None else _read(self._path)
        return self._known

    def _save(self) -> None:
        if self._path is None or self._known is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._known = {**_read(self._path), **self._known}
            text = json.dumps({key: [*identity, digest] for key, (identity, digest) in self._known.items()})
            write_whole(self._path, text)
        except OSError as error:
            log.debug("hashes of model files are not remembered in %s: %s", self._path, error)


def hash_file(file: Path) -> str:
    """The sha256 of a file in hex.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def check_files(
    name: str, folder: Path, pins: Mapping[str, Pin], memory: HashMemory, *, fresh: bool = False
) -> dict[str, Pin]:
    """Confirm that a folder holds these files, and return their sizes and hashes.

    Raises:
        ModelInvalid: a file is missing, cut off or other than expected; the model ``name`` is named.
    """
    found = {}
    for file, pin in pins.items():
        path = folder / file
        try:
            size = path.stat().st_size
            if pin.size not in (None, size):
                raise ModelInvalid(f"{name}: {file} has {size:,} of {pin.size:,} bytes")
            sha256 = memory.sha256(path, fresh=fresh)
        except FileNotFoundError as error:
            raise ModelInvalid(f"{name} is not complete: {file} is missing in {folder}") from error
        except OSError as error:
            raise ModelInvalid(
                f"{name}: {file} cannot be read: {error.strerror}", hint=f"let this user read {folder}"
            ) from error
        if not pin.allows(size, sha256):
            raise ModelInvalid(f"{name}: {file} is not the file that was expected: its sha256 is {sha256[:16]}…")
        found[file] = Pin(size, sha256)
    return found


def write_whole(path: Path, text: str) -> None:
    """Replace a text file in one step: readers see the old text or the new, and a full disk leaves the old one.

    Raises:
        OSError: it cannot be written.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path: Path) -> dict[str, tuple[_Identity, str]]:
    try:
        with path.open("rb") as stream:
            data = json.loads(stream.read(_MAX_MEMORY_BYTES))
        return {str(key): ([int(number) for number in value[:4]], str(value[4])) for key, value in data.items()}
    except (OSError, ValueError, TypeError, AttributeError, IndexError):
        return {}


def _identity(file: Path) -> _Identity:
    state = file.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
