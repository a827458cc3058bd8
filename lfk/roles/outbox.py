"""References left in the store while no broker runs, and their way onto the broker once one does.

Only for the embedded broker: ``<store>/.lfk/outbox/`` holds one small object a record. Draining publishes first
and deletes after the confirmation, so a crash in between sends a reference twice (harmless) and never loses one.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterator

from lfk.brokers.base import Publisher, Record
from lfk.core.errors import LfkError, MalformedMessage, ObjectMissing
from lfk.core.location import Location
from lfk.stores.base import IfAbsent, ObjectStore

log = logging.getLogger(__name__)

#: A record here is a reference in base64 with its headers; more than this is not one of ours.
_LIMIT = 256 * 1024
#: How long a drain waits for the broker to confirm what it was given.
_CONFIRM_SECONDS = 30.0


class OutboxPublisher:
    """A :class:`Publisher` that keeps each record in the store. Confirms at once, as the store has it."""

    def __init__(self, store: ObjectStore, records: Location, clock: Callable[[], float]) -> None:
        self._store = store
        self._folder = outbox_folder(records)
        self._clock = clock

    def send(self, record: Record, confirmed: Callable[[Exception | None], None]) -> None:
        name = f"{int(self._clock() * 1000):015d}-{uuid.uuid4().hex}.json"
        try:
            self._store.put(
                self._folder.join(name), _pack(record), content_type="application/json", condition=IfAbsent()
            )
        except LfkError as error:
            confirmed(error)
        else:
            confirmed(None)

    def flush(self, timeout: float) -> int:  # noqa: ARG002 - nothing is ever on its way
        return 0

    def close(self) -> None:
        """Nothing is held."""


def outbox_folder(records: Location) -> Location:
    """Where the outbox lies below lfk's own records."""
    return Location(records.scheme, records.bucket, f"{records.as_prefix().key}outbox/")


def waiting_records(store: ObjectStore, records: Location) -> Iterator[Record]:
    """What waits there; records that are gone by then, or are none, are passed over."""
    for info in store.list(outbox_folder(records)):
        try:
            yield _unpack(store.read(info.location, limit=_LIMIT)[0])
        except (ObjectMissing, MalformedMessage):
            continue


def drain(store: ObjectStore, records: Location, publisher: Publisher, unreadable: set[Location]) -> set[str]:
    """Publish everything that waits, oldest first; returns the record keys (audio locations) of what was sent.

    Stops early, without an error, where the broker is full: the rest waits for the next drain. What is no record is
    left where it is, told of once, and added to ``unreadable``, which is passed over.
    """
    drained: set[str] = set()
    for info in store.list(outbox_folder(records)):
        if not info.location.key.endswith(".json") or info.location in unreadable:
            continue
        data, _info = store.read(info.location, limit=_LIMIT)
        try:
            record = _unpack(data)
        except MalformedMessage as error:
            log.error("%s is left alone: %s", info.location, error)
            unreadable.add(info.location)
            continue
        failure = _send_and_wait(publisher, record)
        if failure is not None:
            log.warning("the outbox waits: %s", failure)
            break
        store.delete(info.location)
        drained.add((record.key or b"").decode("utf-8", "replace"))
    return drained


def waiting_key(data: bytes) -> str | None:
    """The key (location of the audio) of a record that waits; None where it is no record or has none."""
    try:
        key = _unpack(data).key
    except MalformedMessage:
        return None
    return None if key is None else key.decode("utf-8", "replace")


def _send_and_wait(publisher: Publisher, record: Record) -> Exception | None:
    done = threading.Event()
    outcome: list[Exception | None] = []

    def confirmed(error: Exception | None) -> None:
        outcome.append(error)
        done.set()

    try:
        publisher.send(record, confirmed)
    except LfkError as error:
        return error
    if not done.wait(_CONFIRM_SECONDS):
        return TimeoutError(f"not confirmed in {_CONFIRM_SECONDS:.0f} s")
    return outcome[0]


def _pack(record: Record) -> bytes:
    data = {
        "topic": record.topic,
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": {name: _text(value) for name, value in record.headers.items()},
    }
    return json.dumps(data).encode("utf-8")


def _unpack(data: bytes) -> Record:
    try:
        fields = json.loads(data)
        return Record(
            topic=str(fields["topic"]),
            key=_bytes(fields["key"]),
            value=_bytes(fields["value"]),
            headers={str(name): _bytes(value) or b"" for name, value in fields["headers"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise MalformedMessage(f"not a record of the outbox: {type(error).__name__}") from error


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode("ascii")


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value, validate=True)
