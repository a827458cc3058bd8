"""What a hub is told once, and what it has done at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lfk.core.retry import RetryPolicy
from lfk.roles.hub.answers import Topics


@dataclass(frozen=True, slots=True)
class HubPlan:
    """What a hub is told once."""

    group: str
    #: Topic by lane, in order of preference.
    lanes: Mapping[str, str]
    weights: Mapping[str, int]
    topics: Topics
    retry: RetryPolicy
    engines: int
    #: Jobs in hand at a time: engines plus audios fetched ahead.
    slots: int
    #: Seconds over which quick jobs share a settlement, and that running jobs get on a stop.
    settle_interval: float
    grace: float
    #: Audios in a row that engines may fail before the hub tries its engines itself; 0 for never.
    breaker: int = 5
    max_jobs: int = 0
    exit_when_idle: float = 0.0


@dataclass(slots=True)
class Summary:
    """What a hub has done, for the line at its end."""

    done: int = 0
    reused: int = 0
    failed: int = 0
    retried: int = 0
    audio_seconds: float = 0.0

    @property
    def answered(self) -> int:
        """References that have come to an end."""
        return self.done + self.failed
