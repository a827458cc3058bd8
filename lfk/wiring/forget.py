"""Forgetting: settings into what is removed, and what topics still say of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from lfk.core.errors import ObjectMissing, RejectedReference, UsageError
from lfk.core.forget_target import Target, means_path, targets
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.broker import find_broker
from lfk.wiring.hubs import copies_folder
from lfk.wiring.places import roots

if TYPE_CHECKING:
    from lfk.roles.forget import ForgetSummary
    from lfk.roles.forget_topics import Remaining
    from lfk.roles.traces import Trace


def meant(settings: Settings, store: ObjectStore, names: Sequence[str]) -> list[Target]:
    """What the names of a command line stand for.

    Raises:
        UsageError: one of them is no audio's, or leads to two recordings.
        Unreachable: the store.
    """
    where = roots(settings)
    found: list[Target] = []
    for name in names:
        try:
            places = targets(name, where)
        except RejectedReference as error:
            raise UsageError(error.message, hint=error.hint) from error
        there = [target.at for target in places if _holds(store, target)] if len(places) > 1 else []
        if len(there) > 1:
            # A leading `sources` is dropped where nothing is stored under it; here both are, and only one is meant.
            raise UsageError(
                f"{name[:200]!r} may mean {' or '.join(map(str, there))}, which are different recordings",
                hint="name the one that is meant by its location",
            )
        found.extend(places)
    return found


def _holds(store: ObjectStore, target: Target) -> bool:
    if target.is_prefix:
        return next(iter(store.list(target.at)), None) is not None
    try:
        store.stat(target.at)
    except ObjectMissing:
        return False
    return True


def forget(
    settings: Settings,
    store: ObjectStore,
    wanted: Sequence[Target],
    report: Callable[[Trace], None],
    stop: threading.Event,
    *,
    dry_run: bool,
) -> ForgetSummary:
    """Remove all of it from the store.

    Raises:
        Unreachable, AccessDenied: the store.
    """
    from lfk.roles.forget import Forget
    from lfk.roles.forgotten import Forgotten
    from lfk.roles.traces import Traces

    where = roots(settings)
    store.check(where.transcripts)
    traces = Traces(store, where, copies=copies_folder(settings), history=True)
    return Forget(traces, Forgotten(store, where.records), report, stop, dry_run=dry_run).run(wanted)


def lift(settings: Settings, store: ObjectStore, wanted: Sequence[Target]) -> int:
    """Take the notes of audio away, so that it may come again; returns how many there were.

    Raises:
        UsageError: a prefix, of whose audio no names are kept.
    """
    from lfk.roles.forget import lift as take_away
    from lfk.roles.forgotten import Forgotten

    if any(target.is_prefix for target in wanted):
        raise UsageError(
            "which audio of a prefix was forgotten is not known: that is what forgetting means",
            hint="name each audio",
        )
    return take_away(Forgotten(store, roots(settings).records), [target.at for target in wanted])


def still_in_topics(
    settings: Settings, store: ObjectStore, wanted: Sequence[Target], *, dry_run: bool
) -> Iterator[Remaining]:
    """What the topics still have of it, without what hubs have answered; nothing where no broker runs.

    Raises:
        BrokerUnreachable, BrokerDenied: the broker.
    """
    from lfk.roles.forget_topics import remaining
    from lfk.roles.hub.trimmer import trim

    broker = find_broker(settings, store)
    if broker is None:
        return
    trimmed = (settings.topic_audio, settings.topic_bulk, settings.topic_retry) if settings.trim_interval else ()
    for topic in () if dry_run else trimmed:
        if broker.partitions(topic):
            trim(broker, settings.group, topic, least=1)
    topics = (
        settings.topic_audio,
        settings.topic_bulk,
        settings.topic_retry,
        settings.topic_dlq,
        settings.topic_transcripts,
        settings.topic_chunks,
    )
    where = roots(settings)
    yield from remaining(broker, topics, trimmed, lambda key: means_path(key, None, wanted, where))
