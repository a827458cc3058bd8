"""Show the settings in force and check what they point at: each line is ok, or says what to do.

Settings with their defaults are shown with -v, secrets never. --role leaves out what the keys of that role need not
reach (docs/access.md); without it, everything is looked at, for which an operator's keys are needed.

Exit code 0: everything that is needed works (warnings included), 2: something is wrong with the configuration,
3: a service cannot be reached.
"""

from __future__ import annotations

import argparse

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.settings import Settings

SETTINGS = ()

#: Those whose keys reach less than an operator's.
ROLES = ("producer", "hub", "listen", "gateway", "consumer", "web")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Whose machine it is."""
    parser.add_argument("--role", choices=ROLES, help="look at what a machine of this role needs, and at nothing else")


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
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
    told: set[str] = set()
    for check in examine(wiring.doctor_looks(settings, arguments.role)):
        checks.append(check)
        # One cause has many looks fail; what to do about it is said once.
        advice = f"  - {check.hint}" if check.hint and check.hint not in told else ""
        text = "the same" if check.verdict is Verdict.FAIL and check.text in told else check.text
        told |= {check.hint, check.text}
        fields = {"name": check.name, "verdict": check.verdict.value, "text": check.text, "hint": check.hint}
        # Quiet leaves out what is well.
        show = console.note if check.verdict is Verdict.OK else console.result
        show("check", fields, f"{check.verdict.value:4}  {check.name:12}  {text}{advice}")
    failures = [check for check in checks if check.verdict is Verdict.FAIL]
    warnings = sum(check.verdict is Verdict.WARN for check in checks)
    text = f"{len(checks)} checks: {len(failures)} failed, {warnings} warnings"
    console.note("summary", {"checks": len(checks), "failed": len(failures), "warnings": warnings}, text)
    return max((check.exit_code for check in failures), default=ExitCode.OK)
