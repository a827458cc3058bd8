"""Upload what is new or changed in a folder, then send a reference for each file.

SRC/<approach>/<model>/... tells what is asked for; anything else gets the defaults. Unchanged files are not sent
again. Several files go at a time; a file that fails is named, and the others go on. Stopping it (Ctrl-C, SIGTERM)
is safe at any time: the next pass does what was left. With --watch it goes on as a service: it waits for files to be
closed, and for store and broker to come back.
"""

from __future__ import annotations

import argparse
import threading
from typing import TYPE_CHECKING

from lfk.cli.console import Console
from lfk.core.errors import ExitCode, UsageError
from lfk.settings import Settings

if TYPE_CHECKING:
    from lfk.roles.sync_job import SyncJob
    from lfk.stores.base import ObjectStore

SETTINGS = (
    "watch",
    "layout",
    "prefix",
    "approach",
    "model",
    "include",
    "exclude",
    "transfers",
    "extract_audio",
    "extract_format",
    "delete_source",
    "move_to",
    "after",
    "done_marker",
    "marker_name",
    "health",
    "dry_run",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, and options of the jobs."""
    from lfk.cli.options import add_option

    parser.add_argument("src", nargs="?", default="", metavar="SRC", help="folder with recordings [SOURCE_FOLDER]")
    add_option(parser)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """One pass, or a service."""
    from lfk import wiring
    from lfk.cli.signals import stop_on_signal

    if settings.watch and settings.dry_run:
        raise UsageError("--watch and --dry-run exclude each other", hint="leave one of them out")
    job = wiring.sync_job(settings, arguments.src)
    with stop_on_signal() as stop:
        if settings.watch:
            return _watch(settings, job, console, stop)
        store = wiring.open_store(settings)
        return _pass(settings, job, store, console, stop)


def _pass(settings: Settings, job: SyncJob, store: ObjectStore, console: Console, stop: threading.Event) -> ExitCode:
    from lfk import wiring
    from lfk.cli.options import REFERENCES_WAIT
    from lfk.cli.sync_display import SyncDisplay

    with (
        wiring.open_telemetry(settings, "sync", serves=False) as telemetry,
        console.progress("syncing") as bar,
    ):
        display = SyncDisplay(console, bar, dry_run=job.dry_run)
        with wiring.open_sync(settings, job, store, display, stop, telemetry.tracer) as sync:
            summary = sync.run()
    display.finish(summary)
    if summary.outage is not None:
        console.error(summary.outage)
        return summary.outage.exit_code
    if stop.is_set():
        return ExitCode.INTERRUPTED
    if summary.referred and wiring.references_wait(settings, store):
        console.say(REFERENCES_WAIT)
    lacks = summary.marking is not None and summary.marking.lacks
    return ExitCode.SOME_FAILED if summary.failed or lacks else ExitCode.OK


def _watch(settings: Settings, job: SyncJob, console: Console, stop: threading.Event) -> ExitCode:
    from lfk import wiring
    from lfk.cli.sync_display import SyncDisplay

    display = SyncDisplay(console, None, dry_run=False)
    with wiring.open_telemetry(settings, "sync") as telemetry:
        store = wiring.open_store(settings)
        console.say(f"watching {job.source}; audio goes to {job.roots.audio}")
        display.finish(wiring.open_watcher(settings, job, store, display, stop, telemetry).run())
    return ExitCode.OK
