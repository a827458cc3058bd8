"""A reader of announcements in numbers."""

from __future__ import annotations

from collections.abc import Iterator

from lfk.core import metrics
from lfk.core.readings import Reading
from lfk.roles.transcripts import Count


def of_count(count: Count) -> Iterator[Reading]:
    """What it has come to."""
    yield metrics.TRANSCRIPTS_SEEN.of(count.done, "done")
    yield metrics.TRANSCRIPTS_SEEN.of(count.failed, "failed")
    yield metrics.TRANSCRIPTS_FILES.of(count.fetched, "fetched")
    yield metrics.TRANSCRIPTS_FILES.of(count.unchanged, "unchanged")
    yield metrics.TRANSCRIPTS_RAN.of(count.ran)
    yield metrics.TRANSCRIPTS_PROBLEMS.of(count.problems)
