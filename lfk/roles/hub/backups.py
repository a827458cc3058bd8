"""What a hub does about stored audio where CENTRAL_BACKUPS is false: looks from time to time, on a thread of its own.

One hub of the group looks for audio, told by the partition it holds, so that somebody does whoever comes or goes; each
looks after its own folder of copies. An outage is waited out; nothing here holds a job up or ends the hub.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lfk.core.errors import LfkError
from lfk.roles.expiry import Expiry, Look
from lfk.roles.local_copies import LocalCopies

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Between two looks: a part of the grace time, within these bounds.
_PART_OF_GRACE = 0.01
_LEAST_SECONDS = 1.0
_MOST_SECONDS = 300.0
#: A look may take a quarter of the time, however much there is to look at.
_REST = 3.0
_CLOSE_SECONDS = 5.0
#: Different reasons that are told on.
_REASONS = 10


class BackupsKeeper:
    """Looks on a thread of its own until it is closed."""

    def __init__(
        self,
        expiry: Expiry,
        copies: LocalCopies | None,
        leads: Callable[[], bool],
        grace: float,
        stop: threading.Event,
    ) -> None:
        """``leads``: whether this hub is the one of its group that looks for audio; ``stop`` ends a look early."""
        self._expiry = expiry
        self._copies = copies
        self._leads = leads
        self._interval = min(_MOST_SECONDS, max(_LEAST_SECONDS, grace * _PART_OF_GRACE))
        self._stop = stop
        self._deleted = 0
        self._size = 0
        self._told: Mapping[str, Any] = {}
        self._thread = threading.Thread(target=self._run, name="lfk-backups", daemon=True)
        self._thread.start()

    @property
    def told(self) -> Mapping[str, Any]:
        """For `lfk status`: what this hub has deleted, and what its last look came to if it is the one that looks."""
        return self._told

    def close(self) -> None:
        """No more looks; one that is under way ends with the recordings it is at, at most a few seconds are waited."""
        self._stop.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        # Not everything at once, right when a hub starts.
        wait = _LEAST_SECONDS
        while not self._stop.wait(wait):
            begun = time.monotonic()
            complete = self._turn()
            took = time.monotonic() - begun
            wait = max(self._interval if complete else 0.0, _REST * took, _LEAST_SECONDS)

    def _turn(self) -> bool:
        """One look; whether there is no more to see for now."""
        complete = True
        if not self._leads():
            # Another hub does by now; what this one has done is still told.
            self._told = {"deleted": self._deleted, "bytes": self._size} if self._deleted else {}
        elif isinstance(look := _outcome(self._expiry.look), Look):
            self._tell(look)
            complete = look.complete
        else:
            self._told = {**self._told, "error": look}
        if self._copies is not None:
            _outcome(self._copies.look)
        return complete

    def _tell(self, look: Look) -> None:
        self._deleted += look.deleted
        self._size += look.size
        self._told = {
            "waiting": look.waiting,
            "deleted": self._deleted,
            "bytes": self._size,
            "kept": dict(look.kept.most_common(_REASONS)),
            "failed": look.failed,
            "error": look.error,
        }
        if look.deleted:
            log.info("deleted %d recordings of %d bytes, as their transcripts are there", look.deleted, look.size)


def _outcome(look: Callable[[], T]) -> T | str:
    """What a look comes to, or what went wrong: nothing must end the looks for as long as the hub lives."""
    try:
        return look()
    except LfkError as error:
        log.warning("deleting what is transcribed waits: %s", error)
        return error.message
    except Exception as error:
        log.exception("a fault of lfk itself, in a look for what to delete")
        return f"internal: {type(error).__name__}"
