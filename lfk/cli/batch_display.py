"""How batch work looks on screen: findings of check, a republish, a batch's progress."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lfk.cli.console import Console
from lfk.cli.sync_display import megabytes
from lfk.core.batch import Head, Tally
from lfk.core.printable import printable
from lfk.core.timecode import clock

if TYPE_CHECKING:
    from lfk.roles.check import CheckSummary, Finding
    from lfk.roles.estimate import Estimator
    from lfk.roles.republish import Republished, RepublishSummary

#: A longer line is cut; `--json` tells all of it.
_LINE = 10_000


def show_finding(console: Console, finding: Finding) -> None:
    """``stale  s3://bucket/audio/x.wav  changed since it became …``"""
    fields = {"trouble": finding.trouble.value, "location": finding.location, "detail": finding.detail}
    text = f"{finding.trouble.value:12}  {finding.location}  {finding.detail}"
    console.note("finding", fields, printable(text, _LINE))


def show_check_summary(console: Console, summary: CheckSummary, *, stopped: bool) -> None:
    """``checked 60 audios, 48 transcripts: 5 missing, 3 stale, …``"""
    from lfk.roles.check import Trouble

    counts = {trouble.value: summary.counts[trouble] for trouble in Trouble}
    outstanding = sum(tally.outstanding for _head, tally in summary.batches)
    fields = {
        "audios": summary.audios,
        "transcripts": summary.transcripts,
        **{name.replace("-", "_"): count for name, count in counts.items()},
        "found": summary.found,
        "open_batches": len(summary.batches),
        "outstanding": outstanding,
        "stopped": stopped,
    }
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    batches = f"; {len(summary.batches)} open batches ask for {outstanding}" if summary.batches else ""
    early = " (stopped early)" if stopped else ""
    console.result(
        "summary", fields, f"checked {summary.audios} audios, {summary.transcripts} transcripts: {told}{batches}{early}"
    )


class RepublishDisplay:
    """Give it to a republisher as its report."""

    def __init__(self, console: Console, *, dry_run: bool) -> None:
        self._console = console
        self._dry_run = dry_run
        #: In a dry run, kinds of audio with their bytes and number: what an estimate is made from.
        self.chosen: dict[tuple[str, str], tuple[int, int]] = {}

    def __call__(self, item: Republished) -> None:
        if item.error is not None:
            self._console.error(item.error, item.name)
            return
        reference = item.reference
        if reference is None:
            return
        pair = reference.transcription_approach or ""
        if self._dry_run:
            key = (item.name.rpartition(".")[2].lower(), pair)
            size, count = self.chosen.get(key, (0, 0))
            self.chosen[key] = (size + item.size, count + 1)
        if self._console.verbosity > 0 or (self._console.as_json and self._dry_run):
            verb = "would send" if self._dry_run else "sent"
            fields = {"name": item.name, "reference": reference.to_dict(), "dry_run": self._dry_run}
            text = f"{verb}  {item.name}  {megabytes(item.size)}  {pair or 'as its path says'}"
            self._console.note("reference", fields, printable(text, _LINE))

    def finish(self, summary: RepublishSummary, estimate: Estimator | None) -> None:
        """The line at the end."""
        fields: dict[str, Any] = {
            "batch_id": summary.batch_id,
            "sent": summary.sent,
            "of_open_batches": summary.reopened,
            "bytes": summary.size,
            "failed": summary.failed,
            "left": summary.left,
            "finished": summary.finished,
            "seconds": round(summary.seconds, 3),
            "dry_run": self._dry_run,
        }
        verb = "would send" if self._dry_run else "sent"
        reopened = f" ({summary.reopened} of open batches)" if summary.reopened else ""
        left = f", {summary.left} not confirmed" if summary.left else ""
        lines = [
            f"{verb} {summary.sent} references{reopened}, {megabytes(summary.size)} of audio in "
            f"{summary.seconds:.1f} s: {summary.failed} failed{left}"
        ]
        if estimate is not None:
            fields |= _estimate_fields(estimate)
            lines.append(_estimate_line(estimate))
        if summary.batch_id is not None:
            follow = "follow it with `lfk status --batch" if summary.finished else "go on with `lfk republish --resume"
            lines.append(f"batch {summary.batch_id}: {follow} {summary.batch_id}`")
        self._console.result("summary", fields, "\n".join(lines))


