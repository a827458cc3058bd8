"""How submit looks on screen."""

from __future__ import annotations

from lfk.cli.console import Console
from lfk.cli.sync_display import megabytes
from lfk.core.printable import printable
from lfk.roles.submit import SubmitSummary, Submitted

#: A longer line is cut; `--json` tells all of it.
_LINE = 10_000


def show_submitted(console: Console, item: Submitted, *, dry_run: bool) -> None:
    """A line for what failed; for the rest where it is asked for."""
    if item.error is not None:
        console.error(item.error, item.name)
    elif item.reference is not None and (console.as_json or dry_run or console.verbosity > 0):
        verb = "would send" if dry_run else "sent"
        approach = item.reference.transcription_approach or "as its path says"
        fields = {"name": item.name, "reference": item.reference.to_dict(), "dry_run": dry_run}
        text = f"{verb}  {item.name}  {megabytes(item.size)}  {approach}"
        console.note("reference", fields, printable(text, _LINE))


def show_summary(console: Console, summary: SubmitSummary, *, dry_run: bool) -> None:
    """``sent 20 references, 31.2 MB of audio in 0.3 s: 4 skipped, 0 failed``."""
    fields = {
        "sent": summary.sent,
        "bytes": summary.size,
        "skipped": summary.skipped,
        "failed": summary.failed,
        "left": summary.left,
        "seconds": round(summary.seconds, 3),
        "batch_id": summary.batch_id,
        "dry_run": dry_run,
    }
    verb = "would send" if dry_run else "sent"
    left = f", {summary.left} not confirmed" if summary.left else ""
    batch = f"; batch {summary.batch_id}" if summary.batch_id is not None else ""
    console.result(
        "summary",
        fields,
        f"{verb} {summary.sent} references, {megabytes(summary.size)} of audio in {summary.seconds:.1f} s: "
        f"{summary.skipped} skipped (no audio), {summary.failed} failed{left}{batch}",
    )
