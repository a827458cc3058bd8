"""Transcribe what is referenced: read references, fetch audio, run the engines, write results, announce them.

Runs until it is stopped (SIGTERM or Ctrl-C finishes what runs within LFK_GRACE seconds), until --max-jobs are
answered, or until nothing has come for --exit-when-idle seconds. Without BOOTSTRAP_SERVERS it joins the embedded
broker of a running `lfk up`, or hosts one.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = ("workers", "threads", "device", "max_jobs", "exit_when_idle", "health")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but settings."""


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Run one hub."""
    from lfk import wiring
    from lfk.cli.answers import Answers, show_summary
    from lfk.cli.signals import stop_on_signal

    with stop_on_signal() as stop, wiring.open_telemetry(settings, "hub") as telemetry:
        store = wiring.open_store(settings)
        with (
            wiring.running_broker(settings, store) as broker,
            wiring.open_hub(settings, store, broker, stop, Answers(console).show, telemetry) as hub,
        ):
            console.say(f"hub ready: broker {broker.address}, store {wiring.store_root(settings)}")
            summary = hub.run()
    show_summary(console, summary)
    return ExitCode.SOME_FAILED if summary.failed else ExitCode.OK
