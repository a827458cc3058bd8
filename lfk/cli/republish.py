"""Send references again for audio that is in the store, on the bulk topic, as one batch.

PREFIX is below the audio root, as in submit; without it all of it is meant. --only chooses by state: missing (no
transcript of the audio as it is now, and what open batches still ask for), stale (the audio changed since its
transcript, or files of that are gone), failed (dead letters, in their own words), or several, with commas; all is the
default. --dry-run tells how much it is and how long it will take. One that was interrupted goes on with --resume BATCH.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode, UsageError
from lfk.settings import Settings

SETTINGS = (
    "only",
    "approach",
    "model",
    "force",
    "since",
    "until",
    "include",
    "exclude",
    "limit",
    "resume",
    "dry_run",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where to look, and options of the jobs."""
    from lfk.cli.options import add_option

    parser.add_argument("prefix", nargs="?", default="", metavar="PREFIX", help="only audio below this prefix")
    add_option(parser)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Send, and wait until everything is confirmed."""
    from lfk import wiring
    from lfk.cli.batch_display import RepublishDisplay
    from lfk.cli.options import REFERENCES_WAIT
    from lfk.cli.signals import stop_on_signal

    if settings.resume and (settings.dry_run or arguments.prefix):
        raise UsageError("--resume goes on as the batch began", hint="leave PREFIX and --dry-run out")
    with stop_on_signal() as stop, wiring.open_telemetry(settings, "republish", serves=False) as telemetry:
        store = wiring.open_store(settings)
        display = RepublishDisplay(console, dry_run=settings.dry_run)
        chosen = None if settings.resume else wiring.chosen(settings, arguments.prefix)
        with wiring.open_republish(settings, store, display, stop, telemetry.tracer) as republisher:
            summary = republisher.resume(settings.resume) if chosen is None else republisher.run(chosen)
        estimate = wiring.estimated(settings, store, display.chosen) if settings.dry_run else None
    display.finish(summary, estimate)
    if summary.outage is not None:
        console.error(summary.outage)
        return summary.outage.exit_code
    if stop.is_set():
        return ExitCode.INTERRUPTED
    if summary.sent and not settings.dry_run and wiring.references_wait(settings, store):
        console.say(REFERENCES_WAIT)
    return ExitCode.SOME_FAILED if summary.failed else ExitCode.OK
