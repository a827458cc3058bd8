"""CloudEvents 1.0 in Kafka's binary content mode: the context attributes as ``ce_…`` headers.

Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache

#: W3C trace context, carried through untouched.
TRACEPARENT = "traceparent"
_MAX_CARRIED = 512


def event_headers(
    *, event: str, type_: str, source: str, timestamp: int, carried: Mapping[str, bytes] | None = None
) -> dict[str, bytes]:
    """Headers of one event; ``timestamp`` in ms since the epoch. A sane ``traceparent`` of ``carried`` goes along."""
    encoded = {"ce_id": event.encode("utf-8"), "ce_time": _written(timestamp), **_same(type_, source)}
    trace = (carried or {}).get(TRACEPARENT)
    if trace and len(trace) <= _MAX_CARRIED:
        encoded[TRACEPARENT] = trace
    return encoded


# Bulk senders make thousands of events a second: what they share is written once.
@lru_cache(maxsize=16)
def _same(type_: str, source: str) -> Mapping[str, bytes]:
    headers = {"ce_source": source, "ce_type": type_, "ce_specversion": "1.0", "content-type": "application/json"}
    return {name: value.encode("utf-8") for name, value in headers.items()}


@lru_cache(maxsize=1)
def _written(timestamp: int) -> bytes:
    time = datetime.fromtimestamp(timestamp / 1000, timezone.utc).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z").encode("ascii")
