"""Sends references: the message, its key, its headers. Every role that asks for work goes through here."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lfk.brokers.base import Publisher, Record
from lfk.core.cloudevents import TRACEPARENT, event_headers
from lfk.core.errors import LfkError
from lfk.core.location import Location
from lfk.core.messages import REFERENCE_TYPE, AudioReference
from lfk.core.printable import printable
from lfk.roles.tracing import Span, Tracer, messaging

if TYPE_CHECKING:
    from lfk.brokers.codec import Codec

#: Events of a process are its own random number and a count: asking the system for randomness costs a bulk sender a
#: tenth of its time.
_PROCESS = secrets.token_hex(10)
_numbers = itertools.count()


class ReferenceSender:
    """Publishes references to one topic. Safe for use by several threads."""

    def __init__(
        self, publisher: Publisher, codec: Codec, topic: str, source: str, tracer: Tracer | None = None
    ) -> None:
        """``source`` is the CloudEvents source: which role sends, e.g. ``lfk/sync``."""
        self._publisher = publisher
        self._codec = codec
        self._topic = topic
        self._source = source
        self._tracer = tracer

    def send(
        self,
        audio: Location,
        reference: AudioReference,
        confirmed: Callable[[Exception | None], None],
        carried: Mapping[str, bytes] | None = None,
    ) -> None:
        """Queue one reference; the record key is the canonical location of the audio.

        ``carried`` are the headers of a record that it repeats: their ``traceparent`` goes along.

        Raises:
            RejectedReference: the reference is not one that may be sent.
            BrokerFull: the embedded broker has no room.
        """
        if self._tracer is not None:
            span = self._begin(self._tracer, audio, carried)
            carried, confirmed = {TRACEPARENT: span.header}, _ending(span, confirmed)
        record = reference_record(self._codec, self._topic, self._source, audio, reference, carried)
        self._publisher.send(record, confirmed)

    def _begin(self, tracer: Tracer, audio: Location, carried: Mapping[str, bytes] | None) -> Span:
        """What is not sent after all is no span: it is never ended."""
        return tracer.begin(
            f"send {self._topic}",
            "producer",
            parent=(carried or {}).get(TRACEPARENT),
            attributes=messaging(self._topic, "send", **{"lfk.audio": printable(str(audio))}),
        )

    def flush(self, timeout: float) -> int:
        """Wait for confirmations; returns how many references are not confirmed."""
        return self._publisher.flush(timeout)

    def close(self) -> None:
        """Flush for a short while and let go."""
        self._publisher.close()


def _ending(span: Span, confirmed: Callable[[Exception | None], None]) -> Callable[[Exception | None], None]:
    def ended(error: Exception | None) -> None:
        span.end(error="" if error is None else error.code if isinstance(error, LfkError) else LfkError.code)
        confirmed(error)

    return ended


def reference_record(
    codec: Codec,
    topic: str,
    source: str,
    audio: Location,
    reference: AudioReference,
    carried: Mapping[str, bytes] | None = None,
) -> Record:
    """One reference as a record, for whoever sends it together with other things; ``carried`` headers go along.

    Raises:
        RejectedReference: the reference is not one that may be sent.
    """
    headers = event_headers(
        event=f"{_PROCESS}{next(_numbers):012x}",
        type_=REFERENCE_TYPE,
        source=source,
        timestamp=reference.timestamp or int(time.time() * 1000),
        carried=carried,
    )
    return Record(topic, str(audio).encode("utf-8"), codec.encode_reference(reference), headers)