def show_batch(console: Console, head: Head, tally: Tally) -> None:
    """Everything of one batch."""
    fields = batch_fields(head, tally)
    rate, left = fields["files_per_hour"], fields["eta_seconds"]
    lines = [
        f"batch {head.batch_id}: {_about(head)}",
        f"asked        {tally.asked:8}",
        f"done         {tally.done:8}  {clock(tally.seconds)} of audio",
        f"failed       {tally.failed:8}  see `lfk dlq list`",
        f"outstanding  {tally.outstanding:8}",
    ]
    if tally.gone:
        lines.append(f"gone         {tally.gone:8}  the audio is no longer there")
    if rate is not None:
        speed = f"{rate:.0f} an hour, {fields['audio_hours_per_hour']:.2f} hours of audio"
        lines.append(f"throughput   {speed}" + (f"; {clock(left)} to go" if left is not None else ""))
    if not tally.outstanding and head.finished:
        lines.append("everything is answered: the batch is removed")
    console.result("batch", fields, "\n".join(printable(line, _LINE) for line in lines))


def batch_fields(head: Head, tally: Tally | None) -> dict[str, Any]:
    """A batch for machines. Rates count from its beginning to now; the time left assumes that they stay."""
    fields: dict[str, Any] = {
        "batch_id": head.batch_id,
        "kind": head.kind,
        "created": head.created,
        "sent": head.sent,
        "bytes": head.size,
        "finished": head.finished,
        "request": dict(head.asked),
    }
    if tally is None:
        return fields
    hours = max(1e-9, time.time() - head.created / 1000) / 3600 if head.created else None
    answered = tally.done + tally.failed + tally.gone
    rate = answered / hours if hours is not None and answered and tally.outstanding else None
    return {
        **fields,
        "asked": tally.asked,
        "done": tally.done,
        "failed": tally.failed,
        "gone": tally.gone,
        "outstanding": tally.outstanding,
        "audio_hours": round(tally.seconds / 3600, 3),
        "files_per_hour": None if rate is None else round(rate, 1),
        "audio_hours_per_hour": None if rate is None or hours is None else round(tally.seconds / 3600 / hours, 3),
        "eta_seconds": None if rate is None else round(tally.outstanding / rate * 3600, 1),
    }


def batch_line(head: Head, tally: Tally | None) -> str:
    """One open batch in a list."""
    how = "not counted: " if tally is None else f"{tally.outstanding} of {tally.asked} outstanding, "
    state = "" if head.finished else ", not sent to its end"
    return f"  {head.batch_id}  {how}{_about(head)}{state}"


def _about(head: Head) -> str:
    words = [
        f"{name}={','.join(value) if isinstance(value, list) else value}"
        for name, value in head.asked.items()
        if value and name in ("only", "approach", "model", "language", "force")
    ]
    words += [f"{name}={value}" for name, value in dict(head.asked.get("options") or {}).items()]
    begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(head.created / 1000)) if head.created else "unknown"
    return f"{head.kind} of {begun}" + (f" ({', '.join(words)})" if words else "")


def _estimate_fields(estimate: Estimator) -> dict[str, Any]:
    left = estimate.seconds_left
    return {
        "audio_hours": round(estimate.audio_seconds / 3600, 3) if estimate.samples else None,
        "estimated_seconds": None if left is None else round(left, 1),
        "learned_from": estimate.samples,
        "engines": estimate.engines,
    }


def _estimate_line(estimate: Estimator) -> str:
    if not estimate.samples:
        return "how long that is nobody can say: there are no transcripts to learn from yet"
    engines = f"{estimate.engines} engines at work" if estimate.engines else "one engine, as no hub runs"
    return (
        f"about {clock(estimate.audio_seconds)} of audio, {clock(estimate.seconds_left or 0.0)} for {engines}"
        f" (from bytes and times of the {estimate.samples} latest transcripts)"
    )
