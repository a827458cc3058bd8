"""Look for what is not as it should be in the store: a line for each finding, a summary, exit code 1 if there is any.

missing: audio without a transcript. stale: audio that changed since. orphan: transcripts whose audio is gone.
half-written: files without a manifest, manifests whose files are missing or of another size, results that never became
a transcript. failed: recorded failures (dead letters). refused: audio whose path asks for what is not offered.
Changes nothing, except that batches which are answered whole are removed.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = ("deep",)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but settings."""


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Go through everything once."""
    from lfk import wiring
    from lfk.cli.batch_display import show_check_summary, show_finding
    from lfk.cli.signals import stop_on_signal

    with stop_on_signal() as stop:
        store = wiring.open_store(settings)
        summary = wiring.open_check(settings, store, lambda finding: show_finding(console, finding), stop).run()
    show_check_summary(console, summary, stopped=stop.is_set())
    if stop.is_set():
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if summary.found else ExitCode.OK
