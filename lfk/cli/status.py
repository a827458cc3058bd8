"""Where the work stands: what waits in files and audio hours, how fast it goes and how long it will take, failures by
cause, what each hub is at (stage and part of the audio), and open batches.

Audio hours are what references tell; where they tell nothing they are judged by the size of files, as transcripts of
such files have it, and marked with ~.
With --live it goes on: a table on a terminal, else one look after the other.
With --batch ID it tells how far one batch is: asked, done, failed, outstanding, and how long it will take.
With --serve it shows nothing, and serves what waits as metrics at --health: for autoscalers, also while no hub runs.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lfk.cli.console import Console
from lfk.core.errors import ExitCode, Unreachable, UsageError
from lfk.settings import Settings

if TYPE_CHECKING:
    from lfk.stores.base import ObjectStore

SETTINGS = ("live", "batch", "status_serve", "health")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but settings."""


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Look once, or until stopped."""
    from lfk import wiring
    from lfk.cli.batch_display import show_batch
    from lfk.cli.signals import stop_on_signal
    from lfk.cli.status_display import fields_of, lines_of

    store = wiring.open_store(settings)
    if settings.batch:
        show_batch(console, *wiring.look_at_batch(settings, store, settings.batch))
        return ExitCode.OK
    if settings.status_serve:
        return _serve(settings, store)
    lengths = wiring.open_lengths(settings, store)
    with stop_on_signal() as stop, console.screen() if settings.live else console.plain() as show:
        while True:
            try:
                looked = wiring.look_around(settings, store, lengths)
            except Unreachable as error:
                if not settings.live:
                    raise
                show("away", {"code": error.code, "message": error.message}, f"{error.message}; it is looked again")
            else:
                show("status", fields_of(*looked), "\n".join(lines_of(*looked)))
            if not settings.live or stop.wait(settings.live_seconds):
                return ExitCode.OK


def _serve(settings: Settings, store: ObjectStore) -> ExitCode:
    """Serve what waits until stopped."""
    if not settings.health:
        raise UsageError("--serve needs an address", hint="set LFK_HEALTH, or --health 0.0.0.0:8080")
    from lfk import wiring
    from lfk.cli.signals import stop_on_signal

    with (
        stop_on_signal() as stop,
        wiring.open_telemetry(settings, "status") as telemetry,
        wiring.serve_backlog(settings, store, telemetry.page),
    ):
        stop.wait()
    return ExitCode.OK
