"""An engine whose stage is shared, in a real child process, with no speech library: each piece says who did it.

The config of an engine says what its pieces of others' tasks do: ``assist`` is ``die``, ``refuse``, ``hang``, or
nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from lfk.core.errors import StageFailed
from lfk.core.transcript import Segment, Transcript
from lfk.engine.base import Outcome, Task
from lfk.engine.crew import Piece
from lfk.engine.reporting import Report

PIECES = 12


class SharingEngine:
    """See the module. A piece takes ``seconds`` of the task's options."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def run(self, task: Task, report: Report) -> Outcome:
        report.audio_is(100.0)
        seconds = float(task.options["seconds"])
        pieces = [Piece("square", 1.0, {"number": number, "seconds": seconds}) for number in range(PIECES)]

        def own(number: int) -> tuple[int, int]:
            if number == task.options.get("fail_at"):
                raise StageFailed("as asked")
            time.sleep(seconds)
            return number * number, os.getpid()

        found = report.crew.share(
            pieces,
            own,
            lambda _number, answer: (answer["square"], answer["pid"]),
            lambda: report.progress("align", 0.5),
        )
        segments = tuple(Segment(number, number, str(square)) for number, (square, _pid) in enumerate(found))
        by = [pid for _square, pid in found]
        return Outcome(Transcript("en", 1.0, segments), {}, {"by": by})

    def assist(self, kind: str, data: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        assert kind == "square"
        match self._config.get("assist"):
            case "die":
                os._exit(9)
            case "refuse":
                raise StageFailed("not this one")
            case "hang":
                time.sleep(600)
        time.sleep(data["seconds"])
        return {"square": data["number"] ** 2, "pid": os.getpid()}

    def rest(self) -> float | None:
        return None


def build(config: Mapping[str, Any]) -> SharingEngine:
    """As :mod:`lfk.engine.child` calls it."""
    return SharingEngine(config)
