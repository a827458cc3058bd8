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
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from lfk.brokers.base import Broker, Delivered
from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.errors import (
    FailureMissing,
    FailureUnreadable,
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
from lfk.roles.dispatch import Dispatch
from lfk.roles.failures import Failures, Recorded
from lfk.roles.parallel import in_parallel
from lfk.roles.sender import ReferenceSender

if TYPE_CHECKING:
    from lfk.brokers.codec import Codec

log = logging.getLogger(__name__)

#: Failures taken together, so that the dead letters of old records are looked up in one reading of their topic.
_TOGETHER = 100
#: References on their way at a time: at most 64 KiB each, with the record of the failure.
IN_FLIGHT = 500
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

    def remove(found: Recorded) -> Handled:
        error = found.error
        if error is not None and (isinstance(error, FailureMissing) or choice.only.narrows):
            return Handled(found.event_id, error=error)
        try:
            if not dry_run:
                failures.forget(found.event_id)
        except LfkError as refusal:
            return Handled(found.event_id, found.record, error=refusal)
        return Handled(found.event_id, found.record)

    tally, begun = Tally(), time.monotonic()
    # Over early means that no more are taken up: what has begun is told of.
    chosen = takewhile(lambda _found: not stop.is_set() and tally.outage is None, choose(failures, choice, audio_root))
    try:
        for item in in_parallel(remove, chosen):
            if isinstance(item.error, Unreachable):
                tally.outage = tally.outage or item.error
                continue
            tally.failed += item.error is not None
            tally.handled += item.error is None
            report(item)
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
        self._tally = Tally()
        self._dispatch = (
            None if sender is None else Dispatch(sender, stop, self._sent, self._refused, in_flight=IN_FLIGHT)
        )

    def run(self, chosen: Iterable[Recorded]) -> Tally:
        """Send each again, and wait until everything is confirmed. An outage ends it, and is told in the tally."""
        begun = time.monotonic()
        source = iter(chosen)
        try:
            while not self._over and (together := list(islice(source, _TOGETHER))):
                self._send_all(together)
        except Unreachable as error:
            self._tally.outage = error
        if self._dispatch is not None:
            self._tally.left = self._dispatch.finish()
            self._tally.outage = self._tally.outage or self._dispatch.outage
        self._tally.seconds = time.monotonic() - begun
        return self._tally

    @property
    def _over(self) -> bool:
        return self._stop.is_set() if self._dispatch is None else self._dispatch.over

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
            try:
                self._send(one, letters.get(one.event_id))
            except LfkError as error:
                self._refused(Handled(one.event_id, one.record), error)

    def _send(self, found: Recorded, letter: Delivered | None) -> None:
        if found.record is None:
            raise found.error or FailureMissing(f"no failure is recorded under {found.event_id}")
        reference, carried = self._content(found.record, letter)
        address, reference = self._resolve(reference)
        again = replace(reference, causation_id=found.event_id, timestamp=int(time.time() * 1000))
        item = Handled(found.event_id, found.record, again)
        if self._dispatch is None:
            self._sent(item)
        else:
            self._dispatch.send(item, address.location, again, carried)

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

    def _sent(self, item: Handled) -> None:
        self._tally.handled += 1
        self._report(item)

    def _refused(self, item: Handled, error: LfkError) -> None:
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
