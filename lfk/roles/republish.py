"""Republish: references for audio that is in the store, chosen by its state, sent on the bulk topic as one batch.

In this order, each step safe to be the last one before a crash:

1. the batch's head is written: what was chosen and is asked
2. what open batches still ask for is sent, in their own words (``--only missing`` alone)
3. a part of up to a thousand references is written, then they are sent, while the next part is being written
4. the head notes how far all is confirmed, once a second

``resume`` goes on with a batch where its head says: parts that are written and not confirmed are sent first, then the
walk goes on behind the last part. What was confirmed is never sent again, but for the last second before a crash.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice

from lfk.core.addressing import Roots
from lfk.core.batch import Head, total
from lfk.core.errors import Kind, LfkError, Unreachable, UsageError
from lfk.core.messages import AudioReference
from lfk.core.selection import Chosen
from lfk.roles.batch_progress import Judge, OpenBatches
from lfk.roles.batches import Batches, BatchRecorder, new_batch
from lfk.roles.dispatch import Dispatch
from lfk.roles.failed import Failed, failures
from lfk.roles.outstanding import OPEN, Choice, as_outgoing, reopened
from lfk.roles.recording import Outgoing, recorded
from lfk.roles.sender import ReferenceSender
from lfk.stores.base import ObjectStore

_KIND = "republish"
#: How far the batch's own parts are confirmed, in a head's place; before the first, how far open batches are.
_PART = "part"


@dataclass(frozen=True, slots=True)
class Republished:
    """What became of one reference."""

    name: str
    size: int = 0
    reference: AudioReference | None = None
    error: LfkError | None = None


@dataclass(slots=True)
class RepublishSummary:
    """What became of everything."""

    batch_id: str | None = None
    sent: int = 0
    #: Of those, what open batches asked for.
    reopened: int = 0
    #: Bytes of audio.
    size: int = 0
    failed: int = 0
    left: int = 0
    seconds: float = 0.0
    outage: LfkError | None = None
    #: The walk came to its end.
    finished: bool = False


class Republisher:
    """See the module. One owner."""

    def __init__(
        self,
        store: ObjectStore,
        sender: ReferenceSender | None,
        roots: Roots,
        report: Callable[[Republished], None],
        stop: threading.Event,
    ) -> None:
        """Without a sender it is a dry run: nothing is written, either."""
        self._store = store
        self._sender = sender
        self._roots = roots
        self._report = report
        self._stop = stop
        self._batches = Batches(store, roots.records)
        self.summary = RepublishSummary()

    def run(self, chosen: Chosen) -> RepublishSummary:
        """Send what is chosen, as a new batch.

        Raises:
            LfkError: the store cannot be used at all.
        """
        return self._run(chosen, new_batch(_KIND, chosen.to_dict()), resumed=False)

    def resume(self, batch_id: str) -> RepublishSummary:
        """Go on with a batch that was interrupted.

        Raises:
            UsageError: there is no such batch, it is not a republish, or it came to its end.
        """
        head = self._batches.head(batch_id)
        if head.kind != _KIND:
            raise UsageError(f"batch {batch_id} is no republish, but a {head.kind}")
        if head.finished:
            raise UsageError(
                f"batch {batch_id} was sent to its end", hint=f"`lfk status --batch {batch_id}` tells how far it is"
            )
        return self._run(Chosen.from_dict(head.asked), head, resumed=True)

    def _run(self, chosen: Chosen, head: Head, *, resumed: bool) -> RepublishSummary:
        begun = time.monotonic()
        failed = list(failures(self._store, self._roots))
        names = self._batches.part_names(head.batch_id) if resumed else []
        first = int(names[-1]) + 1 if names else 0
        recorder = BatchRecorder(self._batches, head, first_part=first)
        if self._sender is not None:
            self.summary.batch_id = head.batch_id
            recorder.note()
        run = _Run(self._sender, self._stop, recorder, self.summary, self._report)
        choice = Choice(self._store, self._roots, chosen, failed, run.misfit)
        try:
            self._go(chosen, choice, failed, run, recorder, names)
        except LfkError as error:
            if not isinstance(error, Unreachable):
                raise
            run.outage = run.outage or error
        run.finish()
        if self._sender is not None:
            self._end(recorder, any_part=recorder.parts > 0)
        self.summary.seconds = time.monotonic() - begun
        return self.summary

    def _go(
        self,
        chosen: Chosen,
        choice: Choice,
        failed: list[Failed],
        run: _Run,
        recorder: BatchRecorder,
        names: list[str],
    ) -> None:
        """Open batches, parts that are written already, then the walk; each until it is over."""
        asked: set[str] = set()
        if chosen.plain and "missing" in chosen.only:
            opened = OpenBatches(self._batches, Judge(self._store, self._roots, failed), look_only=self._sender is None)
            items = reopened(self._batches, opened, chosen, self._roots, recorder.head, asked)
            # Those went out before the first part was written; behind it only what they ask for is of interest.
            wanted = (item for item in items if not names)
            run.send_all(islice(wanted, chosen.limit or None))
        until, written = self._send_written(recorder.head, run) if names else (None, 0)
        items = choice.items(until, frozenset(asked))
        room = max(0, chosen.limit - written - run.offered) if chosen.limit else None
        if not run.over:
            with closing(recorded(islice(items, room), run.recorder)) as ready:
                run.send_all(ready)
        self.summary.finished = not run.over

    def _send_written(self, head: Head, run: _Run) -> tuple[str | None, int]:
        """Send what is written in parts and not confirmed; returns where the walk stood, and how much that was."""
        kind, _space, rest = (head.place or "").partition(" ")
        part, index = (int(number) for number in rest.split(" ")) if kind == _PART else (0, 0)
        written = total(self._batches.tallies(head.batch_id).values()).asked
        until = None
        for name, content in self._batches.parts(head.batch_id):
            number, until = int(name), content.until
            start = index if number == part else 0
            unsent = list(enumerate(content.entries))[start:] if number >= part else []
            written += len(content.entries) - len(unsent)
            if not run.over:
                run.send_all(
                    replace(as_outgoing(entry, entry.reference), own=True, part=number, index=at)
                    for at, entry in unsent
                )
        return until, written

    def _end(self, recorder: BatchRecorder, *, any_part: bool) -> None:
        try:
            if self.summary.finished and not any_part:
                # Nothing of its own was sent, so there is nothing to follow.
                self._batches.remove(recorder.head.batch_id)
                self.summary.batch_id = None
            else:
                recorder.note(finished=self.summary.finished)
        except LfkError as error:
            self.summary.outage = self.summary.outage or error


class _Run:
    """One run's sending: what it counts, and what it notes of its progress."""

    def __init__(
        self,
        sender: ReferenceSender | None,
        stop: threading.Event,
        recorder: BatchRecorder,
        summary: RepublishSummary,
        report: Callable[[Republished], None],
    ) -> None:
        self._stop = stop
        self._progress = recorder
        self._summary = summary
        self._report = report
        self._dispatch = (
            None if sender is None else Dispatch(sender, stop, self._sent, self._refused, passed=self._passed)
        )
        #: A dry run records nothing.
        self.recorder = None if sender is None else recorder
        self.offered = 0
        self.outage: LfkError | None = None

    @property
    def over(self) -> bool:
        broken = self._dispatch is not None and self._dispatch.outage is not None
        return self._stop.is_set() or self.outage is not None or broken

    def send_all(self, items: Iterator[Outgoing]) -> None:
        for item in items:
            if self._dispatch is None:
                self._sent(item)
            else:
                self._dispatch.send(item, item.audio, item.reference)
            self.offered += 1
            if self.over:
                return

    def finish(self) -> None:
        if self._dispatch is not None:
            self._summary.left = self._dispatch.finish()
            self.outage = self.outage or self._dispatch.outage
        self._summary.outage = self.outage
        if self.outage is not None or self._summary.left:
            self._summary.finished = False

    def misfit(self, name: str, error: LfkError) -> None:
        """Something chosen that cannot be asked for."""
        self._summary.failed += 1
        self._report(Republished(name, error=error))

    def _sent(self, item: Outgoing) -> None:
        self._summary.sent += 1
        self._summary.size += item.size
        # What open batches ask for is recorded by them.
        self._summary.reopened += not item.own
        self._report(Republished(item.name, item.size, item.reference))

    def _refused(self, item: Outgoing, error: LfkError) -> None:
        if error.kind is Kind.FATAL:
            self.outage = self.outage or error
        self._summary.failed += 1
        self._report(Republished(item.name, item.size, error=error))

    def _passed(self, item: Outgoing) -> None:
        if item.part is not None:
            place = f"{_PART} {item.part} {item.index + 1}"
            self._progress.progress(sent=1, size=item.size, place=place)
        elif item.until is not None and item.until.startswith(f"{OPEN} "):
            self._progress.progress(sent=0, size=0, place=item.until)
