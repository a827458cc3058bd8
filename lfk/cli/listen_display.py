"""How listen looks on screen: a line for each reference and each trouble, one summary line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lfk.cli.console import Console
from lfk.cli.sync_display import megabytes
from lfk.core.printable import printable
from lfk.roles.listen_events import Done, ListenEvent, Listening, ListenSummary, Outcome, Reconciled
from lfk.roles.sync_events import Paused

#: Longer than any line here; what is longer is not worth a look.
_LINE = 10_000


class ListenDisplay:
    """Give it to a listener as its report."""

    def __init__(self, console: Console, *, dry_run: bool = False) -> None:
        """``dry_run``: nothing of what is told as sent was."""
        self._console = console
        self._dry_run = dry_run
        self._verb = "would send" if dry_run else "sent"

    def __call__(self, event: ListenEvent) -> None:
        if isinstance(event, Done):
            self._show(event)
        elif isinstance(event, Reconciled):
            self._show_round(event)
        elif isinstance(event, Listening):
            fields = {"address": event.address, "audio": str(event.audio)}
            self._console.note("listening", fields, f"listening to {event.address} for audio in {event.audio}")
        elif isinstance(event, Paused):
            self._console.error(event.error, f"waiting {event.seconds:.0f} s")
        else:
            self._console.note("resumed", {}, "store and broker are back: going on")

    def finish(self, summary: ListenSummary) -> None:
        """The line at the end."""
        counts = summary.counts
        fields = {
            **{outcome.value: counts[outcome] for outcome in Outcome},
            "found": summary.found,
            "bytes": summary.size,
            "rounds": summary.rounds,
            "left": summary.left,
            "seconds": round(summary.seconds, 3),
            "dry_run": self._dry_run,
        }
        parts = [f"{summary.found} found by looking"]
        if counts[Outcome.KNOWN]:
            parts.append(f"{counts[Outcome.KNOWN]} told of later")
        if counts[Outcome.SYNCED]:
            parts.append(f"{counts[Outcome.SYNCED]} left to lfk sync")
        if counts[Outcome.GONE]:
            parts.append(f"{counts[Outcome.GONE]} gone again")
        parts.append(f"{counts[Outcome.OTHER]} other events")
        if counts[Outcome.UNUSABLE]:
            parts.append(f"{counts[Outcome.UNUSABLE]} unusable")
        parts.append(f"{counts[Outcome.FAILED]} failed")
        if summary.left:
            parts.append(f"{summary.left} left for the next time")
        text = (
            f"{self._verb} {counts[Outcome.SENT]} references, {megabytes(summary.size)} of audio in "
            f"{summary.seconds:.1f} s: {', '.join(parts)}"
        )
        self._console.result("summary", fields, text)

    def _show(self, done: Done) -> None:
        console = self._console
        if done.outcome is Outcome.UNUSABLE:
            console.warn(f"a notification is of no use: {done.reason}")
        elif done.error is not None:
            console.error(done.error, str(done.location))
        elif done.outcome is Outcome.SENT and done.reference is not None:
            how = "found" if done.found else "told"
            fields = {"how": how, "reference": done.reference.to_dict(), "dry_run": self._dry_run}
            self._line("reference", fields, f"{self._verb}  {done.location}  {megabytes(done.size)}  ({how})")
        elif console.as_json or console.verbosity > 0:
            fields = {"outcome": done.outcome.value, "location": str(done.location)}
            self._line("passed", fields, f"{done.outcome.value}  {done.location}")

    def _line(self, kind: str, fields: Mapping[str, Any], text: str) -> None:
        # An object's name may hold line breaks; a line that it forges must not pass for one of ours.
        self._console.note(kind, fields, printable(text, _LINE))

    def _show_round(self, event: Reconciled) -> None:
        if self._console.as_json or self._console.verbosity > 0 or event.left:
            fields = {
                "sent": event.sent,
                "known": event.known,
                "left": event.left,
                "seconds": round(event.seconds, 3),
            }
            text = (
                f"looked into the store for {event.seconds:.1f} s: {event.sent} missed, {event.known} on their way, "
                f"{event.left} left for the next look"
            )
            self._console.note("reconciled", fields, text)
