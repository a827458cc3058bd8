"""An engine in a child process that goes wrong where the audio itself says so: ``fault:segfault`` among its bytes.

The faults are those of :mod:`tests.integration.engine_faults`, and ``room``, which decodes: it needs as much scratch as
the audio takes itself. What is begun is written into a file, which outlives
the process.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lfk.engine.base import Outcome, Task
from lfk.engine.reporting import Report
from tests.integration.engine_faults import FaultyEngine

_MARK = re.compile(rb"fault:([a-z]+)")


class MarkedEngine(FaultyEngine):
    """See the module."""

    def run(self, task: Task, report: Report) -> Outcome:
        mark = _MARK.search(task.audio.read_bytes())
        fault = mark[1].decode("ascii") if mark else None
        with Path(self._config["begun"]).open("a", encoding="ascii") as begun:
            begun.write(f"{fault} {os.getpid()}\n")
        if fault == "room":
            with tempfile.TemporaryFile(dir=task.scratch) as decoded:
                decoded.write(task.audio.read_bytes())
        options = {} if fault in (None, "room") else {"fault": fault}
        outcome = super().run(replace(task, options=options), report)
        return replace(outcome, provenance={"engine": "faulty", "model": task.model, "revision": str(os.getpid())})


def build(config: Mapping[str, Any]) -> MarkedEngine:
    """As :mod:`lfk.engine.child` calls it; ``begun`` is the file to write into."""
    return MarkedEngine(config)
