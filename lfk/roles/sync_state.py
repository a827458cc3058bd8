"""What sync remembers between passes: each file's stamp and hash, and which references were confirmed.

A cache in a local SQLite file, one for each pair of source folder and audio root. Losing it (or its last second in
a crash) costs a second reading and repeated references, never a file; so a damaged one is simply begun anew.
SQLite, because one changed file among 100,000 must not rewrite a file of 100,000 lines. It has one owner at a time
within a process; two processes may share it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
from pathlib import Path

from lfk.core.location import Location
from lfk.core.sync_plan import Content, Known, Stamp

log = logging.getLogger(__name__)

#: Bumped when the columns change; older files are begun anew.
_VERSION = 2
#: How much a crash may forget: one commit for each file would cost a disk flush each.
_COMMIT_SECONDS = 1.0
#: How long another process's commit may take before this one gives up waiting.
_BUSY_SECONDS = 10.0

_COLUMNS = (
    "size, modified, changed, inode, location, sha256, etag, version_id, confirmed, "
    "extracted_size, extracted_sha256, form"
)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, {_COLUMNS}
) WITHOUT ROWID
"""


def state_file(home: Path, source: Path, audio: Location) -> Path:
    """Where the state of this pair is kept."""
    pair = hashlib.sha256(os.fsencode(source) + b"\0" + str(audio).encode("utf-8")).hexdigest()
    return home / "lfk" / "sync" / f"{pair[:24]}.sqlite"


class SyncState:
    """Keyed by the path below the source folder."""

    def __init__(self, path: Path | None) -> None:
        """None keeps it in memory only; so does a place that cannot be written, with a warning."""
        self._connection = _open(path)
        self._committed = time.monotonic()

    def get(self, relative: str) -> Known | None:
        """What is remembered of a file."""
        query = f"SELECT {_COLUMNS} FROM files WHERE path = ?"  # noqa: S608 - our own constant
        row = self._connection.execute(query, (os.fsencode(relative),)).fetchone()
        if row is None:
            return None
        stamp, (location, sha256, etag, version_id, confirmed), extracted = Stamp(*row[:4]), row[4:9], row[9:11]
        content = None if extracted[0] is None else Content(*extracted)
        return Known(stamp, location, sha256, etag, version_id, confirmed, content, row[11])

    def put(self, relative: str, known: Known) -> None:
        """Remember a file; on disk at the next commit."""
        stamp = known.stamp
        row = (stamp.size, stamp.modified, stamp.changed, stamp.inode, known.location, known.sha256, known.etag)
        extracted = (None, None) if known.extracted is None else (known.extracted.size, known.extracted.sha256)
        try:
            self._connection.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (os.fsencode(relative), *row, known.version_id, known.confirmed, *extracted, known.form),
            )
        except sqlite3.Error as error:
            self._give_up(error)

    def commit_when_due(self) -> None:
        """Commit if the last time is long enough ago; to be called again and again."""
        if time.monotonic() - self._committed >= _COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write what was put; cheap if nothing was."""
        try:
            self._connection.commit()
        except sqlite3.Error as error:
            self._give_up(error)
        self._committed = time.monotonic()

    def close(self) -> None:
        """Write and let go."""
        self.commit()
        self._connection.close()

    def _give_up(self, error: sqlite3.Error) -> None:
        log.warning("what was sent can no longer be remembered here (%s): it may be read and sent again", error)
        self._connection.close()
        self._connection = _prepared(":memory:")


def _open(path: Path | None) -> sqlite3.Connection:
    if path is None:
        return _prepared(":memory:")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _prepared(str(path))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            log.warning("%s is damaged (%s): begun anew", path, error)
            path.unlink()
            return _prepared(str(path))
    except (OSError, sqlite3.Error) as error:
        log.warning("%s cannot be used (%s): unchanged files will be read again next time", path, error)
        return _prepared(":memory:")


def _prepared(name: str) -> sqlite3.Connection:
    # The owner may hand it to another thread as a whole; SQLite's own check would forbid that.
    connection = sqlite3.connect(name, timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            connection.execute("DROP TABLE IF EXISTS files")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute(_SCHEMA)
        connection.commit()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
