"""Removes all that the store holds of an audio, for good, and sees to it that nothing brings it back.

The order that makes it safe against hubs at work on it::

    1. a note       .lfk/forgotten/<keyed hash>   from now on hubs answer for it with `audio_forgotten`
    2. a search     everything of the audio, and everything that names it
    3. removals     every version of it
    4. again        until a search finds nothing

A hub looks for the note after its last write and takes back what it wrote (:mod:`lfk.roles.hub.forgetting`). So a
write either comes before the search, which finds it, or its writer's look comes after the note, which it sees.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lfk.core.forget_target import Target
from lfk.core.location import Location
from lfk.roles.forgotten import Forgotten
from lfk.roles.parallel import in_parallel
from lfk.roles.traces import Found, Kind, Trace, Traces, locations

#: Searches until nothing is found: hubs that were at work write for some seconds more at most.
_ROUNDS = 5


@dataclass(slots=True)
class ForgetSummary:
    """What was removed, or in a dry run would be."""

    #: Audio that anything was found of.
    audios: int = 0
    removed: Counter[Kind] = field(default_factory=Counter)
    #: Versions that the store holds back.
    held: int = 0
    #: Objects that the last search still found.
    left: int = 0
    interrupted: bool = False


class Forget:
    """See the module. One owner."""

    def __init__(
        self,
        traces: Traces,
        forgotten: Forgotten,
        report: Callable[[Trace], None],
        stop: threading.Event,
        *,
        dry_run: bool,
    ) -> None:
        """``report`` gets each object, once it is removed or, in a dry run, found."""
        self._traces = traces
        self._forgotten = forgotten
        self._report = report
        self._stop = stop
        self._dry_run = dry_run
        self.summary = ForgetSummary()

    def run(self, wanted: Sequence[Target]) -> ForgetSummary:
        """Forget what is meant.

        Raises:
            Unreachable, AccessDenied: the store; what was removed by then is, and another run goes on.
        """
        summary = self.summary
        audios: set[str] = set()
        for _round in range(1 if self._dry_run else _ROUNDS):
            if not self._dry_run:
                # Before the search: what is written after it, its writer takes back.
                self._note(wanted, Found())
            found = self._traces.find(wanted)
            audios.update(audio for audio in found.hashes if found.traces)
            summary.audios = len(audios)
            summary.left = len(found.traces)
            if self._dry_run:
                for trace in found.traces:
                    self._done(trace)
                return summary
            self._note(wanted, found)
            if not found.traces or summary.interrupted:
                break
            self._remove(found.traces)
        if not summary.interrupted:
            summary.held += self._traces.clear_history()
        return summary

    def _note(self, wanted: Sequence[Target], found: Found) -> None:
        """Notes of each audio that is known by now; those of a prefix are known after a search."""
        exact = [target.at for target in wanted if not target.is_prefix]
        for audio in dict.fromkeys((*exact, *locations(found))):
            hashes = found.hashes.get(str(audio), set())
            if hashes or found.traces or not self._forgotten.holds(audio):
                self._forgotten.keep(audio, hashes)

    def _remove(self, traces: Sequence[Trace]) -> None:
        # Kind by kind, as their order matters; side by side within one.
        for kind in Kind:
            for trace, held in in_parallel(self._remove_one, [one for one in traces if one.kind is kind]):
                if held < 0:
                    self.summary.interrupted = True
                    continue
                self.summary.held += held
                self._done(trace)
            if self.summary.interrupted:
                return

    def _remove_one(self, trace: Trace) -> tuple[Trace, int]:
        if self._stop.is_set():
            return trace, -1
        return trace, self._traces.remove(trace)

    def _done(self, trace: Trace) -> None:
        self.summary.removed[trace.kind] += 1
        self._report(trace)


def lift(forgotten: Forgotten, audios: Sequence[Location]) -> int:
    """Let audio come again; returns how many had a note."""
    return sum(forgotten.lift(audio) for audio in audios)
