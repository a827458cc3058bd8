"""Readers of announcements: from which broker or store, from where on, and what is done with the files."""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lfk.core.errors import BrokerUnreachable, Unreachable, UsageError
from lfk.environment import inherited
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.broker import embedded_address, find_broker
from lfk.wiring.messages import codec
from lfk.wiring.places import roots

if TYPE_CHECKING:
    from lfk.brokers.base import Broker
    from lfk.roles.commands import Commands
    from lfk.roles.health import Pulse
    from lfk.roles.tracing import Tracer
    from lfk.roles.transcripts import Audience, Reader
    from lfk.wiring.telemetry import Telemetry

log = logging.getLogger(__name__)

#: How often a reader looks whether the embedded broker it follows is still there, or a new one is.
_EMBEDDED_SECONDS = 2.0


def _fills_folder(settings: Settings) -> bool:
    """Whether files are kept in a folder, which a dry run only tells of."""
    return bool(settings.output) and not settings.dry_run


def _keeps_place(settings: Settings) -> bool:
    """Whether following has an effect that is not to be had twice, so that its place is kept."""
    return bool(settings.output or settings.command) and not settings.dry_run


def prints_texts(settings: Settings) -> bool:
    """Whether the files themselves are printed: formats were named, and no other use of them."""
    return bool(settings.format) and not settings.output and not settings.links and not settings.command


@contextmanager
def open_reader(
    settings: Settings,
    store: ObjectStore,
    audience: Audience,
    stop: threading.Event,
    tracer: Tracer | None = None,
) -> Iterator[Reader]:
    """A reader as the settings want it; what it had on its way goes with the block.

    What a reader takes that follows is traced; one pass reads all anew each time.

    Raises:
        UsageError: a format, condition or placeholder that there is not, links for no time, or a folder that cannot
            be written to.
    """
    from lfk.core.formats import formats
    from lfk.core.wanted import Wanted
    from lfk.roles.collector import Collector
    from lfk.roles.mirror import Mirror
    from lfk.roles.transcripts import Reader, Wish

    unknown = set(settings.format) - set(formats())
    if unknown:
        raise UsageError(
            f"LFK_FORMAT: no format is called {', '.join(sorted(unknown))}; there are {', '.join(formats())}"
        )
    if settings.links and not settings.link_seconds:
        raise UsageError("LFK_LINK_SECONDS: a link has to work for a second at least")
    where = roots(settings)
    wanted = Wanted.parse(settings.filter, where)
    with ExitStack() as stack:
        commands = _commands(settings, stop, stack)
        needed = commands.template.formats if commands is not None else ()
        folder = Path(settings.output) if _fills_folder(settings) else None
        if folder is None and needed:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="lfk-transcripts-")))
        named = settings.format
        if commands is not None and not (settings.output or settings.links):
            named = needed
        elif named:
            named = (*named, *(form for form in needed if form not in named))
        wish = Wish(
            formats=named,
            collector=None if folder is None else Collector(store, stack.enter_context(Mirror(folder)), stop),
            link_seconds=settings.link_seconds if settings.links else 0,
            texts=prints_texts(settings),
            wanted=wanted,
            commands=commands,
            keeps=_fills_folder(settings),
        )
        yield Reader(
            store,
            codec(settings),
            where,
            wish,
            audience,
            stop,
            patient=settings.follow,
            tracer=tracer if settings.follow else None,
        )


def _commands(settings: Settings, stop: threading.Event, stack: ExitStack) -> Commands | None:
    """What runs the command of LFK_EXEC; a dry run only checks it."""
    from lfk.core.command import CommandTemplate
    from lfk.core.formats import formats
    from lfk.roles.commands import Commands, Journal

    if not settings.command:
        return None
    template = CommandTemplate.parse(settings.command, formats())
    if settings.dry_run:
        return None
    journal = Journal(Path(settings.state_home).expanduser() / "lfk" / f"{reader_group(settings)}.applied")
    stack.callback(journal.close)
    return Commands(
        template,
        journal,
        inherited(),
        stop,
        seconds=settings.command_timeout,
        attempts=settings.command_attempts,
    )


def read_announcements(
    settings: Settings, store: ObjectStore, reader: Reader, stop: threading.Event, telemetry: Telemetry
) -> None:
    """Give the reader what the settings point at; returns at its end, or when stopped.

    ``telemetry`` tells how a reader is that follows.

    Raises:
        BrokerUnreachable: there is nothing to follow.
    """
    from lfk.roles.commands import Interrupted
    from lfk.roles.health import Pulse
    from lfk.roles.transcripts_readings import of_count

    pulse = Pulse()
    telemetry.page.show("transcripts", lambda: pulse.health(stop), lambda: of_count(reader.count))
    with suppress(Interrupted):
        _read(settings, store, reader, stop, pulse)


