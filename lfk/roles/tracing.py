"""What roles ask of tracing: spans that are parts of one trace from the sender to the reader, whatever records them.

A role without a tracer does nothing; what a record carries is carried on all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

SpanKind = Literal["producer", "consumer", "internal"]


class Span(Protocol):
    """A piece of work."""

    @property
    def header(self) -> bytes:
        """What others name as their parent: the value of a ``traceparent`` header."""

    def end(self, *, error: str = "", at: float | None = None) -> None:
        """It is over, ``at`` then (seconds since the epoch; now), with the error of this code."""


class Tracer(Protocol):
    """Begins spans. Safe for use by several threads; never blocks and never fails."""

    def begin(
        self,
        name: str,
        kind: SpanKind,
        *,
        parent: bytes | None = None,
        linked: bool = False,
        at: float | None = None,
        attributes: Mapping[str, str | int | float | None] | None = None,
    ) -> Span:
        """Begin one, ``at`` then (seconds since the epoch; now).

        Args:
            parent: a ``traceparent``; one that is none of the W3C's form begins a trace of its own.
            linked: a link says as well that the parent's work was handed over by a message.
        """


def messaging(topic: str, operation: str, **more: str | int | float | None) -> dict[str, str | int | float | None]:
    """Attributes of a span that sends or processes a message, by OpenTelemetry's semantic conventions."""
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation.type": operation,
        **more,
    }
