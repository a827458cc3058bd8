"""Spans into OpenTelemetry: the only module that knows its SDK. Needs ``lfk[otel]``; imported where traces are wanted.

Spans wait in a bounded queue and are sent by a thread of the SDK's; where the collector is slow or away they are
dropped, and the work goes on. What the standard variables say of sampling, batches and certificates is the SDK's own
business to read.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, get_current_span
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

log = logging.getLogger(__name__)

#: One try of one batch, with the repetitions that the exporter makes of it.
_EXPORT_SECONDS = 5
#: What the last spans get when the process ends.
FLUSH_SECONDS = 3.0
#: Between two lines about a collector that takes nothing.
_COMPLAINT_SECONDS = 300.0

_KINDS = {"producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER, "internal": SpanKind.INTERNAL}
_HEADER = "traceparent"


class OtlpTracer:
    """See :class:`lfk.roles.tracing.Tracer`."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], service: str, version: str) -> None:
        """``endpoint`` takes OTLP over HTTP, ``…/v1/traces``; ``headers`` go with each request."""
        for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
            # Its complaints come for every batch; ours come now and then.
            logging.getLogger(name).setLevel(logging.CRITICAL)
        exporter = _Quiet(
            OTLPSpanExporter(endpoint=endpoint, headers=dict(headers) or None, timeout=_EXPORT_SECONDS), endpoint
        )
        resource = Resource.create({"service.name": service, "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("lfk", version)
        self._propagator = TraceContextTextMapPropagator()

    def begin(
        self,
        name: str,
        kind: str,
        *,
        parent: bytes | None = None,
        linked: bool = False,
        at: float | None = None,
        attributes: Mapping[str, str | int | float | None] | None = None,
    ) -> OtlpSpan:
        """See the protocol."""
        context = self._propagator.extract({_HEADER: parent.decode("ascii", "replace")} if parent else {}, Context())
        came_from = get_current_span(context).get_span_context()
        span = self._tracer.start_span(
            name,
            context,
            _KINDS[kind],
            {key: value for key, value in (attributes or {}).items() if value is not None},
            [Link(came_from)] if linked and came_from.is_valid else None,
            _nanoseconds(at),
        )
        return OtlpSpan(span)

    def close(self) -> None:
        """Send what waits, within :data:`FLUSH_SECONDS`; what is not through by then is lost."""
        thread = threading.Thread(target=self._provider.shutdown, name="lfk-traces", daemon=True)
        thread.start()
        thread.join(FLUSH_SECONDS)


class OtlpSpan:
    """See :class:`lfk.roles.tracing.Span`."""

    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    @property
    def header(self) -> bytes:
        """See the protocol."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}".encode("ascii")

    def end(self, *, error: str = "", at: float | None = None) -> None:
        """See the protocol."""
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(_nanoseconds(at))


class _Quiet(SpanExporter):
    """An exporter whose failures are one line every few minutes."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._complained = -_COMPLAINT_SECONDS

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS and time.monotonic() - self._complained >= _COMPLAINT_SECONDS:
            self._complained = time.monotonic()
            log.warning("%d spans are dropped: %s does not take them", len(spans), self._endpoint)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _nanoseconds(at: float | None) -> int | None:
    return None if at is None else int(at * 1e9)
