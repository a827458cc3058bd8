"""CloudEvents 1.0 in Kafka's binary content mode: the context attributes as ``ce_…`` headers.

Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

#: W3C trace context, carried through untouched.
TRACEPARENT = "traceparent"
_MAX_CARRIED = 512


def event_headers(
    *, event: str, type_: str, source: str, timestamp: int, carried: Mapping[str, bytes] | None = None
) -> dict[str, bytes]:
    """Headers of one event; ``timestamp`` in ms since the epoch. A sane ``traceparent`` of ``carried`` goes along."""
    time = datetime.fromtimestamp(timestamp / 1000, timezone.utc).isoformat(timespec="milliseconds")
    headers = {
        "ce_id": event,
        "ce_source": source,
        "ce_type": type_,
        "ce_specversion": "1.0",
        "ce_time": time.replace("+00:00", "Z"),
        "content-type": "application/json",
    }
    encoded = {name: value.encode("utf-8") for name, value in headers.items()}
    trace = (carried or {}).get(TRACEPARENT)
    if trace and len(trace) <= _MAX_CARRIED:
        encoded[TRACEPARENT] = trace
    return encoded
