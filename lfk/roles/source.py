"""A source folder as a whole: opening it, who it is to others, and what in it is the store's and not the user's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from lfk.core.errors import UsageError
from lfk.core.location import Location
from lfk.roles.scan import FolderId, folder_id


def open_source(path: Path) -> Path:
    """The folder that is to be walked, absolute and without links.

    Raises:
        UsageError: it is not there, not a folder, or not readable.
    """
    try:
        resolved = path.expanduser().resolve(strict=True)
        with os.scandir(resolved):
            return resolved
    except (OSError, RuntimeError) as error:
        # Python before 3.13 raises RuntimeError for a link that leads to itself.
        reason = "not a folder" if isinstance(error, NotADirectoryError) else "cannot be read"
        if isinstance(error, FileNotFoundError):
            reason = "no such folder"
        raise UsageError(
            f"{path}: {reason}", hint="name the folder with the recordings, or set SOURCE_FOLDER"
        ) from error


def source_identity(name: str, host: str, source: Path) -> str:
    """Who uploads, as kept with each object: ``name`` if given, else the machine and a hash of the folder's path.

    ASCII, as object metadata has to be; a hash, so that paths of this machine do not show in a shared bucket.
    """
    if name:
        return quote(os.fsencode(name), safe="")
    return f"{quote(host, safe='')}:{hashlib.sha256(os.fsencode(source)).hexdigest()[:16]}"


def own_folders(paths: Iterable[Path]) -> frozenset[FolderId]:
    """The identities of those that are there."""
    return frozenset(folder_id(path) for path in paths if path.is_dir())


def shown(relative: str) -> str:
    """A path fit to be written as UTF-8: bytes that are none are written as ``\\xNN``."""
    return os.fsencode(relative).decode("utf-8", "backslashreplace") or "."


def refuse_own_folder(source: Path, audio: Location) -> None:
    """Refuse to sync the store into itself.

    Raises:
        UsageError: the source folder lies in the store's audio folder, or is it.
    """
    if audio.scheme != "file":
        return
    folder = Path("/" + audio.key).resolve()
    if source == folder or folder in source.parents:
        raise UsageError(
            f"{source} lies in the store's own audio folder",
            hint="use `lfk submit` for what is in the store already",
        )


def open_move_to(folder: Path, source: Path, *, dry_run: bool) -> Path:
    """The folder that sources are moved into, absolute and without links; it is made unless this is a dry run.

    Raises:
        UsageError: what is moved there would be found as a source again, or it cannot be made.
    """
    try:
        resolved = folder.expanduser().resolve()
        if not dry_run:
            resolved.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a link that leads to itself"
        raise UsageError(f"{folder}: {reason}", hint="name a folder that can be made and written to") from error
    if resolved == source or resolved in source.parents:
        raise UsageError(
            f"{source} cannot be moved into {resolved}, where it lies itself",
            hint="name a folder beside the source folder, or one inside it",
        )
    return resolved
