"""The canned engine in a child process that dies of poison, as the real one would of a bug in a codec."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from lfk.engine import canned
from lfk.engine.base import Outcome, Task
from lfk.engine.reporting import ChildEngine, Report
from tests.chaos.killing_hub import is_poison


class PoisonedEngine:
    """See the module."""

    def __init__(self, engine: ChildEngine) -> None:
        self._engine = engine

    def run(self, task: Task, report: Report) -> Outcome:
        """See :class:`lfk.engine.reporting.ChildEngine`."""
        if is_poison(task):
            os.kill(os.getpid(), signal.SIGSEGV)
        return self._engine.run(task, report)

    def rest(self) -> float | None:
        """See :class:`lfk.engine.reporting.ChildEngine`."""
        return self._engine.rest()


def build(config: Mapping[str, Any]) -> PoisonedEngine:
    """As :mod:`lfk.engine.child` calls it."""
    return PoisonedEngine(canned.build(config))
