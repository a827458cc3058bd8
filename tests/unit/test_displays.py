"""Names from outside stay within their line, whatever they hold: a line break in one could pass for lfk's own word."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from lfk.cli.batch_display import RepublishDisplay, show_batch, show_finding
from lfk.cli.console import Console
from lfk.cli.status_display import lines_of
from lfk.cli.submit_display import show_submitted
from lfk.cli.sync_display import SyncDisplay
from lfk.core.batch import Head, Tally
from lfk.core.location import parse_location
from lfk.core.messages import AudioReference
from lfk.roles.backlog import Outlook, Waiting
from lfk.roles.check import Finding, Trouble
from lfk.roles.heartbeat import HubReport
from lfk.roles.republish import Republished
from lfk.roles.status import Status
from lfk.roles.submit import Submitted
from lfk.roles.sync_events import FileDone, Marking, Outcome

NAME = "simple/tiny/a.wav\nsynced 9 files\x1b[2J\u202e.wav"
PLACE = parse_location("s3://bucket/audio/" + NAME)
REFERENCE = AudioReference(path_to_audio=str(PLACE))


def _sync(console: Console) -> None:
    display = SyncDisplay(console, None, dry_run=False)
    display(FileDone(NAME, Outcome.NEW, location=PLACE))
    display(Marking("done.txt", written=(PLACE,)))


def _status(console: Console) -> None:
    job = {"stage": "transcribe", "part": 0.5, "seconds": 1.0, "audio": NAME}
    hub = HubReport(host=NAME, pid=1, age=0.0, engines=1, done=0, failed=0, jobs=(job,), trouble=NAME)
    ahead = Outlook({NAME: Waiting(1, 1.0, 0.0)}, None, {NAME: 1})
    console.result("status", {}, "\n".join(lines_of(Status({NAME: 1}, (hub,), 1), ahead, ())))


SHOWN: dict[str, Callable[[Console], None]] = {
    "sync": _sync,
    "status": _status,
    "check": lambda console: show_finding(console, Finding(Trouble.ORPHAN, str(PLACE), f"there is no {PLACE}")),
    "submit": lambda console: show_submitted(console, Submitted(NAME, 1, REFERENCE), dry_run=False),
    "republish": lambda console: RepublishDisplay(console, dry_run=False)(Republished(NAME, 1, REFERENCE)),
    "batch": lambda console: show_batch(console, Head("b", "submit", 0, {"model": NAME}), Tally()),
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_a_name_stays_within_its_line(show: Callable[[Console], None]) -> None:
    out = io.StringIO()
    show(Console(verbosity=1, out=out))
    text = out.getvalue()
    assert "a.wav\\nsynced 9 files\\x1b[2J\\u202e.wav" in text
    assert not any(line.startswith("synced") for line in text.splitlines())
    assert text.isascii() and "\x1b" not in text
