"""Send references for audio that is in the store already.

A URI is an object or, with a / at its end, everything below a prefix; names without s3:// or file:// are below the
audio root (./ is all of it). What is no media below a prefix is skipped and counted.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = ("approach", "model", "dry_run")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The objects, and options of the jobs."""
    from lfk.cli.options import add_option

    parser.add_argument("uris", nargs="+", metavar="URI", help="object, or prefix ending in /")
    add_option(parser)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Send, and wait until everything is confirmed."""
    from lfk import wiring
    from lfk.cli.options import REFERENCES_WAIT
    from lfk.cli.signals import stop_on_signal
    from lfk.cli.submit_display import show_submitted, show_summary
    from lfk.roles.submit import Submitted

    with stop_on_signal() as stop:
        store = wiring.open_store(settings)

        def show(item: Submitted) -> None:
            show_submitted(console, item, dry_run=settings.dry_run)

        with wiring.open_submit(settings, store, show, stop) as submitter:
            summary = submitter.run(arguments.uris)
        show_summary(console, summary, dry_run=settings.dry_run)
        if summary.outage is not None:
            console.error(summary.outage)
            return summary.outage.exit_code
        if stop.is_set():
            return ExitCode.INTERRUPTED
    if summary.sent and not settings.dry_run and wiring.references_wait(settings, store):
        console.say(REFERENCES_WAIT)
    return ExitCode.SOME_FAILED if summary.failed else ExitCode.OK
