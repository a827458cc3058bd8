"""Looks at many things at once and tells of them in order: for readings of a store, which mostly wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

#: Threads that wait for the store at a time.
READERS = 16
#: Results that may wait for a slow one before them, per thread.
_AHEAD = 4


def in_parallel(work: Callable[[S], T], items: Iterable[S], threads: int = READERS) -> Iterator[T]:
    """``work`` of each item, in the items' order; items are taken as they are needed.

    What ``work`` or the items raise comes out in its turn; what has begun by then is waited for.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lfk-reader")
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            # What a thread is at is known to those that work for it, too.
            waiting.append(pool.submit(copy_context().run, work, item))
            if len(waiting) >= threads * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
