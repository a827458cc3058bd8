"""Sync: settings into the folder, the store, the sender and the memory of one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lfk.core.errors import UsageError
from lfk.settings import Settings
from lfk.stores.base import ObjectStore
from lfk.wiring.broker import reference_sender
from lfk.wiring.places import marker_name, roots
from lfk.wiring.references import confirm_topic, request

if TYPE_CHECKING:
    from lfk.roles.rolling import RollingRecorder
    from lfk.roles.sync import Synchroniser
    from lfk.roles.sync_events import Event
    from lfk.roles.sync_job import Afterwards, SyncJob
    from lfk.roles.tracing import Tracer
    from lfk.roles.watch import Watcher
    from lfk.wiring.telemetry import Telemetry


def sync_job(settings: Settings, source: str) -> SyncJob:
    """What is to be synced from the folder ``source`` (empty: SOURCE_FOLDER).

    Raises:
        UsageError: no folder is named, or it cannot be read.
    """
    from lfk.core.patterns import Selection
    from lfk.roles.source import open_source, source_identity
    from lfk.roles.sync_job import SyncJob

    folder = source or settings.source
    if not folder:
        raise UsageError("no folder is named", hint="name the folder with the recordings, or set SOURCE_FOLDER")
    opened = open_source(Path(folder))
    return SyncJob(
        source=opened,
        roots=roots(settings),
        request=request(settings),
        identity=source_identity(settings.sync_source, socket.gethostname(), opened),
        layout=settings.layout,
        prefix=settings.prefix,
        selection=Selection(settings.include, settings.exclude),
        transfers=settings.transfers,
        settle=settings.settle,
        sweep_after=settings.sweep_after,
        extract=settings.extract_format if settings.extract_audio else "",
        afterwards=_afterwards(settings, opened),
        done_marker=marker_name(settings) if settings.done_marker else "",
        dry_run=settings.dry_run,
    )


def _afterwards(settings: Settings, source: Path) -> Afterwards | None:
    """What LFK_DELETE_SOURCE, LFK_MOVE_TO and LFK_AFTER ask for.

    Raises:
        UsageError: they do not go together.
    """
    from lfk.roles.source import open_move_to
    from lfk.roles.sync_job import Afterwards

    if settings.delete_source and settings.move_to:
        raise UsageError("--delete-source and --move-to exclude each other", hint="leave one of them out")
    if settings.delete_source and settings.extract_audio:
        raise UsageError(
            "--extract-audio stores no copy of a video, so --delete-source would lose it",
            hint="use --move-to, or upload the videos whole",
        )
    if not (settings.delete_source or settings.move_to):
        if settings.after == "transcript":
            raise UsageError(
                "--after says when sources leave, but none is to leave", hint="add --delete-source or --move-to DIR"
            )
        return None
    if settings.done_marker:
        raise UsageError(
            "--done-marker speaks of what is in the folder, which --delete-source and --move-to empty",
            hint="leave one of them out",
        )
    folder = Path(settings.move_to) if settings.move_to else None
    return Afterwards(
        move_to=open_move_to(folder, source, dry_run=settings.dry_run) if folder is not None else None,
        needs_transcript=settings.after == "transcript",
    )


@contextmanager
def open_sync(
    settings: Settings,
    job: SyncJob,
    store: ObjectStore,
    report: Callable[[Event], None],
    stop: threading.Event,
    tracer: Tracer | None = None,
) -> Iterator[Synchroniser]:
    """A synchroniser with a sender and a memory of its own, which go with the block.

    Raises:
        BrokerUnreachable, TopicMissing: references could not be sent, so nothing is begun.
        UnsupportedFeature: what takes the audio out of videos is not installed.
    """
    from lfk.engine.extraction import AudioExtractor
    from lfk.roles.sync import Synchroniser
    from lfk.roles.sync_files import FileSync
    from lfk.roles.sync_state import SyncState, state_file

    scratch = Path(settings.scratch) if settings.scratch else None
    extractor = AudioExtractor(job.extract, scratch, max_seconds=settings.max_duration) if job.extract else None
    with ExitStack() as stack:
        sender = None
        if not job.dry_run:
            confirm_topic(settings, settings.topic_audio)
            sender = reference_sender(settings, store, "sync", tracer=tracer)
            stack.callback(sender.close)
        home = Path(settings.state_home).expanduser()
        state = SyncState(state_file(home, job.source, job.roots.audio))
        stack.callback(state.close)
        recorder = None if job.dry_run else _recorder(store, job)
        if recorder is not None:
            stack.callback(recorder.close)
        files = FileSync(
            job, store, sender, state, report, stop, recorder=recorder, extractor=extractor, scratch=scratch
        )
        stack.callback(files.close)
        yield Synchroniser(job, store, files)


def open_watcher(
    settings: Settings,
    job: SyncJob,
    store: ObjectStore,
    report: Callable[[Event], None],
    stop: threading.Event,
    telemetry: Telemetry,
) -> Watcher:
    """A watcher of the folder; it opens connections when it runs, and anew after every outage.

    ``telemetry`` tells how it is, and what it has done.
    """
    from lfk.roles.sync_readings import of_event, of_watcher
    from lfk.roles.watch import Pace, Watcher

    pace = Pace(settings.rescan, settings.poll, settings.watch_by)
    counted = telemetry.page.told(report, of_event)
    watcher = Watcher(
        job,
        lambda note: open_sync(settings, job, store, note, stop, telemetry.tracer),
        counted,
        stop,
        pace=pace,
    )
    telemetry.page.show("sync", lambda: watcher.pulse.health(stop), lambda: of_watcher(watcher))
    return watcher


@contextmanager
def watching(
    settings: Settings,
    job: SyncJob,
    store: ObjectStore,
    report: Callable[[Event], None],
    stop: threading.Event,
    telemetry: Telemetry,
) -> Iterator[None]:
    """Watch on a thread of its own while the block runs; ends with it. Sets ``stop`` if watching is impossible.

    Raises:
        LfkError: what made it impossible, at the block's end.
    """
    watcher = open_watcher(settings, job, store, report, stop, telemetry)
    failure: list[BaseException] = []

    def watch() -> None:
        try:
            watcher.run()
        except BaseException as error:  # noqa: BLE001 - raised again on the thread that has to know
            failure.append(error)
            stop.set()

    thread = threading.Thread(target=watch, name="lfk-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failure:
        raise failure[0]


def _recorder(store: ObjectStore, job: SyncJob) -> RollingRecorder:
    """Keeps what a sync asks for beyond what paths imply."""
    from lfk.roles.batches import Batches
    from lfk.roles.rolling import RollingRecorder

    return RollingRecorder(Batches(store, job.roots.records), job.roots, "sync", job.request.to_dict())
