"""When a transient failure is tried again: exponential back-off with jitter, a bounded number of attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: No wait is longer than this, whatever the factor.
MAX_WAIT_SECONDS = 3600.0
#: Part of a wait that is random, so that jobs that failed together do not come back together.
_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``attempts`` in all; ``backoff`` seconds before the second, ``factor`` times longer before each further one."""

    attempts: int
    backoff: float
    factor: float

    def wait(self, begun: int, random: Callable[[], float]) -> float | None:
        """Seconds until the next attempt after ``begun`` attempts; None if there is none. ``random`` gives 0–1."""
        if begun >= self.attempts:
            return None
        try:
            wait = min(MAX_WAIT_SECONDS, self.backoff * self.factor ** max(0, begun - 1))
        except OverflowError:
            # A service counts the waits of an outage for as long as that lasts.
            wait = MAX_WAIT_SECONDS
        return min(MAX_WAIT_SECONDS, wait * (1 - _JITTER + 2 * _JITTER * random()))
