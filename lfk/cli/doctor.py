"""Show the settings in force and check what they point at: each line is ok, or says what to do.

Settings with their defaults are shown with -v, secrets never.

Exit code 0: everything that is needed works (warnings included), 2: something is wrong with the configuration,
3: a service cannot be reached.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = ()


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but settings."""


def run(_arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Show, then check."""
    from lfk import wiring
    from lfk.roles.doctor import Check, Verdict, examine

    group, untold = "", 0
    for one in wiring.shown_settings(settings):
        if one.source == "default" and not console.verbosity and not console.as_json:
            untold += 1
            continue
        if one.group != group:
            group = one.group
            console.say(f"[{group}]")
        fields = {"name": one.name, "value": one.value, "source": one.source, "group": one.group}
        console.note("setting", fields, f"  {one.name}={one.value}  ({one.source})")
    if untold:
        console.say(f"{untold} settings have their defaults (-v shows them)")
    console.say()
    checks: list[Check] = []
    for check in examine(wiring.doctor_looks(settings)):
        checks.append(check)
        advice = f"  - {check.hint}" if check.hint else ""
        fields = {"name": check.name, "verdict": check.verdict.value, "text": check.text, "hint": check.hint}
        # Quiet leaves out what is well.
        show = console.note if check.verdict is Verdict.OK else console.result
        show("check", fields, f"{check.verdict.value:4}  {check.name:12}  {check.text}{advice}")
    failures = [check for check in checks if check.verdict is Verdict.FAIL]
    warnings = sum(check.verdict is Verdict.WARN for check in checks)
    text = f"{len(checks)} checks: {len(failures)} failed, {warnings} warnings"
    console.note("summary", {"checks": len(checks), "failed": len(failures), "warnings": warnings}, text)
    return max((check.exit_code for check in failures), default=ExitCode.OK)
