"""Send references for audio that is in the store already.

A URI is an object or, with a / at its end, everything below a prefix; names without s3:// or file:// are below the
audio root (./ is all of it). What is no media below a prefix is skipped and counted. A list of either, one a line,
comes from --from-file FILE or, with -, from standard input; it is looked up folder by folder, or not at all (--trust).
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lfk.cli.console import Console
from lfk.core.errors import ExitCode, FileUnreadable, UsageError
from lfk.settings import Settings

if TYPE_CHECKING:
    from lfk.roles.submit import SubmitSummary, Submitter

SETTINGS = ("approach", "model", "from_file", "trust", "dry_run")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The objects, and options of the jobs."""
    from lfk.cli.options import add_option

    parser.add_argument("uris", nargs="*", metavar="URI", help="object, prefix ending in /, or - for a list")
    add_option(parser)


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Send, and wait until everything is confirmed."""
    from lfk import wiring
    from lfk.cli.options import REFERENCES_WAIT
    from lfk.cli.signals import stop_on_signal
    from lfk.cli.submit_display import show_submitted, show_summary
    from lfk.roles.submit import Submitted

    uris, lists = _names(arguments.uris, settings)
    with stop_on_signal() as stop, wiring.open_telemetry(settings, "submit", serves=False) as telemetry:
        store = wiring.open_store(settings)

        def show(item: Submitted) -> None:
            show_submitted(console, item, dry_run=settings.dry_run)

        with wiring.open_submit(settings, store, show, stop, telemetry.tracer) as submitter:
            summary = _submit(submitter, uris, lists, stop)
        show_summary(console, summary, dry_run=settings.dry_run)
        if summary.outage is not None:
            console.error(summary.outage)
            return summary.outage.exit_code
        if stop.is_set():
            return ExitCode.INTERRUPTED
    if summary.sent and not settings.dry_run and wiring.references_wait(settings, store):
        console.say(REFERENCES_WAIT)
    return ExitCode.SOME_FAILED if summary.failed else ExitCode.OK


def _names(uris: list[str], settings: Settings) -> tuple[list[str], list[str]]:
    """What is named here, and the lists that name more."""
    lists = [settings.from_file] if settings.from_file else []
    if "-" in uris and "-" not in lists:
        lists.append("-")
    named = [uri for uri in uris if uri != "-"]
    if not named and not lists:
        raise UsageError("nothing is named", hint="name objects or prefixes, or a list with --from-file FILE or -")
    return named, lists


def _submit(submitter: Submitter, uris: list[str], lists: list[str], stop: threading.Event) -> SubmitSummary:
    def groups() -> Iterator[list[str]]:
        from lfk.roles.names import gathered, lines_of

        yield from ([uri] for uri in uris)
        for name in lists:
            with _opened(name) as stream:
                yield from gathered(lines_of(stream), stop)

    return submitter.run_groups(groups())


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as stream:
            yield stream
    except OSError as error:
        raise FileUnreadable(f"the list {name} cannot be read: {error.strerror}") from error
