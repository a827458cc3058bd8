"""What the operating system tells about a folder while it is watched: which files were closed, moved in or made.

A hint, never the truth: events get lost (queues overflow, network filesystems tell nothing, links to folders are
not followed), so whoever listens scans the folder from time to time as well. Bounded: where too much happens at
once, names are dropped and a scan is asked for instead.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lfk.core.media_types import is_media
from lfk.core.patterns import Selection
from lfk.roles.scan import FolderId, folder_id

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)

#: Names that wait to be taken; beyond this a scan is cheaper than looking at each.
_LIMIT = 10_000
#: Filesystems on which changes made by other machines cause no events here (names as in /proc/self/mountinfo).
_REMOTE = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "fuse.rclone", "lustre", "ncpfs", "nfs",
     "nfs4", "prl_fs", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs"}
)  # fmt: skip
_MOUNTS = Path("/proc/self/mountinfo")
#: How space, tab, line break and backslash are written there.
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Changes:
    """Watches one folder for as long as its ``with`` block lasts."""

    def __init__(self, source: Path, selection: Selection, own: Sequence[Path], by: str = "auto") -> None:
        """Nothing is watched yet.

        Args:
            own: folders whose changes are of no interest, such as the store's.
            by: ``auto``: the system's events where the filesystem tells of all changes; ``events``: in any case;
                ``scans``: never.
        """
        self._by = by
        self._source = source
        self._selection = selection
        self._own = own
        self._lock = threading.Lock()
        self._waiting: dict[str, bool] = {}
        self._overflowed = False
        self._observer: BaseObserver | None = None
        self._watched: FolderId | None = None
        #: Called from another thread when there is something to take.
        self.listener: Callable[[], None] | None = None

    def __enter__(self) -> Changes:
        self._watch()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._unwatch()

    @property
    def live(self) -> bool:
        """Whether changes are told; if not, only scans find them."""
        return self._observer is not None and any(emitter.is_alive() for emitter in self._observer.emitters)

    def keep(self) -> None:
        """Watch anew where another folder has taken the place of the one that was watched (a disk came back)."""
        if self._observer is None:
            return
        try:
            there = folder_id(self._source)
        except OSError:
            return
        if there != self._watched or not self.live:
            log.info("%s was replaced: it is watched anew", self._source)
            self._unwatch()
            self._watch()

    def take(self) -> dict[str, bool]:
        """What has changed since the last call: paths below the folder, and whether each is known to be complete."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
        return taken

    def overflowed(self) -> bool:
        """Whether names were dropped since the last call, so that only a scan can tell."""
        with self._lock:
            told, self._overflowed = self._overflowed, False
        return told

    def _watch(self) -> None:
        self._observer = (
            None if self._by == "scans" else _observe(self._source, self._note, forced=self._by == "events")
        )
        self._watched = folder_id(self._source) if self._observer is not None else None

    def _unwatch(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()

    def _note(self, path: str, complete: bool) -> None:
        """On the observer's thread."""
        relative = self._relative(path)
        if relative is None:
            return
        with self._lock:
            if relative in self._waiting or len(self._waiting) < _LIMIT:
                self._waiting[relative] = complete or self._waiting.get(relative, False)
            else:
                self._overflowed = True
        if (listener := self.listener) is not None:
            listener()

    def _relative(self, path: str) -> str | None:
        """The path below the folder, if it may be one that is wanted."""
        if not is_media(os.path.basename(path)):  # noqa: PTH119 - called for every event; a Path costs ten times more
            return None
        full = Path(path)
        if not full.is_relative_to(self._source) or any(full.is_relative_to(own) for own in self._own):
            return None
        parts = full.relative_to(self._source).parts
        relative = "/".join(parts)
        hidden = any(part.startswith(".") for part in parts)
        return None if hidden or not self._selection.wants(relative) else relative


def remote_filesystem(path: Path, mounts: str) -> str | None:
    """The type of the filesystem that holds ``path``, if it is one of those that tell nothing.

    Args:
        mounts: the text of /proc/self/mountinfo (format: proc(5)); empty where there is none.
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields, _dash, rest = line.partition(" - ")
        columns = fields.split()
        if len(columns) < 5 or not rest:
            continue
        mount = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), columns[4])
        # Of two mounts at one place the later one is on top, as where an automounter waits below.
        if len(mount) >= best and path.is_relative_to(mount):
            best, kind = len(mount), rest.split()[0]
    return kind if kind in _REMOTE else None


def _observe(source: Path, note: Callable[[str, bool], None], *, forced: bool) -> BaseObserver | None:
    """An observer that has started; None where there can be none, with the reason in the log."""
    mounts = os.fsdecode(_MOUNTS.read_bytes()) if _MOUNTS.exists() else ""
    kind = remote_filesystem(source, mounts)
    if kind is not None and not forced:
        log.info("%s is on %s, which tells of no changes: it is scanned more often instead", source, kind)
        return None
    observer = _start(source, note)
    if observer is None:
        log.warning("%s is scanned more often instead of watched", source)
    return observer


def _start(source: Path, note: Callable[[str, bool], None]) -> BaseObserver | None:
    from watchdog.events import (
        FileClosedEvent,
        FileCreatedEvent,
        FileModifiedEvent,
        FileMovedEvent,
        FileSystemEventHandler,
    )

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.is_directory:
                return
            # A file that was moved into place is complete; so is one that its writer has closed.
            path = event.dest_path if isinstance(event, FileMovedEvent) else event.src_path
            note(os.fsdecode(path), isinstance(event, FileClosedEvent | FileMovedEvent))

    # Of a folder that it finds twice, as it does where a tree grows while it is looked into. No harm is in it, but an
    # interpreter that takes warnings for errors would lose the thread that listens.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.")
    observer, closes = _new_observer()
    # Where closing is told, writing is not listened to: it is told once for every block.
    told: list[type[FileSystemEvent]] = [
        FileCreatedEvent,
        FileMovedEvent,
        FileClosedEvent if closes else FileModifiedEvent,
    ]
    try:
        observer.schedule(Handler(), str(source), recursive=True, event_filter=told)
        observer.start()
    except OSError as error:
        log.warning("%s cannot be watched: %s (is fs.inotify.max_user_watches reached?)", source, error.strerror)
        return None
    return observer


def _new_observer() -> tuple[BaseObserver, bool]:
    """The best observer of this system, and whether it tells when a file is closed."""
    try:
        from watchdog.observers.inotify import InotifyObserver
    except (ImportError, OSError):
        from watchdog.observers import Observer

        return Observer(), False
    # Full events: a file that is moved in from outside is told as moved, not as made.
    return InotifyObserver(generate_full_events=True), True
