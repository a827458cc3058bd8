"""The one client that asks a cluster about itself, and that finds out why it gets no answer.

librdkafka goes on trying by itself, whatever is wrong: a request then ends after its whole time with "no answer". What
was wrong it tells aside, and of certificates only that one could not be verified. So a request is made in short steps;
after the first that fails, what was told aside and a TLS handshake of our own decide whether waiting is of any use.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata

from lfk.brokers.kafka_errors import kafka_border
from lfk.brokers.kafka_tls import tls_fault
from lfk.core.errors import BrokerDenied, BrokerUnreachable, LfkError
from lfk.core.printable import printable

#: How long a broker may take to answer before it counts as out of reach; people wait for this.
REQUEST_SECONDS = 10.0
#: The first step; each further one is twice as long, so that a slow broker gets its time, too.
_FIRST_STEP_SECONDS = 1.0
_TEXT_LIMIT = 300


class Contact:
    """See the module. Safe for use by several threads."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """``config`` is librdkafka's."""
        self._config = config
        #: By code, what librdkafka has told aside last.
        self._told: dict[int, str] = {}

    @cached_property
    def admin(self) -> AdminClient:
        """Made when it is first needed: that costs a tenth of a second and a connection."""
        with kafka_border("setting up the Kafka client"):
            # Its type hints know of no callbacks, which every client takes.
            config: dict[str, Any] = {**self._config, "error_cb": self._hear}
            if "debug" not in config:
                # Whatever it would log of failures is told by the errors that come of them.
                config["log_level"] = 0
            return AdminClient(config)

    def metadata(self, doing: str, topic: str | None = None) -> ClusterMetadata:
        """The cluster and its topics, or one of them.

        Raises:
            BrokerDenied, BrokerUntrusted, BrokerSettingsInvalid: there will never be an answer, within seconds.
            BrokerUnreachable: there is none in :data:`REQUEST_SECONDS`.
        """
        step, deadline = _FIRST_STEP_SECONDS, time.monotonic() + REQUEST_SECONDS
        looked = False
        # What went wrong before is no reason for what goes wrong now.
        self.admin.poll(0)
        self._told.clear()
        while True:
            try:
                with kafka_border(doing):
                    return self._list(topic, step)
            except BrokerUnreachable as error:
                self.admin.poll(0)
                fault = self._refusal(doing) or (None if looked else self._tls_fault(doing))
                if fault is not None:
                    raise fault from error
                looked = True
                left = deadline - time.monotonic()
                if left <= 0:
                    raise BrokerUnreachable(f"{error.message}{self.reason()}") from error
                step = min(2 * step, left)

    def close(self) -> None:
        """Let go of the client; the next request makes another."""
        self.__dict__.pop("admin", None)

    def _list(self, topic: str | None, seconds: float) -> ClusterMetadata:
        if topic is None:
            return self.admin.list_topics(timeout=seconds)
        return self.admin.list_topics(topic, timeout=seconds)

    def _hear(self, error: KafkaError) -> None:
        self._told.pop(error.code(), None)
        self._told[error.code()] = printable(error.str(), _TEXT_LIMIT)

    def _refusal(self, doing: str) -> LfkError | None:
        told = self._told.get(KafkaError._AUTHENTICATION)
        return None if told is None else BrokerDenied(f"{doing}: {told}")

    def _tls_fault(self, doing: str) -> LfkError | None:
        return tls_fault(self._config, doing)

    def reason(self) -> str:
        """What librdkafka told last, other than that no broker is left; empty where it told nothing."""
        self.admin.poll(0)
        told = [text for code, text in self._told.items() if code != KafkaError._ALL_BROKERS_DOWN]
        return f"; {told[-1]}" if told else ""
