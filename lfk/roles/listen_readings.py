"""A listener in numbers: what each event adds, and what it has come to whenever somebody looks."""

from __future__ import annotations

from collections.abc import Iterator

from lfk.core import metrics
from lfk.core.readings import Reading, code_label
from lfk.roles.listen_events import Done, ListenEvent, ListenSummary
from lfk.roles.sync_events import Paused


def of_event(event: ListenEvent) -> Iterator[Reading]:
    """What an event adds."""
    if isinstance(event, Paused):
        yield metrics.LISTEN_OUTAGES.of(1, code_label(event.error.code))
    elif isinstance(event, Done) and event.error is not None:
        yield metrics.LISTEN_FAILURES.of(1, code_label(event.error.code))


def of_summary(summary: ListenSummary) -> Iterator[Reading]:
    """What it has come to."""
    for outcome, count in summary.counts.items():
        yield metrics.LISTEN_EVENTS.of(count, outcome.value)
    yield metrics.LISTEN_FOUND.of(summary.found)
    yield metrics.LISTEN_BYTES.of(summary.size)
    yield metrics.LISTEN_ROUNDS.of(summary.rounds)
