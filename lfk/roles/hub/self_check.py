"""Tells a hub's own faults from its jobs': a failure that may be the hub's is held until the hub has looked at itself.

::

    a job fails ──▶ may be the hub's? ──no──▶ the job's own failure
                         │ yes: held
                         ▼
                  probe of the hub ──fine──▶ the job's own failure
                         │ confirmed
                         ▼
      trouble: no work is taken, the jobs that were held wait and lose no attempt, and the hub looks again and again
      until it is well

The store, the registry, the disk and the default model are looked at at once. An engine's failures are mostly its
audio's, so the engines are tried on speech of our own only after several audios in a row have failed and none has
succeeded: a broken deployment stops there instead of turning the topic into dead letters.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from lfk.core.errors import Kind, LfkError, ScratchFull, StoreFull, Suspect
from lfk.roles.hub.threads import Ended, Probed, Recorded

log = logging.getLogger(__name__)

#: Between two looks at a hub in trouble: short outages should cost little more than they last.
_FIRST_LOOK_SECONDS = 1.0
_LOOK_FACTOR = 1.5
_LAST_LOOK_SECONDS = 15.0

Held = Ended | Recorded


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with this hub, confirmed by a probe. ``since`` is seconds since the epoch."""

    suspect: Suspect
    error: LfkError
    since: float

    def __str__(self) -> str:
        return f"{self.suspect.value}: {self.error.message} [{self.error.code}]"


class SelfCheck:
    """Owned by the hub's one thread; ``trouble`` may be read by any."""

    def __init__(self, probe: Callable[[frozenset[Suspect]], None], streak: int) -> None:
        """``probe`` starts a look at parts of the hub, whose outcome comes to :meth:`told`; ``streak``: how many
        audios in a row an engine may fail before it is tried itself, 0 for never."""
        self.trouble: Trouble | None = None
        self._probe = probe
        self._streak = streak
        self._failing: set[Hashable] = set()
        #: What waits for a probe to begin, and what the present probe is about.
        self._held: list[tuple[Held, Suspect]] = []
        self._asked: list[tuple[Held, Suspect]] = []
        self._probing = False
        self._wait = _FIRST_LOOK_SECONDS
        self._again_at = 0.0
        #: When the last trouble with a part ended, seconds since the epoch.
        self._healed_at: dict[Suspect, float] = {}

    def hold(self, report: Held, error: LfkError) -> bool:
        """Keep a failure that may be the hub's own; False if it is the job's."""
        if error.suspect is None or not self._is_suspicious(report, error):
            return False
        self._held.append((report, error.suspect))
        self.look()
        return True

    def worked(self) -> None:
        """An engine has done its work."""
        self._failing.clear()

    def look(self) -> None:
        """Start a probe if there is something to find out and none is under way."""
        due = bool(self._held) or (self.trouble is not None and time.monotonic() >= self._again_at)
        if not due or self._probing:
            return
        self._asked, self._held = self._held, []
        suspects = {suspect for _report, suspect in self._asked}
        if self.trouble is not None:
            suspects.add(self.trouble.suspect)
        self._probing = True
        self._probe(frozenset(suspects))

    def told(self, probed: Probed) -> list[tuple[Held, bool]]:
        """A probe has told; returns what was held, each with whether it is the hub's fault."""
        self._probing = False
        asked, self._asked = self._asked, []
        self._judge(probed)
        return [(report, self._is_ours(report, suspect)) for report, suspect in asked]

    def _judge(self, probed: Probed) -> None:
        if probed.error is None or probed.suspect is None:
            if self.trouble is not None:
                log.warning("well again after %.0f s: %s", time.time() - self.trouble.since, self.trouble)
                self._healed_at[self.trouble.suspect] = time.time()
            self.trouble = None
            self._wait = _FIRST_LOOK_SECONDS
            # The engines are well, so those audios are to blame; only as many others raise the question again.
            self._failing.clear()
            return
        if self.trouble is None:
            self.trouble = Trouble(probed.suspect, probed.error, time.time())
            log.error("this hub takes no work: %s - %s", self.trouble, probed.error.hint)
        self._again_at = time.monotonic() + self._wait
        self._wait = min(_LAST_LOOK_SECONDS, self._wait * _LOOK_FACTOR)

    def _is_ours(self, report: Held, suspect: Suspect) -> bool:
        """Also where the trouble is over by now, if the job began before that.

        And wherever a store or disk is full: what has no room for a job may have some for a probe, and no audio is to
        blame for it.
        """
        error = report.unrecorded if isinstance(report, Recorded) else report.error
        began_before = report.job.started < self._healed_at.get(suspect, 0.0)
        return self.trouble is not None or began_before or isinstance(error, StoreFull | ScratchFull)

    def _is_suspicious(self, report: Held, error: LfkError) -> bool:
        if error.suspect is not Suspect.ENGINE or error.kind is Kind.FATAL:
            return True
        record = report.job.record
        self._failing.add(record.key or (record.partition, record.offset))
        return 0 < self._streak <= len(self._failing)
