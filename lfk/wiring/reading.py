"""Readers of announcements: from which broker or store, from where on, and what is done with the files."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lfk.core.errors import BrokerUnreachable, UsageError
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.broker import codec, find_broker
from lfk.wiring.places import roots

if TYPE_CHECKING:
    from lfk.roles.transcripts import Audience, Reader


def prints_texts(settings: Settings) -> bool:
    """Whether the files themselves are printed: formats were named, and no other use of them."""
    return bool(settings.format) and not settings.output and not settings.links


@contextmanager
def open_reader(settings: Settings, store: ObjectStore, audience: Audience, stop: threading.Event) -> Iterator[Reader]:
    """A reader as the settings want it; what it had on its way goes with the block.

    Raises:
        UsageError: a format that there is not, or a folder that cannot be written to.
    """
    from lfk.core.formats import formats
    from lfk.roles.collector import Collector
    from lfk.roles.mirror import Mirror
    from lfk.roles.transcripts import Reader, Wish

    unknown = set(settings.format) - set(formats())
    if unknown:
        raise UsageError(
            f"LFK_FORMAT: no format is called {', '.join(sorted(unknown))}; there are {', '.join(formats())}"
        )
    with ExitStack() as stack:
        collector = None
        if settings.output:
            collector = Collector(store, stack.enter_context(Mirror(Path(settings.output))), stop)
        wish = Wish(
            formats=settings.format,
            collector=collector,
            link_seconds=settings.link_seconds if settings.links else 0,
            texts=prints_texts(settings),
        )
        yield Reader(store, codec(settings), roots(settings), wish, audience, stop, patient=settings.follow)


def read_announcements(settings: Settings, store: ObjectStore, reader: Reader, stop: threading.Event) -> None:
    """Give the reader what the settings point at; returns at its end, or when stopped.

    Raises:
        BrokerUnreachable: there is nothing to follow.
    """
    from lfk.roles.place_keeper import PlaceKeeper
    from lfk.roles.transcripts import announcements_in_store, parse_start

    since = parse_start(settings.start_from, int(time.time() * 1000))
    broker = find_broker(settings, store)
    topic = settings.topic_transcripts
    if broker is None:
        if settings.follow:
            raise BrokerUnreachable(
                f"no embedded broker runs on {settings.store} and this machine",
                hint="start `lfk up` or `lfk hub`, set BOOTSTRAP_SERVERS, or leave --follow out to read the store",
            )
        for announcement in announcements_in_store(store, codec(settings), roots(settings), since):
            if stop.is_set():
                return
            reader.announcement(announcement)
    elif settings.follow and settings.output:
        starts = {} if since is None else broker.positions(topic, since)
        PlaceKeeper(reader.record, stop, starts).run(broker, reader_group(settings), topic)
    elif settings.follow:
        reader.records(broker.follow(topic, since))
    else:
        reader.records(broker.snapshot(topic, since))


def reader_group(settings: Settings) -> str:
    """The group in which ``transcripts --follow --out`` keeps its place: one per machine and folder."""
    folder = str(Path(settings.output).expanduser().absolute())
    name = hashlib.sha256(folder.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return settings.transcripts_group or f"lfk-transcripts-{socket.gethostname()}-{name}"
