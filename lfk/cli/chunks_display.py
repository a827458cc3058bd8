"""How sending and joining chunks looks on screen."""

from __future__ import annotations

from lfk.cli.console import Console
from lfk.cli.sync_display import megabytes
from lfk.roles.chunks.audio import GatewaySummary, Joined
from lfk.roles.chunks.sending import SendSummary, Sent


def show_sent(console: Console, sent: Sent, *, dry_run: bool) -> None:
    """A line for each file."""
    if sent.error is not None:
        console.error(sent.error, sent.name)
        return
    fields = {
        "name": sent.name,
        "path_to_audio": sent.path_to_audio,
        "bytes": sent.size,
        "chunks": sent.chunks,
        "dry_run": dry_run,
    }
    verb = "would send" if dry_run else "sent"
    name = sent.name.replace("\n", "\\n")
    console.note("sent", fields, f"{verb}  {name}  {megabytes(sent.size)} in {sent.chunks} chunks")


def show_send_summary(console: Console, summary: SendSummary, *, dry_run: bool) -> None:
    """``sent 3 files, 31.2 MB in 60 chunks, in 0.8 s: 0 failed``."""
    fields = {
        "sent": summary.sent,
        "failed": summary.failed,
        "bytes": summary.size,
        "chunks": summary.chunks,
        "seconds": round(summary.seconds, 3),
        "dry_run": dry_run,
    }
    verb = "would send" if dry_run else "sent"
    console.result(
        "summary",
        fields,
        f"{verb} {summary.sent} files, {megabytes(summary.size)} in {summary.chunks} chunks, "
        f"in {summary.seconds:.1f} s: {summary.failed} failed",
    )


def show_joined(console: Console, outcome: Joined) -> None:
    """A line for each audio."""
    if outcome.error is not None:
        console.error(outcome.error, outcome.name)
        return
    fields = {
        "name": outcome.name,
        "location": str(outcome.location),
        "bytes": outcome.size,
        "chunks": outcome.chunks,
    }
    name = str(outcome.location).replace("\n", "\\n")
    console.note("joined", fields, f"joined  {name}  {megabytes(outcome.size)} in {outcome.chunks} chunks")


def show_gateway_summary(console: Console, summary: GatewaySummary) -> None:
    """``joined 3 audios, 31.2 MB; 1 failed``."""
    fields = {"joined": summary.joined, "failed": summary.failed, "bytes": summary.size}
    console.note(
        "summary", fields, f"joined {summary.joined} audios, {megabytes(summary.size)}; {summary.failed} failed"
    )
