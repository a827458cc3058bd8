"""What a service that runs for months does about store, broker or source going away: it waits, and begins anew."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from lfk.core.errors import LfkError
from lfk.core.retry import RetryPolicy

#: How long what is away is left alone: short at first, as most outages are.
_WAITS = RetryPolicy(attempts=1_000_000, backoff=1.0, factor=2.0)
_LONGEST_SECONDS = 30.0


def outlast(
    session: Callable[[bool], tuple[bool, LfkError] | None],
    paused: Callable[[LfkError, float], None],
    stop: threading.Event,
) -> None:
    """Run one session after another until one ends by itself, or ``stop`` is set.

    Args:
        session: is told whether it follows an outage; returns what ended it, and whether it had worked before.
        paused: is told of each outage, and for how many seconds it is waited out.

    Raises:
        LfkError: what a session raises.
    """
    outages = 0
    while not stop.is_set():
        outage = session(outages > 0)
        if outage is None:
            return
        served, error = outage
        outages = 1 if served else outages + 1
        wait = min(_LONGEST_SECONDS, _WAITS.wait(outages, random.random) or _LONGEST_SECONDS)
        paused(error, wait)
        stop.wait(wait)
