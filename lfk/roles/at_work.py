"""Which job a thread is at, so that every log line from below it can say so, whoever writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Identified(Protocol):
    """A job, as far as a log line is concerned."""

    @property
    def event_id(self) -> str: ...

    @property
    def job_id(self) -> str | None: ...


_AT: ContextVar[Identified | None] = ContextVar("lfk_at_work", default=None)


@contextmanager
def at_work(job: Identified) -> Iterator[None]:
    """This thread is at ``job`` for as long as the block lasts."""
    before = _AT.set(job)
    try:
        yield
    finally:
        _AT.reset(before)


def job_at_work() -> Identified | None:
    """What this thread is at, if anything."""
    return _AT.get()
