"""How the work goes, point by point: taken by a thread of its own, the last few hours held in memory and nowhere else.

A look reads what waits on the topics, which may take seconds where much does; looks then become rarer, so that they
never take more than a tenth of the time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from lfk.core.errors import LfkError
from lfk.roles.backlog import Outlook
from lfk.roles.status import Status

log = logging.getLogger(__name__)

#: Between two looks at least.
LOOK_SECONDS = 5.0
#: Four hours at the usual pace, about 100 bytes each.
POINTS = 2_880
_REST_FACTOR = 9.0
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Point:
    """One look. Times are seconds since the epoch; audio is in seconds."""

    time: float
    #: References that are not answered yet.
    files: int
    #: Audio of those, as far as it is known.
    audio: float
    #: Seconds of audio transcribed in one second, lately; 0 where nothing is known of it.
    speed: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known now, and how it came to be. ``error`` is why the last look failed."""

    points: tuple[Point, ...] = ()
    status: Status | None = None
    outlook: Outlook | None = None
    error: LfkError | None = None


class PulseTaker:
    """Looks until it is closed. Safe for use by several threads."""

    def __init__(self, look: Callable[[], tuple[Status, Outlook]], *, seconds: float = LOOK_SECONDS) -> None:
        """``look`` is called from a thread of this class's own."""
        self._look = look
        self._seconds = seconds
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._pulse = Pulse()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lfk-pulse", daemon=True)
        self._thread.start()

    @property
    def pulse(self) -> Pulse:
        """As of the last look."""
        return self._pulse

    def close(self) -> None:
        """Stop looking; a look that is under way is not waited for longer than a few seconds."""
        self._stopping.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        rest = 0.0
        while not self._stopping.wait(rest):
            begun = time.monotonic()
            self._pulse = self._taken()
            rest = max(self._seconds, _REST_FACTOR * (time.monotonic() - begun))

    def _taken(self) -> Pulse:
        try:
            status, outlook = self._look()
        except LfkError as error:
            return replace(self._pulse, error=error)
        except Exception:
            # A mistake of ours; the next look may fare better, and this thread is the only one that looks.
            log.exception("a look at the work failed")
            return self._pulse
        speed = outlook.pace.speed if outlook.pace is not None else 0.0
        self._points.append(Point(time.time(), sum(status.waiting.values()), outlook.audio, speed))
        return Pulse(tuple(self._points), status, outlook)
