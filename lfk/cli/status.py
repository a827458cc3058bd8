"""Where the work stands: what waits in files and audio hours, how fast it goes and how long it will take, failures by
cause, what each hub is at (stage and part of the audio), and open batches.

Audio hours are what references tell; where they tell nothing they are judged by the size of files, as transcripts of
such files have it, and marked with ~.
With --live it goes on: a table on a terminal, else one look after the other.
With --batch ID it tells how far one batch is: asked, done, failed, outstanding, and how long it will take.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode, Unreachable
from lfk.settings import Settings

SETTINGS = ("live", "batch")


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
