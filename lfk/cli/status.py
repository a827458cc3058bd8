"""Where the work stands: references that wait, what each hub is at (stage and part of the audio), failures."""

from __future__ import annotations

import argparse
import dataclasses

from lfk.cli.console import Console
from lfk.core.errors import ExitCode
from lfk.core.printable import printable
from lfk.settings import Settings

SETTINGS = ()

#: What a hub says of its trouble; longer than that, `--json` tells.
_LINE = 300


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but settings."""


def run(arguments: argparse.Namespace, settings: Settings, console: Console) -> ExitCode:
    """Look once."""
    from lfk import wiring
    from lfk.roles.status import look

    store = wiring.open_store(settings)
    topics = (settings.topic_audio, settings.topic_retry, settings.topic_bulk)
    status = look(wiring.find_broker(settings, store), store, wiring.roots(settings), settings.group, topics)
    lines = [f"waiting   {count:6}  {topic}" for topic, count in status.waiting.items()]
    if not status.waiting:
        lines.append("waiting        -  no broker runs on this store")
    lines.append(f"failed    {status.failures:6}  recorded in the store")
    lines.extend(["", f"{len(status.hubs)} hub(s)"])
    for hub in status.hubs:
        lines.append(f"  {hub.host}:{hub.pid}  {hub.engines} engines, {hub.done} done, {hub.failed} failed")
        if hub.trouble:
            lines.append(f"    takes no work: {printable(hub.trouble, _LINE)}")
        lines.extend(
            f"    {job['stage']:10} {job['part']:4.0%}  {job['seconds']:6.1f} s  {job['audio']}" for job in hub.jobs
        )
    fields = {
        "waiting": dict(status.waiting),
        "failures": status.failures,
        "hubs": [dataclasses.asdict(hub) for hub in status.hubs],
    }
    console.result("status", fields, "\n".join(lines))
    return ExitCode.OK
