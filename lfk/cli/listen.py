"""Send references for what others upload: aws cli, rclone, a browser, anything that writes into the audio root.

The store tells of new objects: MinIO by itself, AWS S3 through an SQS queue (bare, SNS or EventBridge events), either
of them through a webhook. What no notification told of is found by looking into the store, at the start and from time
to time. Runs until it is stopped, and waits for store and broker to come back. With --dry-run it looks into the store
once, tells what it would send, and takes nothing from a queue. docs/listen.md shows the set-up.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = (
    "listen_source",
    "listen_on",
    "marker_name",
    "listen_reconcile",
    "listen_queue",
    "webhook_address",
    "health",
    "dry_run",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but settings."""


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Listen until stopped."""
    from lfk import wiring
    from lfk.cli.listen_display import ListenDisplay
    from lfk.cli.options import REFERENCES_WAIT
    from lfk.cli.signals import stop_on_signal

    with stop_on_signal() as stop, wiring.open_telemetry(settings, "listen") as telemetry:
        display = ListenDisplay(console, dry_run=settings.dry_run)
        store = wiring.open_store(settings)
        listener = wiring.open_listener(settings, store, display, stop, telemetry)
        summary = listener.preview() if settings.dry_run else listener.run()
    display.finish(summary)
    if summary.sent and not settings.dry_run and wiring.references_wait(settings, store):
        console.say(REFERENCES_WAIT)
    return ExitCode.OK
