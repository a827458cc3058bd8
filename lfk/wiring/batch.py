"""Batch work: settings into submit, republish, check, and the batches that are recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.broker import reference_sender
from lfk.wiring.places import roots
from lfk.wiring.references import confirm_topic, request

if TYPE_CHECKING:
    from lfk.core.batch import Head, Tally
    from lfk.core.selection import Chosen
    from lfk.roles.check import Check, Finding
    from lfk.roles.estimate import Estimator
    from lfk.roles.republish import Republished, Republisher
    from lfk.roles.submit import Submitted, Submitter
    from lfk.roles.tracing import Tracer

#: Parts of all open batches that a plain `lfk status` goes through: some seconds on a store far away.
_STATUS_PARTS = 10


@contextmanager
def open_submit(
    settings: Settings,
    store: ObjectStore,
    report: Callable[[Submitted], None],
    stop: threading.Event,
    tracer: Tracer | None = None,
) -> Iterator[Submitter]:
    """A submitter with a sender of its own, which goes with the block.

    Raises:
        BrokerUnreachable, TopicMissing: references could not be sent.
        UsageError: what is asked for is not offered here.
    """
    from lfk.roles.batches import Batches, BatchRecorder, new_batch
    from lfk.roles.submit import Submitter

    where, asked = roots(settings), request(settings)
    with ExitStack() as stack:
        sender = recorder = None
        if not settings.dry_run:
            confirm_topic(settings, settings.topic_audio)
            sender = reference_sender(settings, store, "submit", tracer=tracer)
            stack.callback(sender.close)
            recorder = BatchRecorder(Batches(store, where.records), new_batch("submit", asked.to_dict()))
        yield Submitter(store, sender, where, asked, report, stop, recorder=recorder, trust=settings.trust)


def chosen(settings: Settings, prefix: str) -> Chosen:
    """Which audio is meant, and what is asked for it. ``prefix``: empty for all below the audio root.

    Raises:
        UsageError: it cannot be.
    """
    from lfk.core.patterns import Selection
    from lfk.core.selection import Chosen, check_only
    from lfk.roles.names import prefixes

    return Chosen(
        only=check_only(settings.only),
        below=tuple(prefixes(prefix if prefix.endswith("/") else f"{prefix}/", roots(settings))) if prefix else (),
        patterns=Selection(settings.include, settings.exclude),
        since=_moment("LFK_SINCE", settings.since),
        until=_moment("LFK_UNTIL", settings.until),
        limit=settings.limit,
        request=request(settings),
        force=settings.force,
    )


@contextmanager
def open_republish(
    settings: Settings,
    store: ObjectStore,
    report: Callable[[Republished], None],
    stop: threading.Event,
    tracer: Tracer | None = None,
) -> Iterator[Republisher]:
    """A republisher with a sender of its own to the bulk topic, which goes with the block.

    Raises:
        BrokerUnreachable, TopicMissing: references could not be sent.
    """
    from lfk.roles.republish import Republisher

    with ExitStack() as stack:
        sender = None
        if not settings.dry_run:
            confirm_topic(settings, settings.topic_bulk)
            sender = reference_sender(settings, store, "republish", bulk=True, tracer=tracer)
            stack.callback(sender.close)
        yield Republisher(store, sender, roots(settings), report, stop)


def open_check(
    settings: Settings, store: ObjectStore, report: Callable[[Finding], None], stop: threading.Event
) -> Check:
    """A check of everything in the store."""
    from lfk.roles.check import Check

    return Check(store, roots(settings), report, stop, deep=settings.deep)


def estimated(settings: Settings, store: ObjectStore, chosen: Mapping[tuple[str, str], tuple[int, int]]) -> Estimator:
    """How much work audio is. ``chosen``: its suffix and ``approach.model`` (empty: the path's) to bytes and number."""
    from lfk.roles.estimate import open_estimator

    estimator = open_estimator(store, roots(settings))
    for (suffix, pair), (size, count) in chosen.items():
        estimator.add(f".{suffix}", size, pair, count)
    return estimator


def look_at_batch(settings: Settings, store: ObjectStore, batch_id: str) -> tuple[Head, Tally]:
    """How far one batch is; one that is answered whole is let go.

    Raises:
        UsageError: there is no such batch.
    """
    from lfk.roles.batch_progress import Judge, OpenBatches
    from lfk.roles.batches import Batches
    from lfk.roles.failed import failures

    where = roots(settings)
    batches = Batches(store, where.records)
    head = batches.head(batch_id)
    return head, OpenBatches(batches, Judge(store, where, failures(store, where))).tally(head)


def open_batches(settings: Settings, store: ObjectStore) -> Iterator[tuple[Head, Tally | None]]:
    """Every open batch, and how far it is where that is told quickly; those that are answered whole are let go."""
    from lfk.roles.batch_progress import Judge, OpenBatches
    from lfk.roles.batches import Batches
    from lfk.roles.failed import failures

    where = roots(settings)
    batches = Batches(store, where.records)
    heads = list(batches.open())
    if not heads:
        return
    opened = OpenBatches(batches, Judge(store, where, failures(store, where)))
    room = _STATUS_PARTS
    for head in heads:
        room -= len(batches.part_names(head.batch_id)) - len(batches.tallies(head.batch_id))
        tally = opened.tally(head) if room >= 0 else None
        if tally is None or tally.outstanding or not head.finished:
            yield head, tally


def _moment(env: str, text: str) -> float | None:
    """Seconds since the epoch; None where nothing is written."""
    from lfk.roles.moment import parse_moment

    return parse_moment(text, env, int(time.time() * 1000)) / 1000 if text else None
