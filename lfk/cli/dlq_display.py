"""How dead letters look on screen. All that they hold is from outside, so all of it is made printable."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from lfk.cli.console import Console
from lfk.core.failure_record import FailureRecord, OriginalRecord
from lfk.core.printable import printable
from lfk.roles.dead_letters import Handled, Tally
from lfk.roles.failures import Recorded

#: Of an event id on a line: enough to name one among millions.
_SHORT_ID = 12
#: Of an error's message on a line; `show` has all of it.
_SHORT_MESSAGE = 100
#: Longer than any location; what is longer is not worth a look.
_LINE = 10_000
#: Of a message that is no JSON, and lines of one that is.
_RAW = 2000
_MESSAGE_LINES = 200


class Causes:
    """Counts failures by cause, for the line at the end."""

    def __init__(self) -> None:
        self.unreadable = 0
        self._codes: Counter[str] = Counter()

    def add(self, found: Recorded) -> None:
        """One more."""
        if found.record is None:
            self.unreadable += 1
        else:
            self._codes[found.record.error.code] += 1

    def show(self, console: Console) -> None:
        """``3 failures: 2 object_missing, 1 malformed_message``."""
        count = sum(self._codes.values())
        parts = [f"{many} {code}" for code, many in self._by_count()]
        if self.unreadable:
            parts.append(f"{self.unreadable} not readable")
        every = count + self.unreadable
        text = f"{every} failure{'' if every == 1 else 's'}{': ' if parts else ''}{', '.join(parts)}"
        fields = {"failures": count, "causes": dict(self._by_count()), "unreadable": self.unreadable}
        console.result("summary", fields, printable(text, _LINE))

    def _by_count(self) -> list[tuple[str, int]]:
        """The most frequent cause first; the same failures are always told in the same order."""
        return sorted(self._codes.items(), key=lambda cause: (-cause[1], cause[0]))


def show_line(console: Console, record: FailureRecord) -> None:
    """When, why, which event, which audio, on one line."""
    fields = {name: value for name, value in record.to_dict().items() if name != "record"}
    message = printable(record.error.message.removeprefix(f"{_where(record)}: "), _SHORT_MESSAGE)
    text = f"{_time(record)}  {record.error.code:18}  {_about(record)}  {message}"
    console.result("failure", fields, _one_line(text))


def show_whole(console: Console, record: FailureRecord) -> None:
    """All that is known."""
    fields = record.to_dict()
    message = _parsed(record.original)
    if message is not None:
        fields["message"] = message
    console.result("failure", fields, "\n".join(_lines(record)))


def show_retried(console: Console, item: Handled, *, dry_run: bool) -> None:
    """What was sent again, or why not."""
    if item.error is not None:
        console.error(item.error, _subject(item))
    elif item.record is not None and item.reference is not None:
        fields = {"event_id": item.event_id, "reference": item.reference.to_dict(), "dry_run": dry_run}
        approach = item.reference.transcription_approach or "as its path says"
        text = f"{'would send' if dry_run else 'sent'}  {_about(item.record)}  {approach}"
        console.note("reference", fields, _one_line(text))


def show_discarded(console: Console, item: Handled, *, dry_run: bool) -> None:
    """What was removed, or why not."""
    if item.error is not None:
        console.error(item.error, _subject(item))
        return
    record = item.record
    code, audio = (record.error.code, record.audio) if record is not None else (None, None)
    fields = {"event_id": item.event_id, "code": code, "audio": audio, "dry_run": dry_run}
    about = f"{_about(record)}  {code}" if record is not None else f"{item.event_id}  (not readable)"
    console.note("discarded", fields, _one_line(f"{'would discard' if dry_run else 'discarded'}  {about}"))


def show_tally(console: Console, verb: str, tally: Tally, *, dry_run: bool) -> None:
    """``sent 12 again in 0.3 s: 2 failed``."""
    fields = {
        verb: tally.handled,
        "failed": tally.failed,
        "left": tally.left,
        "seconds": round(tally.seconds, 3),
        "dry_run": dry_run,
    }
    done = {"sent": "would send", "discarded": "would discard"}[verb] if dry_run else verb
    again = " again" if verb == "sent" else ""
    left = f", {tally.left} not confirmed" if tally.left else ""
    text = f"{done} {tally.handled}{again} in {tally.seconds:.1f} s: {tally.failed} failed{left}"
    console.result("summary", fields, text)


def _lines(record: FailureRecord) -> Iterator[str]:
    told, error = record.announcement, record.error
    topic, partition, offset = record.origin
    facts: list[tuple[str, object]] = [
        ("event", record.event_id),
        ("audio", told.path_to_audio or "not known"),
        ("approach", told.transcription_approach),
        ("failed", f"{_time(record)}, stage {error.stage}, attempts: {error.attempts}"),
        ("error", f"{error.code} ({record.kind.value}): {error.message}"),
        ("to do", record.hint),
        *(("warning", text) for text in told.warnings),
        ("arrived", f"topic {topic}, partition {partition}, offset {offset}"),
        ("job", told.job_id),
        ("batch", told.batch_id),
        ("repeats", told.causation_id),
        ("seconds", ", ".join(f"{name} {spent:.2f}" for name, spent in told.timings.items())),
    ]
    yield from (_fact(name, value) for name, value in facts if value)
    if record.original is None:
        yield _fact("message", "not recorded; the dead letter has it")
    else:
        yield from _original(record.original)


def _original(original: OriginalRecord) -> Iterator[str]:
    if original.key is not None:
        yield _fact("key", original.key.decode("utf-8", "replace"))
    for name, value in original.headers.items():
        yield _fact("header", f"{name}: {value.decode('utf-8', 'replace')}")
    if original.left_out:
        yield _fact("left out", f"{', '.join(original.left_out)}: too large; the dead letter has them")
    if original.size is None:
        yield _fact("message", "none")
        return
    message = _parsed(original)
    form = "" if message is not None or "value" in original.left_out else ", not a JSON object"
    yield _fact("message", f"{original.size} bytes{form}")
    if message is not None:
        lines = json.dumps(message, ensure_ascii=False, indent=2).split("\n")
        yield from (f"  {_one_line(line)}" for line in lines[:_MESSAGE_LINES])
        if len(lines) > _MESSAGE_LINES:
            yield f"  … {len(lines) - _MESSAGE_LINES} more lines; --json has all of it"
    elif original.value:
        yield f"  {printable(original.value.decode('utf-8', 'replace'), _RAW)}"


def _parsed(original: OriginalRecord | None) -> dict[str, Any] | None:
    """The message where it is a JSON object that can be written again, whatever it says."""
    try:
        message = json.loads(original.value) if original is not None and original.value else None
        json.dumps(message, indent=2)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _fact(name: str, value: object) -> str:
    return f"{name:9} {_one_line(str(value))}"


def _time(record: FailureRecord) -> str:
    """In this machine's zone."""
    return datetime.fromtimestamp(record.announcement.timestamp / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _about(record: FailureRecord) -> str:
    return f"{record.event_id[:_SHORT_ID]}  {_where(record)}"


def _where(record: FailureRecord) -> str:
    """The audio, else where the reference arrived."""
    topic, partition, offset = record.origin
    return record.audio or f"{topic}/{partition}@{offset}"


def _subject(item: Handled) -> str:
    return item.event_id if item.record is None else f"{item.event_id[:_SHORT_ID]} {_where(item.record)}"


def _one_line(text: str) -> str:
    return printable(text, _LINE)
