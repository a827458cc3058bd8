"""Takes a file out of a source folder, for good or into another folder, and only the very file that is meant.

Between the last look at a file and its removal somebody may put another one in its place. So a file is first renamed,
then looked at: what turns out to be another one is put back. A name that is taken in the other folder is never
overwritten; across filesystems a copy is complete and on disk before the original goes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lfk.core.errors import ContentChanged, FileUnreadable, ScratchFull
from lfk.core.sync_plan import Content, Stamp
from lfk.roles.scan import stamp_of
from lfk.stores.local_file import BLOCK_BYTES, NO_ROOM

log = logging.getLogger(__name__)


def delete(path: Path, stamp: Stamp) -> None:
    """Delete the file at ``path`` if it is the one with ``stamp``.

    Raises:
        ContentChanged: it is another one by now; it stays.
        FileUnreadable: it cannot be deleted.
        FileNotFoundError: it is gone already.
    """
    with _named(f"{path.name} cannot be deleted"):
        _confirm(path, stamp)
        # Hidden, so that nobody takes it for a recording; short, as a name may have 255 bytes already.
        aside = path.with_name(f".lfk-{secrets.token_hex(8)}")
        path.rename(aside)
        _keep_only_if(aside, stamp, path)
        aside.unlink()


def move(path: Path, stamp: Stamp, content: Content, target: Path) -> Path:
    """Move the file at ``path`` to ``target`` if it is the one with ``stamp``; returns where it is.

    Folders are made. Where ``target`` is taken by something else, the file gets a mark of its content in its name;
    where that very content is there already, the file is deleted.

    Raises:
        ContentChanged: it is another one by now; it stays.
        FileUnreadable: it cannot be moved.
        FileNotFoundError: it is gone already.
        ScratchFull: no room on the other filesystem.
    """
    with _named(f"{path.name} cannot be moved to {target.parent}"):
        _confirm(path, stamp)
        target.parent.mkdir(parents=True, exist_ok=True)
        if _same_filesystem(path, target.parent):
            place = _reserve(target, content)
            if place is not None:
                path.rename(place)
                _keep_only_if(place, stamp, path)
                return place
        else:
            place = _reserve(target, content)
            if place is not None:
                _copy(path, place, content)
        delete(path, stamp)
        return place or target


def _same_filesystem(path: Path, folder: Path) -> bool:
    return path.stat().st_dev == folder.stat().st_dev


def _confirm(path: Path, stamp: Stamp) -> None:
    if stamp_of(path.lstat()) != stamp:
        raise ContentChanged("it changed since it was uploaded")


def _keep_only_if(taken: Path, stamp: Stamp, origin: Path) -> None:
    """Put back what was taken if it is not what was meant. A rename changes the change time, and nothing else."""
    found = taken.lstat()
    if (found.st_size, found.st_mtime_ns, found.st_ino) == (stamp.size, stamp.modified, stamp.inode):
        return
    try:
        os.link(taken, origin)
    except OSError as error:
        raise FileUnreadable(
            f"{origin.name} was replaced at the last moment; what replaced it is now {taken}",
            hint="move it back by hand",
        ) from error
    taken.unlink()
    raise ContentChanged("it was replaced at the last moment")


def _reserve(target: Path, content: Content) -> Path | None:
    """An empty file of our own under a name that was free; None if the content is there already."""
    for place in (target, _marked(target, content)):
        try:
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        except FileExistsError:
            if place.is_file() and place.stat().st_size == content.size and _hash(place) == content.sha256:
                return None
        else:
            return place
    raise FileExistsError(f"{target.name} is there already, with other content")


def _marked(target: Path, content: Content) -> Path:
    """``x~<8 hex of the content>.wav``, shortened where the name would be too long."""
    mark, suffix = f"~{content.sha256[:8]}", os.fsencode(target.suffix)
    stem = os.fsencode(target.stem)[: 255 - len(mark) - len(suffix)]
    return target.with_name(os.fsdecode(stem) + mark + target.suffix)


def _copy(path: Path, place: Path, content: Content) -> None:
    """Fill ``place``, which is ours; it goes again where that fails."""
    aside = place.with_name(f".lfk-{secrets.token_hex(8)}")
    digest = hashlib.sha256()
    try:
        with path.open("rb") as source, aside.open("xb") as copy:
            while block := source.read(BLOCK_BYTES):
                copy.write(block)
                digest.update(block)
            copy.flush()
            os.fsync(copy.fileno())
        if digest.hexdigest() != content.sha256:
            raise ContentChanged("it changed since it was uploaded")
        shutil.copystat(path, aside)
        aside.rename(place)
    except BaseException:
        with suppress(FileNotFoundError):
            aside.unlink()
        place.unlink()
        raise


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Our errors for the system's, except that a file that is not there is for the caller to judge."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            raise ScratchFull(f"{what}: no room there", hint="make room there; the file stays until then") from error
        reason = error.strerror or str(error)
        raise FileUnreadable(f"{what}: {reason}", hint="the file stays; see to its folder's permissions") from error
