"""Remove an audio and all that was made of it from the store, for good: transcripts, results, failures, versions.

AUDIO is a location, or a path below the audio root; with a / at its end it means all below it. Try --dry-run first. A
note stays that names nothing (a keyed hash), so that hubs and sync know it again: what was forgotten is not uploaded
or transcribed again until --lift takes the note away. Topics cannot be edited: how long they still name it is told.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from lfk.cli.console import Console
from lfk.core.errors import ExitCode, LfkError, UsageError
from lfk.settings import Settings

if TYPE_CHECKING:
    from lfk.core.forget_target import Target
    from lfk.roles.forget_topics import Remaining
    from lfk.stores.base import ObjectStore

SETTINGS = ("dry_run",)

_DAY_MS = 24 * 3600 * 1000


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to forget."""
    parser.add_argument("names", nargs="+", metavar="AUDIO", help="location, path below the audio root, or prefix/")
    # No setting: what is meant for one audio must not hold for the next one that is named.
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--lift", action="store_true", help="let it come again; brings nothing back")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Forget, then say what is left elsewhere."""
    from lfk.wiring import forget as wiring
    from lfk.wiring import open_store

    store = open_store(settings)
    wanted = wiring.meant(settings, store, arguments.names)
    if arguments.lift:
        lifted = wiring.lift(settings, store, wanted)
        console.result("lifted", {"lifted": lifted}, f"{lifted} may come again")
        return ExitCode.OK
    if not (settings.dry_run or arguments.yes):
        names = ", ".join(arguments.names[:5]) + (" …" if len(arguments.names) > 5 else "")
        if not console.ask(f"Remove {names} and all that was made of it, for good?"):
            raise UsageError("nothing was removed", hint="answer y, or give --yes")
    code = _forget(settings, store, wanted, console)
    _tell_of_topics(settings, store, wanted, console)
    return code


def _forget(settings: Settings, store: ObjectStore, wanted: Sequence[Target], console: Console) -> ExitCode:
    from lfk.cli.signals import stop_on_signal
    from lfk.roles.traces import Trace
    from lfk.wiring import forget as wiring

    verb = "would remove" if settings.dry_run else "removed"

    def show(trace: Trace) -> None:
        partly = ", the rest of it stays" if trace.content is not None else ""
        fields = {"kind": trace.kind.value, "location": str(trace.at), "dry_run": settings.dry_run}
        console.note("forget", fields, f"{verb}  {trace.kind.value}  {trace.at}{partly}")

    with stop_on_signal() as stop:
        summary = wiring.forget(settings, store, wanted, show, stop, dry_run=settings.dry_run)
    total = sum(summary.removed.values())
    kinds = ", ".join(f"{kind.value}: {count}" for kind, count in summary.removed.items())
    fields = {
        "audios": summary.audios,
        "removed": total,
        "kinds": {kind.value: count for kind, count in summary.removed.items()},
        "left": summary.left,
        "versions_held": summary.held,
        "dry_run": settings.dry_run,
    }
    text = f"{verb} {total} objects of {summary.audios} audios ({kinds})" if total else "the store holds nothing of it"
    if summary.left and not settings.dry_run:
        text += f"; {summary.left} are left: run it again"
    if summary.held:
        text += f"; {summary.held} versions stay: the bucket's object lock, or no right to delete versions, holds them"
    console.result("summary", fields, text)
    if settings.dry_run and total:
        console.say("nothing was removed: run it again with --yes in place of --dry-run")
    if summary.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if summary.held or (summary.left and not settings.dry_run) else ExitCode.OK


def _tell_of_topics(settings: Settings, store: ObjectStore, wanted: Sequence[Target], console: Console) -> None:
    from lfk.wiring import forget as wiring

    try:
        for one in wiring.still_in_topics(settings, store, wanted, dry_run=settings.dry_run):
            fields = {
                "topic": one.topic,
                "records": one.records,
                "retention_ms": one.retention_ms,
                "until": one.until,
                "trimmed": one.trimmed,
            }
            console.note("topic", fields, _sentence(one))
    except LfkError as error:
        console.error(error, "how long topics still name it could not be asked")


def _sentence(one: Remaining) -> str:
    if not one.records:
        return f"{one.topic}: no record names it"
    count = f"{one.topic}: " + ("1 record names it" if one.records == 1 else f"{one.records} records name it")
    if one.trimmed:
        return f"{count}, and go once hubs have answered what is before them: run `lfk forget` again by then"
    if one.until is None or one.retention_ms is None:
        return f"{count} and are kept without limit (retention.ms=-1): set a retention, or delete up to their offset"
    by = datetime.fromtimestamp(one.until / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return f"{count}; they expire by {by} (retention {one.retention_ms / _DAY_MS:.1f} days)"
