"""How long commands and engines take to be ready, on a warm disk cache; beside whisperx's."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from bench.harness.case import Case, Measured, Size, alternate
from bench.harness.figures import Figure, Round, Target, ratio
from bench.harness.rival import OFFLINE, command, model_path, timed
from lfk.engine.limits import EngineLimits
from lfk.engine.whisperx_kind import WhisperXKind, WhisperXPlan

HELP, THEIR_HELP = "lfk --help", "whisperx --help"
ENGINE, BARE = "lfk's engine: import and load", "whisperx: import and load"
READY_SECONDS = 120.0
#: What a user's script does before its first file.
_BARE = "import whisperx; whisperx.load_model({!r}, 'cpu', compute_type='int8', language='en', threads=1)"


def run(folder: Path, size: Size) -> Measured:
    """See the module."""
    whisperx = command("whisperx")
    environ = {**os.environ, **OFFLINE}
    folder.mkdir(exist_ok=True)
    sides = {
        HELP: lambda _turn: timed([sys.executable, "-m", "lfk", "--help"]),
        ENGINE: lambda _turn: _engine(),
        BARE: lambda _turn: timed([sys.executable, "-W", "ignore", "-c", _BARE.format(model_path())], environ),
    }
    if whisperx is not None:
        sides[THEIR_HELP] = lambda _turn: timed([whisperx, "--help"], environ)
    for side in sides.values():  # fills the disk cache
        side(0)
    done = alternate(sides, size.turns(3))
    figures = [
        Figure("`lfk --help`", "s", [one.wall for one in done[HELP]], Target(0.25, "at most")),
        ratio("engine: import and load against bare whisperx", done[ENGINE], done[BARE], Target(1.0)),
    ]
    if THEIR_HELP in done:
        figures.insert(1, ratio("`lfk --help` against `whisperx --help`", done[HELP], done[THEIR_HELP]))
    return Measured(
        figures,
        done,
        {
            "model": "tiny.en, int8, one thread; voice activity detection loaded, too",
            "clock": "whole processes; the engine until it says that it is ready",
            "load": "is what is measured; the disk cache is warm",
        },
        [] if whisperx else ["the whisperx command"],
    )


def _engine() -> Round:
    """One engine, started as a hub starts it."""
    before = os.times()
    began = time.perf_counter()
    plan = WhisperXPlan(models=Path("models"), threads=1, preload=("tiny.en",))
    engine = WhisperXKind(plan, EngineLimits(), dict(os.environ)).start()
    try:
        while not engine.ready:
            if time.perf_counter() - began > READY_SECONDS:
                raise RuntimeError("the engine does not come up")
            time.sleep(0.01)
        wall = time.perf_counter() - began
    finally:
        engine.close()
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Round(wall, used)


CASE = Case("startup", "start of commands and engines", 1.4, run)
