"""How a hub is, for whoever runs it.

A hub in trouble is alive and not ready: it heals by itself, and killing it would help nobody. It is not alive when its
one thread no longer turns.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from lfk.roles.health import STALLED_SECONDS
from lfk.roles.hub.self_check import Trouble


@dataclass(frozen=True, slots=True)
class Health:
    """A hub as it is. ``turned`` is seconds since its thread last turned."""

    joined: bool
    turned: float
    trouble: Trouble | None
    engines: int
    engines_ready: int
    running: int
    stopping: bool

    @property
    def alive(self) -> bool:
        """Its thread turns."""
        return self.turned < STALLED_SECONDS

    @property
    def ready(self) -> bool:
        """It takes work."""
        return self.alive and self.joined and self.trouble is None and self.engines_ready > 0 and not self.stopping

    def to_dict(self) -> dict[str, Any]:
        """As it is shown."""
        status = "stopping" if self.stopping else "trouble" if self.trouble else "ready" if self.ready else "starting"
        shown: dict[str, Any] = {
            "status": status if self.alive else "stalled",
            "joined": self.joined,
            "turned_seconds_ago": round(self.turned, 1),
            "engines": self.engines,
            "engines_ready": self.engines_ready,
            "running": self.running,
        }
        if self.trouble is not None:
            error = self.trouble.error
            shown["trouble"] = {
                "part": self.trouble.suspect.value,
                "code": error.code,
                "message": error.message,
                "hint": error.hint,
                "seconds": round(time.time() - self.trouble.since, 1),
            }
        return shown
