"""How the state of the work looks on screen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lfk.cli.batch_display import batch_fields, batch_line
from lfk.core.batch import Head, Tally
from lfk.core.printable import printable
from lfk.core.timecode import clock
from lfk.roles.backlog import Outlook
from lfk.roles.status import Status

Batches = Sequence[tuple[Head, Tally | None]]

#: A longer line is cut; `--json` tells all of it.
_LINE = 2000


def lines_of(status: Status, ahead: Outlook, batches: Batches) -> Iterator[str]:
    """A line for each thing that people ask about. Names in them are from outside, so all of it is made printable."""
    return (printable(line, _LINE) for line in _lines(status, ahead, batches))


def _lines(status: Status, ahead: Outlook, batches: Batches) -> Iterator[str]:
    for topic, count in status.waiting.items():
        yield f"waiting   {count:6}  {topic}"
    if not status.waiting:
        yield "waiting        -  no broker runs on this store"
    yield from _ahead(ahead)
    yield f"failed    {status.failures:6}  recorded in the store"
    for code, count in ahead.causes.items():
        yield f"          {count:6}  {code}"
    yield ""
    yield f"{len(status.hubs)} hub(s)"
    for hub in status.hubs:
        yield f"  {hub.host}:{hub.pid}  {hub.engines} engines, {hub.done} done, {hub.failed} failed"
        if hub.trouble:
            yield f"    takes no work: {hub.trouble}"
        if hub.backups:
            yield f"    {_backups(hub.backups)}"
        for job in hub.jobs:
            yield f"    {job['stage']:10} {job['part']:4.0%}  {job['seconds']:6.1f} s  {job['audio']}"
    if batches:
        yield ""
        yield f"{len(batches)} open batch(es)"
        yield from (batch_line(head, tally) for head, tally in batches)


def _backups(told: Mapping[str, Any]) -> str:
    """What becomes of stored audio where CENTRAL_BACKUPS is false."""
    kept = told.get("kept")
    reasons = kept.items() if isinstance(kept, Mapping) else ()
    stays = "".join(f"; {count} stay: {printable(str(why), _LINE)}" for why, count in reasons)
    error = printable(str(told.get("error") or ""), _LINE)
    grace = f", in its grace time {told['waiting']}" if "waiting" in told else ""
    line = f"audio deleted {told.get('deleted', 0)}{grace}{stays}"
    if not error:
        return line
    return f"{line}; {told['failed']} not deleted: {error}" if told.get("failed") else f"{line}; it waits: {error}"


def _ahead(ahead: Outlook) -> Iterator[str]:
    done = ahead.pace.pairs if ahead.pace is not None else {}
    pairs = sorted({*ahead.pairs, *done})
    if pairs:
        yield ""
        yield f"{'approach.model':24} {'wait':>7} {'audio':>10}   {'done':>7} {'failed':>7} {'audio':>10}  last hour"
    for pair in pairs:
        waits, was = ahead.pairs.get(pair), done.get(pair)
        files = f"{waits.files:7.0f} {_hours(waits.audio, waits.told < waits.audio):>10}" if waits else f"{0:7} {'':10}"
        told = f"{was.files:7} {was.failed:7} {_hours(was.audio, False):>10}" if was else f"{0:7} {0:7}"
        yield f"{pair:24} {files}   {told}"
    if pairs:
        yield ""
    if ahead.pace is not None and ahead.pace.pairs:
        per_hour = ahead.pace.files_per_hour
        yield f"pace      {ahead.pace.speed:6.1f}  times as fast as the audio, {per_hour:.0f} files an hour"
    left = ahead.seconds_left
    if ahead.pairs:
        about = "about " if ahead.is_estimate else ""
        told = "no pace to judge by yet" if left is None else f"{about}{clock(left)} at this pace"
        yield f"left      {_hours(ahead.audio, ahead.is_estimate):>6}  of audio, {told}"


def _hours(seconds: float, estimate: bool) -> str:
    return f"{'~' if estimate else ''}{seconds / 3600:.2f} h"


def fields_of(status: Status, ahead: Outlook, batches: Batches) -> dict[str, Any]:
    """The same for machines. Times are seconds."""
    pace = ahead.pace
    return {
        "waiting": dict(status.waiting),
        "backlog": {
            pair: {"files": round(one.files), "audio_seconds": round(one.audio, 1), "told_seconds": round(one.told, 1)}
            for pair, one in ahead.pairs.items()
        },
        "audio_seconds": round(ahead.audio, 1),
        "estimate": ahead.is_estimate,
        "eta_seconds": None if (left := ahead.seconds_left) is None else round(left, 1),
        "pace": None
        if pace is None
        else {
            "seconds": round(pace.seconds, 1),
            "speed": round(pace.speed, 3),
            "files_per_hour": round(pace.files_per_hour, 1),
            "pairs": {pair: dataclasses.asdict(done) for pair, done in pace.pairs.items()},
            "causes": dict(pace.causes),
        },
        "failures": status.failures,
        "causes": dict(ahead.causes),
        "batches": [batch_fields(head, tally) for head, tally in batches],
        "hubs": [dataclasses.asdict(hub) for hub in status.hubs],
    }
