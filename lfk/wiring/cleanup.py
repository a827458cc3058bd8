"""Cleanup: settings into what is deleted, and the rule for a store that deletes by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from lfk.core.errors import UsageError
from lfk.core.location import Location
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.messages import codec
from lfk.wiring.places import roots
from lfk.wiring.syncing import sync_job

if TYPE_CHECKING:
    from lfk.brokers.base import Broker
    from lfk.roles.cleanup import CleanupSummary, Judged
    from lfk.roles.pending import Pending

_DAY = 86400.0


def clean_up(
    settings: Settings, store: ObjectStore, local: str, report: Callable[[Judged], None], stop: threading.Event
) -> CleanupSummary:
    """Delete (or, without LFK_CLEANUP_YES, judge) stored audio, or the files of the folder ``local``.

    Raises:
        Unreachable: the store is away.
        UsageError: the folder cannot be read, or stored audio is to be kept.
    """
    from lfk.roles.cleanup import Cleanup
    from lfk.roles.placing import Placing
    from lfk.roles.scan import Scan
    from lfk.roles.source import own_folders
    from lfk.roles.sync_state import SyncState

    dry_run = settings.dry_run or not settings.cleanup_yes
    if not local and not dry_run and settings.central_backups:
        raise UsageError(
            "stored audio is the backup of every recording, as CENTRAL_BACKUPS is on",
            hint="set CENTRAL_BACKUPS=false to delete it, or clean up a recordings folder with --local SRC",
        )
    where = roots(settings)
    store.check(where.transcripts)
    cleanup = Cleanup(store, where, report, stop, older_than=settings.cleanup_older_than, dry_run=dry_run)
    if not local:
        return cleanup.stored()
    job = sync_job(settings, local)
    found = Scan(job.source, job.selection, own_folders(job.own_paths))
    return cleanup.local(job.source, iter(found), Placing(job, SyncState(None)))


def sweep_uploads(settings: Settings, store: ObjectStore, report: Callable[[str, int], None]) -> tuple[int, int]:
    """Remove (or, without LFK_CLEANUP_YES, tell of) uploads that were broken off; returns how many, and their bytes.

    Raises:
        Unreachable: the store is away.
    """
    total = 0

    def found(location: Location, size: int) -> None:
        nonlocal total
        total += size
        report(str(location), size)

    dry_run = settings.dry_run or not settings.cleanup_yes
    count = store.sweep(roots(settings).audio, older_than=settings.cleanup_older_than, found=found, dry_run=dry_run)
    return count, total


def expiring(settings: Settings, store: ObjectStore) -> int:
    """How many recordings hubs are going to delete by themselves."""
    from lfk.roles.expiring import Expiring

    return sum(1 for _record in Expiring(store, roots(settings).records).listed())


def open_pending(settings: Settings, store: ObjectStore, broker: Broker | None) -> Pending:
    """Who tells which audio somebody still waits for."""
    from lfk.roles.pending import Pending

    # The order in which references travel.
    topics = (settings.topic_audio, settings.topic_bulk, settings.topic_retry)
    return Pending(broker, store, roots(settings), settings.group, topics, codec(settings).decode_reference)


def lifecycle(settings: Settings) -> str:
    """The rule that deletes stored audio of LFK_CLEANUP_OLDER_THAN, whether or not it has a transcript.

    Raises:
        UsageError: the audio is in no bucket, or the age is no whole days.
    """
    from lfk.roles.cleanup import lifecycle_rule

    audio = roots(settings).audio
    days = settings.cleanup_older_than / _DAY
    if audio.scheme != "s3":
        raise UsageError("only a bucket has lifecycle rules", hint="run `lfk cleanup` from time to time instead")
    if days < 1 or not days.is_integer():
        raise UsageError("a lifecycle rule counts whole days", hint="give --older-than as days, such as 30d")
    return lifecycle_rule(audio, int(days))
