"""Waiting until a producer has nothing on its way any more, in place of the client's own ``flush``."""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import Producer

#: Another thread may have taken the last report: so soon that is seen.
_LOOK_SECONDS = 0.02


def drain(producer: Producer, seconds: float, poll: Callable[[float], object] | None = None) -> int:
    """Serve reports until all is confirmed or the time is over; returns how many records are not.

    A producer that has failed for good raises that out of ``flush``, in confluent-kafka 2.16, as an object that is no
    exception: no ``except`` catches it, and it ends the thread, a pool's too. Out of ``poll`` comes a real one.

    Args:
        poll: what to serve reports with instead of the producer's own.

    Raises:
        KafkaException: the producer has failed for good.
    """
    serve = poll or producer.poll
    until = time.monotonic() + seconds
    while (left := len(producer)) and (rest := until - time.monotonic()) > 0:
        serve(min(rest, _LOOK_SECONDS))
    return left
