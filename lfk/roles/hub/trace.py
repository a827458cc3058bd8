"""A job as spans: one for an attempt at it, and one for each stage that it went through."""

from __future__ import annotations

import time

from lfk.core.cloudevents import TRACEPARENT
from lfk.core.errors import LfkError
from lfk.core.printable import printable
from lfk.roles.hub.job import Job
from lfk.roles.tracing import Tracer, messaging


def trace_job(tracer: Tracer, job: Job, error: LfkError | None) -> bytes:
    """Record an attempt that has just come to its end; what its answer is to name as its parent."""
    ended = time.time()
    topic = job.record.partition.topic
    details = {
        "lfk.event_id": job.event_id,
        "lfk.job_id": job.job_id,
        "lfk.approach": job.address.pair if job.address else None,
        "lfk.audio": printable(str(job.address.location)) if job.address else None,
        "lfk.queued_seconds": job.timings.get("queued"),
        "lfk.reused": None if error is not None else str(not job.transcribed).lower(),
        "messaging.destination.partition.id": str(job.record.partition.number),
        "messaging.kafka.offset": job.record.offset,
    }
    span = tracer.begin(
        f"process {topic}",
        "consumer",
        parent=job.record.headers.get(TRACEPARENT),
        at=job.started or ended,
        attributes=messaging(topic, "process", **details),
    )
    stages = list(job.began.items())
    for index, (stage, began) in enumerate(stages):
        last = index == len(stages) - 1
        over = ended if last else min(began + job.timings.get(stage, float("inf")), stages[index + 1][1])
        child = tracer.begin(stage, "internal", parent=span.header, at=began)
        child.end(error=error.code if error is not None and last else "", at=over)
    span.end(error=error.code if error is not None else "", at=ended)
    return span.header
