"""A watching sync in numbers: what each event adds, and how it is whenever somebody looks."""

from __future__ import annotations

from collections.abc import Iterator

from lfk.core import metrics
from lfk.core.readings import Reading, code_label
from lfk.roles.sync_events import Event, FileDone, Outcome, Paused
from lfk.roles.watch import Watcher


def of_event(event: Event) -> Iterator[Reading]:
    """What an event adds."""
    if isinstance(event, Paused):
        yield metrics.SYNC_OUTAGES.of(1, code_label(event.error.code))
    elif isinstance(event, FileDone):
        if event.error is not None:
            yield metrics.SYNC_FAILURES.of(1, code_label(event.error.code))
        elif event.outcome in (Outcome.NEW, Outcome.CHANGED):
            yield metrics.SYNC_BYTES.of(max(0, event.size - event.saved))
            yield metrics.SYNC_SECONDS.of(event.seconds)


def of_watcher(watcher: Watcher) -> Iterator[Reading]:
    """How a watcher is."""
    for outcome, count in watcher.summary.counts.items():
        yield metrics.SYNC_FILES.of(count, outcome.value)
    yield metrics.SYNC_REFERENCES.of(watcher.summary.referred)
    yield metrics.SYNC_OPEN.of(watcher.open)
    if watcher.scanned is not None:
        yield metrics.SYNC_SCANNED.of(watcher.scanned)
