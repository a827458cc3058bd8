"""Create the topics, the buckets or folders of the store and, with --source, source folders.

May be run again at any time: what is there is left as it is, and what about it will cause trouble is said.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = ("partitions", "replication", "dry_run")

#: The folder that `--source` without a name stands for.
_FROM_SETTINGS = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where source folders go."""
    parser.add_argument(
        "--source",
        dest="source_folder",
        nargs="?",
        const=_FROM_SETTINGS,
        metavar="FOLDER",
        help="make source folders approach/model in FOLDER, or in the one of SOURCE_FOLDER",
    )


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Make what is missing."""
    from lfk import wiring

    made = failed = 0
    outcome = ExitCode.OK
    for step in wiring.init_steps(settings, arguments.source_folder):
        if step.error is not None:
            console.error(step.error, step.name)
            failed += 1
            outcome = max(outcome, step.error.exit_code)
            continue
        made += step.made
        verb = "would make" if step.made and settings.dry_run else "made" if step.made else "there already:"
        fields = {"kind": step.kind, "name": step.name, "made": step.made, "faults": list(step.faults)}
        console.note("step", fields, f"{verb} {step.kind} {step.name}")
        for fault in step.faults:
            console.warn(f"{step.kind} {step.name}: {fault}")
    if not settings.bootstrap:
        console.say("no BOOTSTRAP_SERVERS: the embedded broker makes its topics when they are first used")
    fields = {"made": made, "failed": failed, "dry_run": settings.dry_run}
    console.note("summary", fields, f"{made} {'to be made' if settings.dry_run else 'made'}, {failed} failed")
    return outcome
