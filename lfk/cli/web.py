"""A page for people: drop a recording and watch it become a transcript, read, listen, search, retry what has failed.

It only shows until LFK_WEB_TOKEN is set; whoever shows that token may add recordings, name speakers and retry.
It listens on this machine alone unless LFK_WEB says otherwise, and does not encrypt: a reverse proxy belongs in front
of it then, and the names under which it is reached into LFK_WEB_HOSTS. docs/web.md shows it.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = ("web", "web_hosts", "web_max_upload", "prefix", "health")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but settings."""


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Serve until stopped."""
    from lfk import wiring
    from lfk.cli.signals import stop_on_signal

    with stop_on_signal() as stop, wiring.open_telemetry(settings, "web") as telemetry:
        store = wiring.open_store(settings)
        with wiring.open_web(settings, store, telemetry) as server:
            root = wiring.store_root(settings)
            takes = "changes with the token" if settings.web_token else "no changes, as LFK_WEB_TOKEN is not set"
            text = f"http://{server.address}/ shows {root} to whoever reaches it, and takes {takes}"
            fields = {"address": server.address, "store": str(root), "writable": bool(settings.web_token)}
            console.note("serving", fields, text)
            stop.wait()
    console.note("stopped", {}, "stopped")
    return ExitCode.OK
