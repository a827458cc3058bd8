"""What transcribing has taken: files, hours of audio, engine time, speed (RTFx) and cost, by approach and model.

Counted from the transcripts in the store, those since --from if it is given. RTFx is audio time by engine time. Cost is
engine time by --price, what one engine costs an hour: the price of a machine by the number of its workers.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = ("report_style", "price_hour", "currency", "image_bytes", "start_from")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but settings."""


def run(_arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Count, and show the table."""
    from lfk.cli.signals import stop_on_signal
    from lfk.cli.sync_display import megabytes
    from lfk.core.report import as_csv, as_markdown
    from lfk.wiring import open_store
    from lfk.wiring.report import tally

    price = settings.price_hour
    with stop_on_signal() as stop:
        lines = tally(settings, open_store(settings), stop).lines()
        if stop.is_set():
            return ExitCode.INTERRUPTED
    if console.as_json:
        about = {"currency": settings.currency or None, "image_bytes": settings.image_bytes or None}
        for line in lines:
            kind = "summary" if line is lines[-1] else "line"
            console.result(kind, {**line.cells(price), **(about if kind == "summary" else {})}, "")
    elif settings.report_style == "csv":
        console.result("report", {}, as_csv(lines, price))
    else:
        console.result("report", {}, as_markdown(lines, price, settings.currency))
        if settings.image_bytes:
            console.say(f"\nContainer image: {megabytes(settings.image_bytes)}")
    return ExitCode.OK
