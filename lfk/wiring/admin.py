"""What `init` makes, in the order in which it makes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lfk.core.errors import UsageError
from lfk.settings import Settings
from lfk.wiring.batch import open_batches
from lfk.wiring.broker import find_broker, real_broker, topic_plans
from lfk.wiring.messages import codec, register_schemas
from lfk.wiring.places import open_store, roots, store_root

if TYPE_CHECKING:
    from lfk.core.batch import Head, Tally
    from lfk.roles.admin import Step
    from lfk.roles.backlog import Outlook
    from lfk.roles.estimate import Lengths
    from lfk.roles.status import Status
    from lfk.stores.base import ObjectStore


def init_steps(settings: Settings, source: str | None) -> Iterator[Step]:
    """Make everything, step by step. ``source``: None for no source folders, empty for those of SOURCE_FOLDER.

    Raises:
        UsageError: before anything is made, where the settings cannot be used.
    """
    from lfk.roles.admin import SOURCE_MODELS, make_places, make_source_folders, make_topics

    folder = settings.source if source == "" else source
    if folder == "":
        raise UsageError(
            "there is no folder to make source folders in", hint="name it behind --source, or set SOURCE_FOLDER"
        )
    where = roots(settings)
    store = open_store(settings)
    places = (store_root(settings), where.audio, where.transcripts)
    yield from make_places(store, places, dry_run=settings.dry_run)
    if settings.bootstrap:
        yield from make_topics(real_broker(settings), topic_plans(settings), dry_run=settings.dry_run)
    yield from register_schemas(settings)
    if folder is not None:
        models = settings.models or SOURCE_MODELS
        yield from make_source_folders(Path(folder).expanduser(), models, dry_run=settings.dry_run)


def open_lengths(settings: Settings, store: ObjectStore) -> Lengths:
    """What judges how long waiting audio is, for as many looks as there are to be."""
    from lfk.roles.estimate import Lengths

    return Lengths(store, roots(settings))


def look(settings: Settings, store: ObjectStore, lengths: Lengths) -> tuple[Status, Outlook]:
    """Where the work stands, and how long what waits will take.

    Raises:
        Unreachable: broker or store do not answer.
    """
    from lfk.roles.backlog import look_ahead
    from lfk.roles.status import look as look_once

    broker = find_broker(settings, store)
    topics = (settings.topic_audio, settings.topic_retry, settings.topic_bulk)
    where = roots(settings)
    status = look_once(broker, store, where, settings.group, topics)
    topic = settings.topic_transcripts
    ahead = look_ahead(broker, store, where, settings.group, status.waiting, topic, codec(settings), lengths.seconds)
    return status, ahead


def look_around(
    settings: Settings, store: ObjectStore, lengths: Lengths
) -> tuple[Status, Outlook, list[tuple[Head, Tally | None]]]:
    """Where the work stands, how long what waits will take, and how far open batches are.

    Raises:
        Unreachable: broker or store do not answer.
    """
    return *look(settings, store, lengths), list(open_batches(settings, store))
