"""Dead letters: references that have failed for good, as the store records them. No topic is needed for that.

  list             one line each, newest last, and how many have which cause
  show EVENT…      all that is known of it: error, what to do, where it arrived, the message
  retry EVENT…     send its reference again, as a new one; the failure goes once a hub has come through with it
  discard EVENT…   forget the failure; `lfk republish --only missing` then finds the audio again

EVENT is an event id or the beginning of one. Instead of events, --cause, --key, --since and --until narrow down which
failures are meant; --all means every one. Of a --limit, list and show take the newest, retry and discard the oldest.
A retry asks for the same as before, unless --approach or --model say otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lfk.cli.console import Console
from lfk.core.errors import ExitCode, UsageError
from lfk.settings import Settings

if TYPE_CHECKING:
    from lfk.roles.dead_letters import Choice, Handled, Tally

SETTINGS = ("dlq_causes", "dlq_key", "since", "until", "limit", "approach", "model", "dlq_bulk", "dry_run")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which failures."""
    parser.add_argument("action", choices=tuple(_ACTIONS), help="what to do")
    parser.add_argument("events", nargs="*", metavar="EVENT", help="event ids, or beginnings of them")
    parser.add_argument("--all", action="store_true", help="every failure")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """One action."""
    from lfk import wiring

    choice = wiring.failure_choice(settings, arguments.events)
    if arguments.all and (arguments.events or choice.only.narrows):
        raise UsageError("--all is every failure, and others are chosen as well", hint="leave one of them out")
    if arguments.action != "list" and not (arguments.all or arguments.events or choice.only.narrows):
        raise UsageError(
            f"say which failures to {arguments.action}",
            hint="name events that `lfk dlq list` shows, or use --cause, --key, --since, --until or --all",
        )
    return _ACTIONS[arguments.action](choice, settings, console)


def _list(choice: Choice, settings: Settings, console: Console) -> ExitCode:
    from lfk import wiring
    from lfk.cli.dlq_display import Causes, show_line
    from lfk.roles.dead_letters import choose

    failures = wiring.open_failures(settings, wiring.open_store(settings))
    causes = Causes()
    for found in choose(failures, choice, wiring.roots(settings).audio, newest=True):
        if found.record is not None:
            show_line(console, found.record)
        elif found.error is not None:
            console.error(found.error, found.event_id)
        causes.add(found)
    causes.show(console)
    return ExitCode.SOME_FAILED if causes.unreadable else ExitCode.OK


def _show(choice: Choice, settings: Settings, console: Console) -> ExitCode:
    from lfk import wiring
    from lfk.cli.dlq_display import show_whole
    from lfk.roles.dead_letters import choose

    failures = wiring.open_failures(settings, wiring.open_store(settings))
    failed = shown = 0
    for found in choose(failures, choice, wiring.roots(settings).audio, newest=True):
        if found.record is not None:
            if shown:
                console.say()
            shown += 1
            show_whole(console, found.record)
        elif found.error is not None:
            failed += 1
            console.error(found.error, found.event_id)
    return ExitCode.SOME_FAILED if failed else ExitCode.OK


def _retry(choice: Choice, settings: Settings, console: Console) -> ExitCode:
    from lfk import wiring
    from lfk.cli.dlq_display import show_retried, show_tally
    from lfk.cli.options import REFERENCES_WAIT
    from lfk.cli.signals import stop_on_signal
    from lfk.roles.dead_letters import choose

    def show(item: Handled) -> None:
        show_retried(console, item, dry_run=settings.dry_run)

    with stop_on_signal() as stop, wiring.open_telemetry(settings, "dlq", serves=False) as telemetry:
        store = wiring.open_store(settings)
        chosen = choose(wiring.open_failures(settings, store), choice, wiring.roots(settings).audio)
        with wiring.open_retrier(settings, store, show, stop, telemetry.tracer) as retrier:
            tally = retrier.run(chosen)
        show_tally(console, "sent", tally, dry_run=settings.dry_run)
        code = _ended(console, tally, stopped=stop.is_set())
    if tally.handled and not settings.dry_run and wiring.references_wait(settings, store):
        console.say(REFERENCES_WAIT)
    return code


def _discard(choice: Choice, settings: Settings, console: Console) -> ExitCode:
    from lfk import wiring
    from lfk.cli.dlq_display import show_discarded, show_tally
    from lfk.cli.signals import stop_on_signal
    from lfk.roles.dead_letters import discard

    def show(item: Handled) -> None:
        show_discarded(console, item, dry_run=settings.dry_run)

    with stop_on_signal() as stop:
        failures = wiring.open_failures(settings, wiring.open_store(settings))
        audio = wiring.roots(settings).audio
        tally = discard(failures, choice, audio, show, stop, dry_run=settings.dry_run)
        show_tally(console, "discarded", tally, dry_run=settings.dry_run)
        return _ended(console, tally, stopped=stop.is_set())


def _ended(console: Console, tally: Tally, *, stopped: bool) -> ExitCode:
    if tally.outage is not None:
        console.error(tally.outage)
        return tally.outage.exit_code
    if stopped:
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if tally.failed else ExitCode.OK


_ACTIONS: Mapping[str, Callable[[Choice, Settings, Console], ExitCode]] = {
    "list": _list,
    "show": _show,
    "retry": _retry,
    "discard": _discard,
}
