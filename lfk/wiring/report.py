"""The report: settings into a tally of the store's transcripts."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.places import roots

if TYPE_CHECKING:
    from lfk.core.report import Tally


def tally(settings: Settings, store: ObjectStore, stop: threading.Event) -> Tally:
    """Count every transcript since LFK_FROM, in flat memory but for 16 bytes of each work; ends early on ``stop``.

    Raises:
        Unreachable, BucketMissing: the store.
        UsageError: LFK_FROM is no time.
    """
    from lfk.brokers.codec import JsonCodec
    from lfk.core.report import Tally
    from lfk.engine.models.library import own_manifest
    from lfk.roles.transcripts import announcements_in_store, parse_start

    sizes = {entry.name: entry.size for entry in own_manifest().entries.values()}
    where = roots(settings)
    counted = Tally(lambda model: sizes.get(f"whisper/{model}"))
    since = parse_start(settings.start_from, int(time.time() * 1000))
    for announcement in announcements_in_store(store, JsonCodec(), where, since):
        if stop.is_set():
            break
        counted.take(announcement)
    return counted
