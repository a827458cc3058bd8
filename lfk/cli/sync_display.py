"""How sync looks on screen: a line for what needs one, a bar, one summary line."""

from __future__ import annotations

from typing import Any

from lfk.cli.console import Bar, Console
from lfk.core.printable import printable
from lfk.roles.source import shown
from lfk.roles.sync_events import (
    BytesMoved,
    Event,
    Fate,
    FileDone,
    FileFound,
    Marking,
    Outcome,
    Paused,
    Resumed,
    Summary,
)

#: A longer line is cut; `--json` tells all of it.
_LINE = 10_000


class SyncDisplay:
    """Give it to sync as its report. Bytes are told by worker threads, everything else by one."""

    def __init__(self, console: Console, bar: Bar | None, *, dry_run: bool) -> None:
        """A service has no bar, as it has no end: it shows each file that was sent instead."""
        self._console = console
        self._bar = bar
        self._service = bar is None
        self._dry_run = dry_run
        self._size = 0
        self._count = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, FileDone):
            if self._bar is not None:
                self._bar.advance(count=1)
            self._show(event)
        elif isinstance(event, Marking):
            self._mark(event)
        elif isinstance(event, Paused):
            self._console.error(event.error, f"waiting {event.seconds:.0f} s")
        elif isinstance(event, Resumed):
            self._console.note("resumed", {}, "store and broker are back: going on")
        elif self._bar is not None:
            self._move(self._bar, event)

    def _move(self, bar: Bar, event: FileFound | BytesMoved) -> None:
        if isinstance(event, BytesMoved):
            bar.advance(size=event.size)
        else:
            self._size += event.size
            self._count += 1
            bar.total(size=self._size, count=self._count)

    def _mark(self, marking: Marking) -> None:
        names = [str(location) for location in marking.written]
        if marking.lacks:
            lacking = [shown(relative) for relative in marking.lacking]
            more = ", …" if marking.lacks > len(lacking) else ""
            self._console.warn(
                f"no {marking.name}, as the store lacks {marking.lacks} of the files: {', '.join(lacking)}{more}"
            )
        fields = {"written": names, "unchanged": [str(at) for at in marking.unchanged], "lacks": marking.lacks}
        if names or self._console.as_json:
            self._console.note("marker", fields, "\n".join(printable(f"complete  {name}", _LINE) for name in names))

    def finish(self, summary: Summary) -> None:
        """The line at the end, after what became of the markers of one pass."""
        if summary.marking is not None and not self._service:
            self._mark(summary.marking)
        counts = {outcome.value: summary.counts[outcome] for outcome in Outcome}
        fields = {
            **counts,
            "files": sum(counts.values()) - summary.counts[Outcome.FAILED],
            "bytes": summary.size,
            "seconds": round(summary.seconds, 3),
            "ignored": summary.ignored,
            "left": summary.left,
            "sources": {fate.value: summary.fates[fate] for fate in Fate},
            "bytes_saved": summary.saved,
            "dry_run": self._dry_run,
        }
        self._console.result("summary", fields, summary_line(summary, dry_run=self._dry_run))

    def _show(self, done: FileDone) -> None:
        if done.error is not None:
            self._console.error(done.error, done.name)
        if self._console.as_json:
            self._console.note("file", _fields(done, dry_run=self._dry_run), "")
        elif done.error is None and self._wants_line(done):
            verb = f"would be {done.outcome.value}" if self._dry_run else done.outcome.value
            size = (
                megabytes(done.size)
                if done.saved <= 0
                else f"{megabytes(done.size - done.saved)} of {megabytes(done.size)}"
            )
            left = f"  source {done.fate.value}" if done.fate is not None else ""
            self._console.say(printable(f"{verb}  {done.name}  {size}  {done.location}{left}", _LINE))

    def _wants_line(self, done: FileDone) -> bool:
        news = done.outcome is not Outcome.UNCHANGED or done.fate in (Fate.DELETED, Fate.MOVED)
        return (self._service and news) or self._dry_run or self._console.verbosity > 0


def summary_line(summary: Summary, *, dry_run: bool) -> str:
    """``synced 20 files, 31.2 MB in 3.1 s: 20 new, 0 changed, 0 unchanged, 0 failed``."""
    counts = summary.counts
    parts = [f"{counts[outcome]} {outcome.value}" for outcome in (Outcome.NEW, Outcome.CHANGED, Outcome.UNCHANGED)]
    if counts[Outcome.REFERRED]:
        parts.append(f"{counts[Outcome.REFERRED]} referred to again")
    parts.append(f"{counts[Outcome.FAILED]} failed")
    if summary.saved:
        parts.append(f"{megabytes(summary.saved)} saved by sending audio alone")
    parts.extend(f"{count} sources {fate.value}" for fate, count in summary.fates.items() if count)
    if summary.left:
        parts.append(f"{summary.left} left for the next time")
    if summary.ignored:
        parts.append(f"{summary.ignored} other files ignored")
    files = sum(counts.values()) - counts[Outcome.FAILED]
    verb = "would sync" if dry_run else "synced"
    return f"{verb} {files} files, {megabytes(summary.size)} in {summary.seconds:.1f} s: {', '.join(parts)}"


def megabytes(size: int) -> str:
    """A size for people, in decimal megabytes."""
    return f"{size / 1e6:.1f} MB"


def _fields(done: FileDone, *, dry_run: bool) -> dict[str, Any]:
    error = done.error
    return {
        "name": done.name,
        "outcome": done.outcome.value,
        "size": done.size,
        "location": str(done.location) if done.location is not None else None,
        "reference": done.reference.to_dict() if done.reference is not None else None,
        "error": {"code": error.code, "message": error.message, "hint": error.hint} if error is not None else None,
        "seconds": round(done.seconds, 3),
        "source": done.fate.value if done.fate is not None else None,
        "bytes_saved": done.saved,
        "dry_run": dry_run,
    }
