"""How a role that serves is: whether its thread turns, whether it does its work, and what keeps it from that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lfk.core.errors import LfkError

#: These threads turn many times a second. The longest wait by design is a hub's for a killed hub's transaction (some
#: requests of 15 s each, see brokers/kafka_member.py), after which it would leave the group by itself.
STALLED_SECONDS = 270.0


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """A role as it is. ``turned`` is seconds since its thread last turned."""

    turned: float
    #: It has all that it needs, and does its work.
    serving: bool
    stopping: bool
    #: What it waits out.
    outage: LfkError | None = None

    @property
    def alive(self) -> bool:
        """Its thread turns."""
        return self.turned < STALLED_SECONDS

    @property
    def ready(self) -> bool:
        """It does its work."""
        return self.alive and self.serving and not self.stopping

    def to_dict(self) -> dict[str, Any]:
        """As it is shown."""
        status = "stopping" if self.stopping else "ready" if self.serving else "waiting" if self.outage else "starting"
        shown: dict[str, Any] = {
            "status": status if self.alive else "stalled",
            "turned_seconds_ago": round(self.turned, 1),
        }
        if self.outage is not None and not self.serving:
            shown["outage"] = {
                "code": self.outage.code,
                "message": self.outage.message,
                "hint": self.outage.hint,
            }
        return shown


class Pulse:
    """Kept by a role's thread, read by others: that it turns, and whether it serves or waits an outage out."""

    def __init__(self) -> None:
        self._turned = time.monotonic()
        self._serving = False
        self._outage: LfkError | None = None

    def beat(self) -> None:
        """The thread turns."""
        self._turned = time.monotonic()

    def through(self, over: Callable[[], bool]) -> Callable[[], bool]:
        """``over``, which the thread asks on every turn: asking it is a beat."""

        def asked() -> bool:
            self.beat()
            return over()

        return asked

    def serves(self) -> None:
        """It has all that it needs from now on."""
        self.beat()
        self._serving, self._outage = True, None

    def waits(self, error: LfkError) -> None:
        """It has not, because of this."""
        self.beat()
        self._serving, self._outage = False, error

    def health(self, stop: threading.Event) -> ServiceHealth:
        """How the role is that ``stop`` ends."""
        return ServiceHealth(time.monotonic() - self._turned, self._serving, stop.is_set(), self._outage)
