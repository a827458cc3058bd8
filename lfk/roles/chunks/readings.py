"""A gateway in numbers: what each audio adds, and how the gateway is whenever somebody looks."""

from __future__ import annotations

from collections.abc import Iterator

from lfk.core import metrics
from lfk.core.readings import Reading, code_label
from lfk.roles.chunks.audio import Joined
from lfk.roles.chunks.gateway import Gateway
from lfk.roles.chunks.spool import Spool


def of_audio(outcome: Joined) -> Iterator[Reading]:
    """What an audio adds that has come to its end."""
    if outcome.error is not None:
        yield metrics.CHUNKS_FAILURES.of(1, code_label(outcome.error.code))


def of_gateway(gateway: Gateway, spool: Spool) -> Iterator[Reading]:
    """How a gateway is."""
    yield metrics.CHUNKS_AUDIOS.of(gateway.summary.joined, "joined")
    yield metrics.CHUNKS_AUDIOS.of(gateway.summary.failed, "failed")
    yield metrics.CHUNKS_BYTES.of(gateway.summary.size)
    yield metrics.CHUNKS_OPEN.of(gateway.in_hand)
    yield metrics.CHUNKS_SPOOL.of(spool.filled)
