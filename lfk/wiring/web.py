"""The web page: settings into everything that it stands on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lfk.core.errors import InvalidLocation, LfkError, UnsupportedFeature, UsageError
from lfk.roles.sender import ReferenceSender
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.admin import look, open_lengths
from lfk.wiring.broker import reference_sender
from lfk.wiring.failures import open_failures, open_retrier
from lfk.wiring.places import roots
from lfk.wiring.references import confirm_topic

if TYPE_CHECKING:
    from lfk.core.messages import AudioReference
    from lfk.roles.dead_letters import Handled
    from lfk.roles.deposit import Depositor
    from lfk.roles.tracing import Tracer
    from lfk.web.server import WebServer
    from lfk.wiring.telemetry import Telemetry


@contextmanager
def open_web(settings: Settings, store: ObjectStore, telemetry: Telemetry) -> Iterator[WebServer]:
    """A server that serves while the block runs. ``telemetry`` tells how it is, and what it has done.

    Raises:
        UnsupportedFeature: what it is built on is not installed.
        UsageError: the settings cannot be used.
    """
    try:
        from lfk.web.readings import of_calls, of_event
        from lfk.web.server import WebServer
        from lfk.web.site import Site
    except ImportError as error:
        raise UnsupportedFeature(
            f"the web page needs {error.name}, which is not installed", hint="pip install 'lfk[web]'"
        ) from error
    from lfk.roles.catalogue import Catalogue
    from lfk.roles.hub.scratch import Scratch
    from lfk.roles.pulse import PulseTaker
    from lfk.roles.speaker_names import NameRecords

    where = roots(settings)
    with ExitStack() as stack:
        # Found out before anybody is let in.
        scratch = Scratch(Path(settings.scratch) if settings.scratch else None, settings.scratch_bytes)
        stack.callback(scratch.close)
        depositor = _depositor(settings, store, stack, telemetry.tracer)
        lengths = open_lengths(settings, store)
        pulse = PulseTaker(lambda: look(settings, store, lengths))
        stack.callback(pulse.close)
        site = Site(
            store=store,
            roots=where,
            catalogue=Catalogue(store, where),
            names=NameRecords(store, where.records),
            depositor=depositor,
            pulse=pulse,
            retry=lambda event: _retry(settings, store, event, telemetry.tracer),
            discard=lambda event: _discard(settings, store, event),
            hosts=settings.web_hosts,
            token=settings.web_token,
            max_upload=min(settings.web_max_upload, settings.max_audio_bytes, settings.scratch_bytes),
            scratch=scratch.folder,
            room=settings.scratch_bytes,
            link_seconds=settings.link_seconds,
            report=telemetry.page.told(lambda _event: None, of_event),
        )
        server = WebServer(site, settings.web)
        telemetry.page.show("web", lambda: server.health, lambda: of_calls(server.calls))
        server.start()
        stack.callback(server.close)
        yield server


def _depositor(settings: Settings, store: ObjectStore, stack: ExitStack, tracer: Tracer | None) -> Depositor:
    from lfk.roles.batches import Batches
    from lfk.roles.deposit import Depositor
    from lfk.roles.rolling import RollingRecorder

    where = roots(settings)
    recorder = RollingRecorder(Batches(store, where.records), where, "web", {})
    stack.callback(recorder.close)

    @contextmanager
    def open_sender() -> Iterator[ReferenceSender]:
        confirm_topic(settings, settings.topic_audio)
        sender = reference_sender(settings, store, "web", tracer=tracer)
        try:
            yield sender
        finally:
            sender.close()

    try:
        return Depositor(store, where, settings.prefix, open_sender, recorder)
    except InvalidLocation as error:
        raise UsageError(f"LFK_SYNC_PREFIX: {error.message}", hint=error.hint) from error


def _retry(settings: Settings, store: ObjectStore, event: str, tracer: Tracer | None) -> AudioReference | None:
    """Send one failure's reference again; what went wrong is raised."""
    from lfk.roles.dead_letters import Choice, choose

    done: list[Handled] = []
    chosen = choose(open_failures(settings, store), Choice((event,)), roots(settings).audio)
    with open_retrier(settings, store, done.append, threading.Event(), tracer) as retrier:
        tally = retrier.run(chosen)
    _raise_for(done, tally.outage)
    return done[0].reference if done else None


def _discard(settings: Settings, store: ObjectStore, event: str) -> None:
    """Forget one failure; what went wrong is raised."""
    from lfk.roles.dead_letters import Choice, discard

    done: list[Handled] = []
    failures, audio = open_failures(settings, store), roots(settings).audio
    tally = discard(failures, Choice((event,)), audio, done.append, threading.Event(), dry_run=False)
    _raise_for(done, tally.outage)


def _raise_for(done: list[Handled], outage: LfkError | None) -> None:
    error = outage or next((one.error for one in done if one.error is not None), None)
    if error is not None:
        raise error
