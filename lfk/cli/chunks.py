"""The audio-driven way: audio travels in messages, for machines that reach Kafka and no store.

  send FILE…       split files into chunks for the topic LFK_TOPIC_CHUNKS
  gateway          join the chunks of each audio, store it whole, and send its reference; runs until it is stopped,
                   or until nothing has come for --exit-when-idle seconds; several share the work

A FILE below SOURCE_FOLDER is named by its path in it, any other by its path as given (an absolute one by its last name
alone); the name tells approach and model as in `lfk sync`. Chunks of the older tool's producers are joined, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lfk.cli.console import Console
from lfk.core.errors import ExitCode, UsageError
from lfk.settings import Settings

SETTINGS = ("approach", "model", "layout", "prefix", "chunk_timeout", "exit_when_idle", "health", "dry_run")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, the files, and options of the jobs."""
    from lfk.cli.options import add_option

    parser.add_argument("action", choices=tuple(_ACTIONS), help="what to do")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="audio or video files to send")
    add_option(parser)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """One action."""
    return _ACTIONS[arguments.action](arguments, settings, console)


def _send(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    from lfk.cli.chunks_display import show_send_summary, show_sent
    from lfk.cli.signals import stop_on_signal
    from lfk.roles.chunks.sending import Sent
    from lfk.wiring import chunks as wiring

    if not arguments.files:
        raise UsageError("no file is named", hint="name the files to send: `lfk chunks send FILE…`")

    def show(sent: Sent) -> None:
        show_sent(console, sent, dry_run=settings.dry_run)

    with stop_on_signal() as stop, console.progress("sending") as bar:
        bar.total(size=sum(_size(path) for path in arguments.files), count=len(arguments.files))
        with wiring.open_chunk_sender(settings, show, stop, lambda size: bar.advance(size=size)) as sender:
            summary = sender.run(arguments.files)
        interrupted = stop.is_set()
    show_send_summary(console, summary, dry_run=settings.dry_run)
    if summary.outage is not None:
        console.error(summary.outage)
        return summary.outage.exit_code
    if interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if summary.failed else ExitCode.OK


def _gateway(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    from lfk.cli.chunks_display import show_gateway_summary, show_joined
    from lfk.cli.signals import stop_on_signal
    from lfk.wiring import chunks as wiring
    from lfk.wiring import open_store, open_telemetry, store_root

    if arguments.files or settings.dry_run:
        raise UsageError("the gateway takes neither files nor --dry-run")
    with stop_on_signal() as stop, open_telemetry(settings, "chunks") as telemetry:
        store = open_store(settings)
        with wiring.open_gateway(
            settings, store, stop, lambda outcome: show_joined(console, outcome), telemetry
        ) as gateway:
            console.say(f"gateway ready: topic {settings.topic_chunks}, store {store_root(settings)}")
            summary = gateway.run()
    show_gateway_summary(console, summary)
    return ExitCode.SOME_FAILED if summary.failed else ExitCode.OK


def _size(path: Path) -> int:
    """For the bar alone: what cannot be read is told of when it is sent."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


_ACTIONS = {"send": _send, "gateway": _gateway}
