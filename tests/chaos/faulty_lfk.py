"""``lfk`` whose engines are :mod:`tests.chaos.marked_engine`'s; all else is as ever.

    python -m tests.chaos.faulty_lfk FILE hub --workers 2

FILE is where engines write what they begin. Nothing in lfk itself knows of this.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from lfk.cli.main import main
from lfk.engine.base import ModelIdentity
from lfk.engine.child_process import Launch
from lfk.engine.process import ProcessEngine
from lfk.engine.surroundings import engine_environment
from lfk.settings import Settings
from lfk.wiring import engines, hubs


class MarkedKind:
    """Engines with the limits of the settings."""

    name = "faulty"

    def __init__(self, settings: Settings, begun: str, temporary: Path | None) -> None:
        environment = engine_environment(os.environ, threads=1)
        self._launch = Launch("tests.chaos.marked_engine:build", environment, {"begun": begun}, temporary)
        self._limits = engines.engine_limits(settings)

    def identify(self, model: str) -> ModelIdentity:
        return ModelIdentity(model, "faulty-1")

    def start(self) -> ProcessEngine:
        return ProcessEngine(self._launch, self._limits)


def run(begun: str, arguments: list[str]) -> int:
    """The command, with the engine swapped."""

    def engine_kind(settings: Settings, _store: Any = None, temporary: Path | None = None) -> MarkedKind:
        return MarkedKind(settings, begun, temporary)

    hubs.engine_kind = engine_kind
    return main(arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
