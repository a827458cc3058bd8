"""Listen: references for what anybody uploads, from the notifications of the store, as a service.

Notifications are a hint, and the store is the truth: they make it quick, and rounds over the store make it complete.
So an outage of broker or store costs nothing but time, a lost notification a round, and one that comes twice a
reference that the hub answers with what it has.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial

from lfk.core.errors import Kind, LfkError, Unreachable
from lfk.roles.health import Pulse
from lfk.roles.listen_events import Done, ListenEvent, Listening, ListenSummary, Outcome, Reconciled
from lfk.roles.listen_job import ListenJob
from lfk.roles.outages import outlast
from lfk.roles.recent import Recent
from lfk.roles.referrals import TICK_SECONDS, Referrals
from lfk.roles.rounds import Rounds, outstanding
from lfk.roles.sender import ReferenceSender
from lfk.roles.sync_events import Paused, Resumed
from lfk.stores.base import ObjectStore
from lfk.stores.notifications.base import Source

log = logging.getLogger(__name__)

#: A thread that waits for a store that went silent is not waited for any longer; it touches nothing any more.
_JOIN_SECONDS = 5.0


class Listener:
    """See the module. :meth:`run` is the one owner; it ends when told to stop."""

    def __init__(
        self,
        job: ListenJob,
        source: Source,
        store: ObjectStore,
        open_sender: Callable[[], AbstractContextManager[ReferenceSender]],
        report: Callable[[ListenEvent], None],
        stop: threading.Event,
    ) -> None:
        """``open_sender`` connects to the broker, and again after every outage."""
        self._job = job
        self._source = source
        self._store = store
        self._open_sender = open_sender
        self._report = report
        self._stop = stop
        self._recent = Recent()
        #: The source has begun to tell, so that what it refuses later may pass.
        self._heard = False
        self.pulse = Pulse()
        self.summary = ListenSummary()

    def run(self) -> ListenSummary:
        """Serve until told to stop.

        Raises:
            LfkError: store, broker or source refuse at the very start, or for a reason that waiting does not change.
        """
        begun = time.monotonic()
        with self._source:
            outlast(self._session, self._paused, self._stop)
        self.summary.seconds = time.monotonic() - begun
        return self.summary

    def preview(self) -> ListenSummary:
        """Tell what a round over the store would refer to now; nothing is sent, and nothing is taken from the source.

        Raises:
            LfkError: the store.
        """
        begun = time.monotonic()
        for place in self._job.places:
            self._store.check(place)
        for item in outstanding(self._job, self._store):
            if self._stop.is_set():
                break
            done = Done(Outcome.SENT, item.audio, item.reference, found=True)
            self.summary.add(done)
            self._report(done)
        self.summary.rounds = 1
        self.summary.seconds = time.monotonic() - begun
        return self.summary

    def _paused(self, error: LfkError, seconds: float) -> None:
        self._report(Paused(error, seconds))
        self.pulse.waits(error)

    def _session(self, resumed: bool) -> tuple[bool, LfkError] | None:
        """Serve with one set of connections; returns what ended it, and whether it had worked before."""
        heard = threading.Event()
        error: LfkError | None
        try:
            with ExitStack() as stack:
                for place in self._job.places:
                    self._store.check(place)
                referrals = Referrals(
                    self._job,
                    self._store,
                    stack.enter_context(self._open_sender()),
                    self._recent,
                    self.summary,
                    self._report,
                    self._stop,
                )
                stack.callback(referrals.close)
                rounds = Rounds(
                    self._job,
                    self._store,
                    self._recent,
                    lambda event: referrals.call(partial(self._reconciled, event)),
                )
                self._serve(referrals, rounds, heard, resumed=resumed)
                error = referrals.outage
        except LfkError as refused:
            error = refused
        self._heard = self._heard or heard.is_set()
        if error is not None and (error.kind is Kind.FATAL or not (self._heard or isinstance(error, Unreachable))):
            raise error
        return None if error is None else (heard.is_set(), error)

    def _serve(self, referrals: Referrals, rounds: Rounds, heard: threading.Event, *, resumed: bool) -> None:
        def missed() -> None:
            """By the source's own thread."""
            if not heard.is_set():
                heard.set()
                begun = Resumed() if resumed else Listening(self._source.address, self._job.roots.audio)
                referrals.call(partial(self._begun, begun))
            rounds.ask()

        told, found = referrals.told(missed), referrals.found
        threads = [
            _started("lfk-source", lambda: self._source.run(told), referrals.fail),
            _started("lfk-rounds", lambda: rounds.run(found), referrals.fail),
        ]
        try:
            while not referrals.over:
                self.pulse.beat()
                referrals.step(TICK_SECONDS)
            referrals.finish()
        finally:
            referrals.shut()
            for thread in threads:
                thread.join(_JOIN_SECONDS)

    def _begun(self, event: Listening | Resumed) -> None:
        self.pulse.serves()
        self._report(event)

    def _reconciled(self, event: Reconciled) -> None:
        self.summary.rounds += 1
        self._report(event)


def _started(name: str, work: Callable[[], None], failed: Callable[[BaseException], None]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again on the thread that has to know
            failed(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
