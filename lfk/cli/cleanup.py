"""Delete recordings whose transcript is verified: every file of it read and compared, and made of these very bytes.

Without --yes nothing is deleted: what would be is told. Stored audio is deleted where CENTRAL_BACKUPS is false; a
tombstone stays, so that sync does not upload it again and a repeated reference is answered by the transcript. With
--local SRC the files of a recordings folder are deleted instead, once their stored copy is the same; give the layout,
approach and prefix that sync was given. --uploads removes what uploads of lfk left in the store when they were broken
off, and no listing shows. --lifecycle prints the rule with which S3 deletes old audio by itself.
"""

from __future__ import annotations

import argparse
import json

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

#: The longest name that is shown whole: that of a key.
_NAME = 1200

SETTINGS = (
    "cleanup_older_than",
    "cleanup_yes",
    "layout",
    "prefix",
    "approach",
    "model",
    "include",
    "exclude",
    "dry_run",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to delete."""
    parser.add_argument("--local", default="", metavar="SRC", help="delete files of this folder, not stored audio")
    parser.add_argument("--uploads", action="store_true", help="remove uploads that were broken off, not audio")
    parser.add_argument("--lifecycle", action="store_true", help="print the S3 lifecycle rule, do nothing")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """One pass."""
    from lfk.cli.signals import stop_on_signal
    from lfk.cli.sync_display import megabytes
    from lfk.roles.cleanup import Judged, Verdict
    from lfk.wiring import cleanup as wiring
    from lfk.wiring import open_store

    if arguments.lifecycle:
        rule = wiring.lifecycle(settings)
        console.result("lifecycle", json.loads(rule), rule)
        return ExitCode.OK
    real = settings.cleanup_yes and not settings.dry_run
    if arguments.uploads:
        return _uploads(settings, console, real=real)

    def show(judged: Judged) -> None:
        fields = {"name": judged.name, "verdict": judged.verdict.value, "bytes": judged.size, "why": judged.why}
        name = judged.name.replace("\n", "\\n")
        if judged.error is not None:
            console.error(judged.error, judged.name)
        elif judged.verdict is Verdict.DELETE:
            verb = "deleted" if real else "would delete"
            console.note("cleanup", {**fields, "dry_run": not real}, f"{verb}  {name}  {megabytes(judged.size)}")
        elif console.as_json or console.verbosity > 0:
            console.note("cleanup", {**fields, "dry_run": not real}, f"kept  {name}  {judged.why}")

    store = open_store(settings)
    with stop_on_signal() as stop:
        summary = wiring.clean_up(settings, store, arguments.local, show, stop)
        interrupted = stop.is_set()
    expiring = 0 if arguments.local else wiring.expiring(settings, store)
    fields = {
        "deleted": summary.deleted,
        "bytes": summary.bytes,
        "kept": summary.kept,
        "failed": summary.failed,
        "expiring": expiring,
        "dry_run": not real,
    }
    verb = "deleted" if real else "would delete"
    text = (
        f"{verb} {summary.deleted} recordings, {megabytes(summary.bytes)}; {summary.kept} kept, {summary.failed} failed"
    )
    console.result("summary", fields, text)
    if expiring:
        console.say(f"hubs delete {expiring} of them by themselves, as CENTRAL_BACKUPS was false when they transcribed")
    if summary.deleted and not settings.cleanup_yes and not settings.dry_run:
        also = "" if arguments.local or not settings.central_backups else " and CENTRAL_BACKUPS=false"
        console.say(f"nothing was deleted: run it again with --yes{also} to delete these")
    if interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if summary.failed else ExitCode.OK


def _uploads(settings: Settings, console: Console, *, real: bool) -> ExitCode:
    """Remove, or tell of, what uploads left behind."""
    from lfk.cli.sync_display import megabytes
    from lfk.core.printable import printable
    from lfk.wiring import cleanup as wiring
    from lfk.wiring import open_store

    verb = "removed" if real else "would remove"

    def show(name: str, size: int) -> None:
        fields = {"name": name, "bytes": size, "dry_run": not real}
        console.note("upload", fields, f"{verb}  {printable(name, _NAME)}  {megabytes(size)}")

    count, size = wiring.sweep_uploads(settings, open_store(settings), show)
    fields = {"uploads": count, "bytes": size, "dry_run": not real}
    console.result("summary", fields, f"{verb} {count} uploads that were broken off, {megabytes(size)}")
    if count and not settings.cleanup_yes and not settings.dry_run:
        console.say("nothing was removed: run it again with --yes to remove these")
    return ExitCode.OK
