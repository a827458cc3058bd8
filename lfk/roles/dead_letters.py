"""Dead letters: which are meant, sending them again, discarding them.

A retry is a new reference with the content of the one that failed and its event as ``causation_id``. The failure
stays recorded until a hub is done with it: then it is removed, or replaced by the failure of the retry. What is
chosen is fixed before anything is sent, so a retry that fails at once is not sent again in the same run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from lfk.brokers.base import Broker, Delivered
from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.errors import (
    BrokerFull,
    FailureMissing,
    FailureUnreadable,
    Kind,
    LfkError,
    NotRetryable,
    RejectedReference,
    StoreError,
    TopicMissing,
    UnknownApproach,
    UnknownModel,
    Unreachable,
)
from lfk.core.failure_filter import FailureFilter
from lfk.core.failure_record import DEAD_EVENT, FailureRecord
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.core.request import Request
from lfk.roles.failures import Failures, Recorded
from lfk.roles.in_flight import InFlight
from lfk.roles.sender import ReferenceSender

if TYPE_CHECKING:
    from lfk.brokers.codec import Codec

log = logging.getLogger(__name__)

#: Failures taken together, so that the dead letters of old records are looked up in one reading of their topic.
_TOGETHER = 100
#: By how much a dead letter may be older than the record of its failure, ms: one clock made both, but it may be set.
_SLACK = 60_000

#: Finds dead letters by event id; the time (ms) is of the oldest of their failures.
FindLetters = Callable[[Collection[str], int], Mapping[str, Delivered]]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which failures are meant: those events (ids or beginnings of ids), or else those that the filter admits."""

    events: tuple[str, ...] = ()
    only: FailureFilter = field(default_factory=FailureFilter)
    #: At most that many; 0 means no limit.
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one failure; ``reference`` is what was sent, or in a dry run would have been."""

    event_id: str
    record: FailureRecord | None = None
    reference: AudioReference | None = None
    error: LfkError | None = None


@dataclass(slots=True)
class Tally:
    """What became of all of them."""

    handled: int = 0
    failed: int = 0
    #: Sent and never confirmed, because of a stop or an outage.
    left: int = 0
    seconds: float = 0.0
    outage: LfkError | None = None


def choose(failures: Failures, choice: Choice, audio_root: Location, *, newest: bool = False) -> Iterator[Recorded]:
    """What is meant, oldest first. A limit takes the oldest, or the ``newest``; those are held in memory.

    One that cannot be found or read comes as an error, whatever the filter.

    Raises:
        UsageError: what is to name an event does not, or names several; nothing has come before it then.
        Unreachable: an outage of the store.
    """
    if choice.events:
        # Each is looked up before any is handed out.
        named = [_name(failures, text) for text in dict.fromkeys(choice.events)]
        yield from (one if isinstance(one, Recorded) else _load(failures, one) for one in named)
        return
    events = failures.events()
    if newest and choice.limit:
        events.reverse()
    meant = (
        found for found in failures.read(events) if found.record is None or choice.only.admits(found.record, audio_root)
    )
    if not choice.limit:
        yield from meant
    elif newest:
        yield from reversed(list(islice(meant, choice.limit)))
    else:
        yield from islice(meant, choice.limit)


def find_letters(broker: Broker | None, topic: str, events: Collection[str], since: int) -> Mapping[str, Delivered]:
    """Those dead letters of ``events`` that the topic still has.

    Raises:
        BrokerUnreachable: it does not answer.
    """
    found: dict[str, Delivered] = {}
    if broker is None:
        return found
    try:
        for letter in broker.snapshot(topic, max(0, since - _SLACK)):
            event = letter.headers.get(DEAD_EVENT, b"").decode("ascii", "replace")
            if event in events:
                found[event] = letter
            if len(found) == len(events):
                break
    except TopicMissing as error:
        log.info("no dead letter is looked up: %s", error)
    return found


def discard(
    failures: Failures,
    choice: Choice,
    audio_root: Location,
    report: Callable[[Handled], None],
    stop: threading.Event,
    *,
    dry_run: bool,
) -> Tally:
    """Remove the records of what is chosen, also of those that cannot be read, unless a filter would have to."""
    tally, begun = Tally(), time.monotonic()
    try:
        for found in choose(failures, choice, audio_root):
            if stop.is_set():
                break
            try:
                _discard(failures, found, choice, dry_run=dry_run)
            except LfkError as error:
                if isinstance(error, Unreachable):
                    raise
                tally.failed += 1
                report(Handled(found.event_id, found.record, error=error))
            else:
                tally.handled += 1
                report(Handled(found.event_id, found.record))
    except Unreachable as error:
        tally.outage = error
    tally.seconds = time.monotonic() - begun
    return tally


class Retrier:
    """Sends failed references again; streams, whatever their number."""

    def __init__(
        self,
        codec: Codec,
        roots: Roots,
        request: Request,
        find: FindLetters,
        report: Callable[[Handled], None],
        stop: threading.Event,
        sender: ReferenceSender | None,
    ) -> None:
        """``request``: an approach or model that takes the place of what was asked. No sender makes a dry run."""
        self._codec = codec
        self._roots = roots
        self._request = request
        self._find = find
        self._report = report
        self._stop = stop
        self._flight = None if sender is None else InFlight[Handled](sender, self._settled, lambda: self._over)
        self._tally = Tally()

    def run(self, chosen: Iterable[Recorded]) -> Tally:
        """Send each again, and wait until everything is confirmed. An outage ends it, and is told in the tally."""
        begun = time.monotonic()
        source = iter(chosen)
        try:
            while not self._over and (together := list(islice(source, _TOGETHER))):
                self._send_all(together)
        except Unreachable as error:
            self._tally.outage = error
        if self._flight is not None:
            self._tally.left = self._flight.finish()
        self._tally.seconds = time.monotonic() - begun
        return self._tally

    @property
    def _over(self) -> bool:
        return self._stop.is_set() or self._tally.outage is not None

    def _send_all(self, together: list[Recorded]) -> None:
        without = {
            one.event_id: one.record.announcement.timestamp
            for one in together
            if one.record is not None and one.record.original is None
        }
        letters = self._find(without.keys(), min(without.values())) if without else {}
        for one in together:
            if self._over:
                return
            item = Handled(one.event_id, one.record)
            try:
                self._send(one, letters.get(one.event_id))
            except LfkError as error:
                self._settled(item, error)

    def _send(self, found: Recorded, letter: Delivered | None) -> None:
        if found.record is None:
            raise found.error or FailureMissing(f"no failure is recorded under {found.event_id}")
        reference, carried = self._content(found.record, letter)
        address, reference = self._resolve(reference)
        again = replace(reference, causation_id=found.event_id, timestamp=int(time.time() * 1000))
        item = Handled(found.event_id, found.record, again)
        if self._flight is None:
            self._settled(item, None)
        else:
            self._flight.send(item, address.location, again, carried)

    def _content(self, record: FailureRecord, letter: Delivered | None) -> tuple[AudioReference, Mapping[str, bytes]]:
        """What the failed reference said, and the headers that came with it: from the store, else its dead letter."""
        original = record.original
        if original is not None and "value" in original.left_out:
            raise NotRetryable(f"its message has {original.size} bytes, which no reference has")
        if original is not None:
            value, headers = original.value, original.headers
        elif letter is not None:
            value, headers = letter.value, letter.headers
        else:
            raise NotRetryable(
                "the store holds an older record without the message, and the dead letter is not to be had",
                hint=f"send it anew with `lfk submit`, then `lfk dlq discard {record.event_id}`",
            )
        try:
            return self._codec.decode_reference(value), headers
        except RejectedReference as error:
            raise NotRetryable(f"its message is no reference: {error}") from error

    def _resolve(self, reference: AudioReference) -> tuple[AudioAddress, AudioReference]:
        """Where it leads, under the approach and model that take the place of its own."""
        path, asked = reference.path_to_audio, self._request
        try:
            if not asked.names_pair:
                return resolve(path, reference.transcription_approach, self._roots), reference
            approach, model = asked.approach, asked.model
            if not (approach and model):
                present = resolve(path, reference.transcription_approach, self._roots)
                approach, model = approach or present.approach.name, model or present.model
            pair = f"{approach}.{model}"
            return resolve(path, pair, self._roots), replace(reference, transcription_approach=pair)
        except (UnknownApproach, UnknownModel) as error:
            raise type(error)(
                error.message, hint="let LFK_MODELS list it, or say what to use with both --approach and --model"
            ) from error

    def _settled(self, item: Handled, error: Exception | None) -> None:
        if error is None:
            self._tally.handled += 1
            self._report(item)
        elif not isinstance(error, LfkError):
            raise error
        elif isinstance(error, Unreachable | BrokerFull) or error.kind is Kind.FATAL:
            self._tally.outage = self._tally.outage or error
        else:
            self._tally.failed += 1
            self._report(replace(item, error=error))


def _name(failures: Failures, text: str) -> str | Recorded:
    """The event that is meant, or that there is none."""
    try:
        return failures.find(text)
    except FailureMissing as error:
        return Recorded(text, error=error)


def _load(failures: Failures, event: str) -> Recorded:
    try:
        return Recorded(event, failures.load(event))
    except (FailureMissing, FailureUnreadable, StoreError) as error:
        return Recorded(event, error=error)


def _discard(failures: Failures, found: Recorded, choice: Choice, *, dry_run: bool) -> None:
    if found.error is not None and (isinstance(found.error, FailureMissing) or choice.only.narrows):
        raise found.error
    if not dry_run:
        failures.forget(found.event_id)
