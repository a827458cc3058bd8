"""Single-machine service: drop a recording into the folder, find its transcript in the store. Nothing else runs.

Watches SRC, uploads what is complete into the store, transcribes it, and says so. Hosts the embedded broker unless
BOOTSTRAP_SERVERS names a Kafka; other commands on the same store find it by themselves. Stops cleanly on Ctrl-C or
SIGTERM; what was left is done at the next start.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = (
    "layout",
    "prefix",
    "approach",
    "model",
    "include",
    "exclude",
    "transfers",
    "workers",
    "threads",
    "device",
    "health",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, and options of the jobs."""
    from lfk.cli.options import add_option

    parser.add_argument("src", nargs="?", default="", metavar="SRC", help="folder to watch [SOURCE_FOLDER]")
    add_option(parser)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Run until stopped."""
    from lfk import wiring
    from lfk.cli.answers import Answers, show_summary
    from lfk.cli.signals import stop_on_signal
    from lfk.cli.sync_display import SyncDisplay

    job = wiring.sync_job(settings, arguments.src)
    with stop_on_signal() as stop, wiring.open_telemetry(settings, "up") as telemetry:
        store = wiring.open_store(settings)
        display = SyncDisplay(console, None, dry_run=False)
        with (
            wiring.running_broker(settings, store) as broker,
            wiring.open_hub(settings, store, broker, stop, Answers(console).show, telemetry) as hub,
            wiring.watching(settings, job, store, display, stop, telemetry),
        ):
            console.say(f"watching {job.source}; transcripts go to {wiring.roots(settings).transcripts}")
            summary = hub.run()
    show_summary(console, summary)
    return ExitCode.OK
