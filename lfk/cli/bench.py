"""How fast this machine transcribes: the same recordings through plain WhisperX, one engine, and one for each core.

Takes the bundled speech, or the audio and video files that you name, a few times over; only text is made. Every way is
loaded beforehand and they take turns, so figures compare; other work on the machine slows all of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = ("bench_rounds", "bench_files", "model", "workers", "threads", "device")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The user's own audio."""
    parser.add_argument("files", nargs="*", metavar="AUDIO", help="your own files instead of the bundled speech")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Measure, and show the table."""
    from itertools import cycle, islice

    from lfk.cli.signals import stop_on_signal
    from lfk.roles.bench import measure
    from lfk.roles.demo import recordings
    from lfk.wiring.bench import bench_ways

    files = recordings(arguments.files)
    audio: list[Path] = list(islice(cycle(files), max(settings.bench_files, len(files))))
    with stop_on_signal() as stop, bench_ways(settings) as (ways, model):
        console.say(f"{len(audio)} recordings, {model}; engines load, and each has a job that is not counted …")

        def told(name: str, turn: int, seconds: float) -> None:
            console.say(f"  round {turn} of {settings.bench_rounds}: {name}: {seconds:.1f} s")

        timed = measure(ways, audio, model, settings.bench_rounds, stop, told)
        interrupted = stop.is_set()
    first = timed[0] if timed else None
    for one in timed:
        ratio = one.times_as_fast(first) if first else 1.0
        fields = {
            "way": one.name,
            "model": model,
            "seconds": [round(value, 3) for value in one.seconds],
            "audio_seconds": round(one.audio, 1),
            "speed": round(one.speed, 2),
            "ratio": round(ratio, 3),
        }
        spread = f"{min(one.seconds):.1f}–{max(one.seconds):.1f} s"
        console.result("way", fields, f"{one.name:<40} {one.speed:6.1f} × real time  {ratio:5.2f}×  {spread}")
    return ExitCode.INTERRUPTED if interrupted else ExitCode.OK