def _read(settings: Settings, store: ObjectStore, reader: Reader, stop: threading.Event, pulse: Pulse) -> None:
    from lfk.roles.transcripts import parse_start

    since = parse_start(settings.start_from, int(time.time() * 1000))
    broker = find_broker(settings, store)
    if broker is None and settings.follow:
        raise BrokerUnreachable(
            f"no embedded broker runs on {settings.store} and this machine",
            hint="start `lfk up` or `lfk hub`, set BOOTSTRAP_SERVERS, or leave --follow out to read the store",
        )
    if broker is None:
        _read_store(settings, store, reader, stop, since)
    elif not settings.follow:
        reader.records(broker.snapshot(settings.topic_transcripts, since))
        if not settings.bootstrap:
            # An embedded broker knows nothing of what was before it; the store does.
            _read_store(settings, store, reader, stop, since)
    elif settings.bootstrap:
        _follow(settings, broker, reader, stop.is_set, since, pulse)
    else:
        _follow_embedded(settings, store, broker, reader, stop, since, pulse)


def _read_store(
    settings: Settings, store: ObjectStore, reader: Reader, stop: threading.Event, since: int | None
) -> None:
    """What the manifests tell, but for transcripts that were announced already."""
    from lfk.brokers.codec import JsonCodec
    from lfk.roles.transcripts import announcements_in_store

    announced = reader.transcripts()
    for announcement in announcements_in_store(store, JsonCodec(), roots(settings), since):
        if stop.is_set():
            return
        if announcement.path_to_transcript not in announced:
            reader.announcement(announcement)


def _follow(
    settings: Settings,
    broker: Broker,
    reader: Reader,
    stopped: Callable[[], bool],
    since: int | None,
    pulse: Pulse,
) -> None:
    from lfk.roles.place_keeper import PlaceKeeper

    over = pulse.through(stopped)
    pulse.serves()
    topic = settings.topic_transcripts
    if _keeps_place(settings):
        starts = {} if since is None else broker.positions(topic, since)
        PlaceKeeper(reader.record, over, starts, secure=reader.flush).run(broker, reader_group(settings), topic)
    else:
        reader.records(takewhile(lambda _record: not over(), broker.follow(topic, since)))


def _follow_embedded(
    settings: Settings,
    store: ObjectStore,
    broker: Broker | None,
    reader: Reader,
    stop: threading.Event,
    since: int | None,
    pulse: Pulse,
) -> None:
    """Follow one embedded broker after the other: each takes what it held, and the group's place, along with it.

    So with a folder to fill, what the store holds comes first, and the folder tells what is there already.
    """
    while not stop.is_set():
        if broker is not None:
            if _keeps_place(settings):
                _read_store(settings, store, reader, stop, since)
            _follow(settings, broker, reader, _Gone(settings, store, broker.address, stop), since, pulse)
            broker.close()
            pulse.waits(BrokerUnreachable("the embedded broker has gone", hint="start `lfk up` or `lfk hub`"))
        elif stop.wait(_EMBEDDED_SECONDS):
            return
        pulse.beat()
        broker = find_broker(settings, store)


class _Gone:
    """Tells, when called, whether the embedded broker at an address was replaced or stopped, or the reader is to."""

    def __init__(self, settings: Settings, store: ObjectStore, address: str, stop: threading.Event) -> None:
        self._settings = settings
        self._store = store
        self._address = address
        self._stop = stop
        self._looked = time.monotonic()
        self._gone = False

    def __call__(self) -> bool:
        if not self._gone and time.monotonic() - self._looked >= _EMBEDDED_SECONDS:
            self._looked = time.monotonic()
            try:
                self._gone = embedded_address(self._settings, self._store) != self._address
            except Unreachable as error:
                log.warning("looking for the embedded broker: %s", error)
            if self._gone:
                log.warning("the embedded broker has gone; waiting for the next")
        return self._gone or self._stop.is_set()


def reader_group(settings: Settings) -> str:
    """The group in which ``transcripts --follow`` keeps its place: one per machine and folder, or command.

    Two commands that fill one folder are two readers.
    """
    folder = str(Path(settings.output).expanduser().absolute()) if settings.output else ""
    parts = [folder, *settings.command] if settings.command else [folder]
    name = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return settings.transcripts_group or f"lfk-transcripts-{socket.gethostname()}-{name}"
