"""A producer whose confirmations arrive by themselves: one thread serves librdkafka's delivery reports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from lfk.brokers.base import Record
from lfk.brokers.kafka_drain import drain
from lfk.brokers.kafka_errors import kafka_border, mapped

#: How often the serving thread looks whether it should end; delivery reports wake it at once.
_SERVE_SECONDS = 0.1
#: Room is made as reports come in; this bounds one wait for room, after which the queue is looked at again.
_ROOM_SECONDS = 0.5
#: What `close` waits for what is still on its way.
_CLOSE_SECONDS = 10.0


class KafkaPublisher:
    """See :class:`lfk.brokers.base.Publisher`. The queue is librdkafka's own, bounded by its settings."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        #: Why this producer will never send again, once it will not.
        self._fatal: KafkaError | None = None
        with kafka_border("starting a producer"):
            self._producer = Producer(dict(config))
        self._stopping = threading.Event()
        self._server = threading.Thread(target=self._serve, name="lfk-publisher", daemon=True)
        self._server.start()

    def send(self, record: Record, confirmed: Callable[[Exception | None], None]) -> None:
        doing = f"sending to {record.topic}"

        def report(error: KafkaError | None, _message: Message) -> None:
            # A producer that fails for good purges its queue: what is of use is why it failed.
            confirmed(None if error is None else mapped(self._fatal or error, doing))

        headers: list[tuple[str, str | bytes | None]] = list(record.headers.items())
        # One border around all tries: bulk senders come through here for every reference.
        with kafka_border(doing):
            while True:
                try:
                    self._producer.produce(record.topic, record.value, record.key, headers=headers, on_delivery=report)
                except BufferError:
                    self._poll(_ROOM_SECONDS)
                    continue
                except KafkaException as error:
                    if self._fatal is None:
                        raise
                    raise mapped(self._fatal, doing) from error
                return

    def flush(self, timeout: float) -> int:
        return drain(self._producer, timeout, self._poll)

    def close(self) -> None:
        self.flush(_CLOSE_SECONDS)
        self._stopping.set()
        self._server.join()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._poll(_SERVE_SECONDS)

    def _poll(self, seconds: float) -> None:
        try:
            self._producer.poll(seconds)
        except KafkaException as error:
            # Raised once, in whichever thread polls next; each record that was queued is reported, too, as purged.
            self._fatal = error.args[0]
