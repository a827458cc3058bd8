"""The measure of a machine: the same recordings through several sets of engines, in turns.

Knows engines only by their protocol. Every set is loaded before the first round and has had a job that nobody counts,
so that loading is in no figure.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lfk.core.approaches import Stage
from lfk.core.errors import LfkError
from lfk.core.measured import Timed
from lfk.engine.base import Task
from lfk.engine.pool import EnginePool

#: Text alone: what every way can do.
STAGES: tuple[Stage, ...] = ("transcribe",)


def measure(
    ways: Mapping[str, EnginePool],
    audio: Sequence[Path],
    model: str,
    rounds: int,
    stop: threading.Event,
    told: Callable[[str, int, float], None],
) -> list[Timed]:
    """Rounds of every way, every other one in turned order; only whole rounds count, if ``stop`` is set.

    ``told`` hears of each turn: the way, the round from 1, the seconds.

    Raises:
        LfkError: an engine or a recording that does not work.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    heard = 0.0
    for pool in ways.values():
        heard = _through(pool, [audio[0]] * pool.size, model)[1]
    for turn in range(rounds):
        taken = {}
        for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            if stop.is_set():
                break
            taken[name], heard = _through(ways[name], audio, model)
            told(name, turn + 1, taken[name])
        if len(taken) == len(ways):
            for name, one in taken.items():
                seconds[name].append(one)
    return [Timed(name, tuple(one), heard) for name, one in seconds.items() if one]


def _through(pool: EnginePool, audio: Sequence[Path], model: str) -> tuple[float, float]:
    """Seconds that all recordings take, as many at a time as there are engines; and their length."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lfk-bench-") as scratch, ThreadPoolExecutor(pool.size) as threads:

        def one(numbered: tuple[int, Path]) -> float:
            number, path = numbered
            own = Path(scratch, str(number))
            own.mkdir()
            try:
                with pool.engine() as engine:
                    outcome = engine.run(Task(path, "0" * 64, STAGES, model, {}, own))
            except LfkError as error:
                # Of several recordings, which: an engine's error does not name its own.
                error.message = f"{path}: {error.message}"
                raise
            return outcome.transcript.duration or 0.0

        heard = sum(threads.map(one, enumerate(audio)))
        return time.monotonic() - begun, heard
