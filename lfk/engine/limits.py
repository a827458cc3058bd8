"""What an engine may take of time and memory, and how the time allowed grows as more is known of a job.

Pure: the clock is read by whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Decoding is never slower than this unless it hangs: 30 times real time at 128 kbit/s.
DECODE_BYTES_PER_SECOND = 500_000

#: What a piece of another engine's job may take besides its share for the audio: nothing is loaded or decoded.
PIECE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Seconds and bytes; see the settings of the same names."""

    #: Imports and first loads (LFK_ENGINE_START_TIMEOUT); also what a model that is loaded within a job may take.
    start_seconds: float = 180.0
    #: Any job may take this (LFK_JOB_TIMEOUT_BASE) …
    base_seconds: float = 120.0
    #: … and this for each second of audio (LFK_JOB_TIMEOUT_FACTOR).
    factor: float = 10.0
    #: Memory of an engine's processes (LFK_ENGINE_MEMORY); 0 means no limit.
    memory_bytes: int = 0
    #: An engine is replaced after so many jobs (LFK_ENGINE_RECYCLE_JOBS); 0 means never.
    recycle_jobs: int = 500
    #: An engine that holds more than this between jobs (LFK_ENGINE_RECYCLE_MEMORY) and has grown is replaced; 0 means
    #: never.
    recycle_bytes: int = 0


class Allowance:
    """The time that one job may take: by the size of its file until the length of its audio is known."""

    def __init__(self, limits: EngineLimits, file_bytes: int) -> None:
        self._limits = limits
        #: See :attr:`EngineLimits.memory_bytes`.
        self.memory_bytes = limits.memory_bytes
        self._seconds = limits.base_seconds + file_bytes / DECODE_BYTES_PER_SECOND
        self._loading = 0.0
        self.audio_seconds: float | None = None

    @classmethod
    def for_piece(cls, limits: EngineLimits, seconds: float) -> Allowance:
        """For a part of another engine's job, which has to be back well before that job's own time is over."""
        allowance = cls(replace(limits, base_seconds=min(limits.base_seconds, PIECE_SECONDS)), 0)
        allowance.audio_is(seconds)
        return allowance

    def audio_is(self, seconds: float) -> None:
        """The audio's length is known; time for decoding it is not taken back."""
        self.audio_seconds = seconds
        self._seconds = max(self._seconds, self._limits.base_seconds + self._limits.factor * seconds)

    def model_loads(self) -> None:
        """A model is loaded within the job, which says nothing about the audio."""
        self._loading += self._limits.start_seconds

    @property
    def seconds(self) -> float:
        """From the start of the job."""
        return self._seconds + self._loading
