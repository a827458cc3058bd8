"""Recorded failures: which are meant, and what sends them again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lfk.core.errors import RejectedReference, UsageError
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.broker import find_broker, reference_sender
from lfk.wiring.messages import codec
from lfk.wiring.places import roots
from lfk.wiring.references import confirm_topic

if TYPE_CHECKING:
    from lfk.roles.dead_letters import Choice, Handled, Retrier
    from lfk.roles.failures import Failures
    from lfk.roles.tracing import Tracer


def open_failures(settings: Settings, store: ObjectStore) -> Failures:
    """The failures that the store holds."""
    from lfk.roles.failures import Failures

    return Failures(store, roots(settings).records)


def failure_choice(settings: Settings, events: Sequence[str]) -> Choice:
    """Those events, or what the settings narrow it down to.

    Raises:
        UsageError: a time that cannot be read, or both events and what narrows.
    """
    from lfk.core.failure_filter import FailureFilter
    from lfk.roles.dead_letters import Choice
    from lfk.roles.moment import parse_moment

    now = int(time.time() * 1000)
    only = FailureFilter(
        causes=frozenset(settings.dlq_causes),
        key=settings.dlq_key,
        since=parse_moment(settings.since, "LFK_SINCE", now) if settings.since else None,
        until=parse_moment(settings.until, "LFK_UNTIL", now) if settings.until else None,
    )
    if events and only.narrows:
        raise UsageError("events are named and narrowed down as well", hint="leave one of them out")
    return Choice(tuple(events), only, settings.limit)


@contextmanager
def open_retrier(
    settings: Settings,
    store: ObjectStore,
    report: Callable[[Handled], None],
    stop: threading.Event,
    tracer: Tracer | None = None,
) -> Iterator[Retrier]:
    """A retrier with a sender of its own, which goes with the block.

    Raises:
        BrokerUnreachable, TopicMissing: references could not be sent.
        UsageError: the approach or model to use is not offered here.
    """
    from lfk.core.request import Request
    from lfk.roles.dead_letters import Retrier, find_letters

    where = roots(settings)
    try:
        asked = Request.make(settings.approach, settings.model, {}, where)
    except RejectedReference as error:
        raise UsageError(error.message, hint=error.hint) from error
    sender = None
    if not settings.dry_run:
        confirm_topic(settings, settings.topic_bulk if settings.dlq_bulk else settings.topic_audio)
        sender = reference_sender(settings, store, "dlq", bulk=settings.dlq_bulk, tracer=tracer)
    try:
        yield Retrier(
            codec(settings),
            where,
            asked,
            lambda events, since: find_letters(find_broker(settings, store), settings.topic_dlq, events, since),
            report,
            stop,
            sender,
        )
    finally:
        if sender is not None:
            sender.close()
