"""Upload what is new or changed in a folder, then send a reference for each file.

SRC/<approach>/<model>/... tells what is asked for; anything else gets the defaults. Unchanged files are not sent
again. Several files go at a time; a file that fails is named, and the others go on. Stopping it (Ctrl-C, SIGTERM)
is safe at any time: the next pass does what was left.
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
    "dry_run",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, and options of the jobs."""
    from lfk.cli.options import add_option

    parser.add_argument("src", nargs="?", default="", metavar="SRC", help="folder with recordings [SOURCE_FOLDER]")
    add_option(parser)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """One pass."""
    from lfk import wiring
    from lfk.cli.options import REFERENCES_WAIT
    from lfk.cli.signals import stop_on_signal
    from lfk.cli.sync_display import SyncDisplay

    job = wiring.sync_job(settings, arguments.src)
    with stop_on_signal() as stop:
        store = wiring.open_store(settings)
        with console.progress("syncing") as bar:
            display = SyncDisplay(console, bar, dry_run=job.dry_run)
            with wiring.open_sync(settings, job, store, display, stop) as sync:
                summary = sync.run()
        display.finish(summary)
        if summary.outage is not None:
            console.error(summary.outage)
            return summary.outage.exit_code
        if stop.is_set():
            return ExitCode.INTERRUPTED
    if summary.referred and wiring.references_wait(settings, store):
        console.say(REFERENCES_WAIT)
    return ExitCode.SOME_FAILED if summary.failed else ExitCode.OK
