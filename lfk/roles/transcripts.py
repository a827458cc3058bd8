"""Reads announcements: shows each once, and fetches, links or prints the files that it announces.

The announcements come from a broker or, where none runs, from the manifests in the store. Nothing of an
announcement is opened before all of it has been checked (:mod:`lfk.core.received`). One that is refused, or whose
files cannot be had, is reported and costs only itself; an outage ends a single pass and is waited out by a reader
that follows.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from lfk.brokers.base import Delivered
from lfk.core.addressing import Roots
from lfk.core.cloudevents import TRACEPARENT
from lfk.core.errors import CommandFailed, LfkError, ObjectMissing, RejectedReference
from lfk.core.formats import MANIFEST
from lfk.core.location import Location
from lfk.core.manifest import Manifest, read_manifest
from lfk.core.messages import Announcement
from lfk.core.received import TranscriptFile, select, transcript_files
from lfk.core.wanted import Wanted
from lfk.roles.at_work import at_work
from lfk.roles.collector import FILE_LIMIT, OUTAGES, Collector
from lfk.roles.commands import Commands
from lfk.roles.moment import parse_moment
from lfk.roles.tracing import Tracer, messaging
from lfk.stores.base import ObjectStore

if TYPE_CHECKING:
    from lfk.brokers.codec import Codec

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How long a reader that follows waits before it asks a store that is out of reach again.
_OUTAGE_SECONDS = 3.0
#: Announcements remembered so that a repeated one is shown once: about 20 MB.
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What is done with the files of each announcement. Nothing of this set: announcements are only shown."""

    #: Formats meant by everything else; none means all.
    formats: tuple[str, ...] = ()
    collector: Collector | None = None
    #: Seconds that links work; 0 makes none.
    link_seconds: int = 0
    #: Show the content of the files.
    texts: bool = False
    #: Pass over announcements that are not wanted.
    wanted: Wanted | None = None
    #: Run for each announcement.
    commands: Commands | None = None
    #: Collected files stay; else they are there for the command alone.
    keeps: bool = True


@dataclass(slots=True)
class Count:
    """What a reader has seen and done."""

    done: int = 0
    failed: int = 0
    fetched: int = 0
    unchanged: int = 0
    #: Commands that succeeded.
    ran: int = 0
    #: Announcements that were refused, files that could not be had, commands that failed.
    problems: int = 0


class Audience(Protocol):
    """Told of everything, in order, by the thread that reads."""

    def announced(self, announcement: Announcement) -> None:
        """An announcement, before anything of it is opened. Its files have been checked."""

    def collected(self, file: TranscriptFile, path: Path, *, changed: bool) -> None:
        """A file is in its place."""

    def linked(self, file: TranscriptFile, link: str) -> None:
        """A link to a file."""

    def read(self, file: TranscriptFile, content: bytes) -> None:
        """The content of a file."""

    def ran(self, announcement: Announcement) -> None:
        """The command has succeeded for it."""

    def problem(self, subject: str, error: LfkError) -> None:
        """Something that could not be done."""


class Reader:
    """See the module. Used by one thread at a time."""

    def __init__(
        self,
        store: ObjectStore,
        codec: Codec,
        roots: Roots,
        wish: Wish,
        audience: Audience,
        stop: threading.Event,
        *,
        patient: bool,
        tracer: Tracer | None = None,
    ) -> None:
        """``patient`` waits outages of the store out until ``stop`` is set."""
        self._store = store
        self._codec = codec
        self._roots = roots
        self._wish = wish
        self._audience = audience
        self._stop = stop
        self._patient = patient
        self._tracer = tracer
        self._seen: OrderedDict[tuple[str, str, str | None], None] = OrderedDict()
        self.count = Count()

    def records(self, records: Iterable[Delivered | None]) -> None:
        """Take records until they end or the reader is stopped.

        Raises:
            Unreachable, ScratchFull: an outage that is not waited out.
        """
        for record in records:
            if self._stop.is_set():
                return
            if record is not None:
                self.record(record)

    def record(self, record: Delivered) -> None:
        """Take one record of the announcements' topic; errors as for :meth:`announcement`."""
        try:
            announcement = self._through_outages(partial(self._codec.decode_announcement, record.value))
        except RejectedReference as error:
            partition = record.partition
            self._problem(f"{partition.topic}/{partition.number}@{record.offset}", error)
        else:
            with self._traced(record, announcement):
                self.announcement(announcement)

    @contextmanager
    def _traced(self, record: Delivered, announcement: Announcement) -> Iterator[None]:
        if self._tracer is None:
            yield
            return
        topic = record.partition.topic
        details = {"lfk.event_id": announcement.event_id, "lfk.job_id": announcement.job_id}
        span = self._tracer.begin(
            f"process {topic}",
            "consumer",
            parent=record.headers.get(TRACEPARENT),
            linked=True,
            attributes=messaging(topic, "process", **details),
        )
        error = ""
        try:
            yield
        except LfkError as raised:
            error = raised.code
            raise
        finally:
            span.end(error=error)

    def announcement(self, announcement: Announcement) -> None:
        """Take one announcement; one that was taken before is passed over.

        Raises:
            Unreachable, ScratchFull: an outage that is not waited out. The announcement counts as not taken.
            Interrupted: told to stop while its command was under way; the same.
        """
        # Results are shared by equal audios, so an event's identity alone is not enough where manifests are read.
        identity = (announcement.event_id, announcement.status, announcement.path_to_transcript)
        if identity in self._seen or self._is_unwanted(announcement):
            return
        try:
            files = transcript_files(announcement, self._roots)
        except RejectedReference as error:
            self._problem(announcement.path_to_audio or announcement.event_id, error)
            return
        self._audience.announced(announcement)
        with at_work(announcement):
            paths = self._open(files) if announcement.status == "done" else {}
            if self._wish.commands is not None:
                self._run(self._wish.commands, announcement, files, paths)
        self.count.done += announcement.status == "done"
        self.count.failed += announcement.status == "failed"
        self._seen[identity] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def transcripts(self) -> frozenset[str]:
        """The transcripts (locations of manifests) that were announced so far."""
        return frozenset(transcript for _event, _status, transcript in self._seen if transcript is not None)

    def flush(self) -> None:
        """What was kept survives a crash of the machine from here on; may be called while another is being taken."""
        if self._wish.collector is not None:
            self._wish.collector.flush()

    def _is_unwanted(self, announcement: Announcement) -> bool:
        if self._wish.wanted is not None and not self._wish.wanted.wants(announcement):
            return True
        # Where files are kept they are looked at each time; a command has its effect once.
        commands = self._wish.commands
        return commands is not None and not self._wish.keeps and commands.applied(announcement)

    def _run(
        self,
        commands: Commands,
        announcement: Announcement,
        files: Sequence[TranscriptFile],
        paths: Mapping[str, Path],
    ) -> None:
        """Run the command for an announcement, unless it has had it."""
        subject = announcement.path_to_audio or announcement.event_id
        needed = commands.template.formats
        try:
            if commands.applied(announcement) or (needed and announcement.status == "failed"):
                return
            if lacking := [form for form in needed if form not in paths]:
                raise ObjectMissing(
                    f"the command was not run, as there is no {' and no '.join(lacking)} of this transcript",
                    hint="ask for that format with LFK_FORMATS or the option formats, or leave it out of --exec",
                )
            commands.run(announcement, {form: str(path) for form, path in paths.items()})
        except (RejectedReference, ObjectMissing, CommandFailed) as error:
            self._problem(subject, error)
        else:
            self.count.ran += 1
            self._audience.ran(announcement)
        finally:
            if self._wish.collector is not None and not self._wish.keeps:
                self._wish.collector.discard(select(files, self._wish.formats))

    def _open(self, files: Sequence[TranscriptFile]) -> Mapping[str, Path]:
        """Do what is wished with the files; returns where those are that were collected."""
        wanted = select(files, self._wish.formats)
        paths = {} if self._wish.collector is None else self._collect(self._wish.collector, files, wanted)
        for file in wanted:
            try:
                if self._wish.link_seconds:
                    link = self._store.presign(
                        file.location, seconds=self._wish.link_seconds, filename=file.location.name
                    )
                    self._audience.linked(file, link)
                if self._wish.texts:
                    self._audience.read(file, self._through_outages(partial(self._content, file)))
            except OUTAGES:
                raise
            except LfkError as error:
                self._problem(str(file.location), error)
        return paths

    def _collect(
        self, collector: Collector, files: Sequence[TranscriptFile], wanted: Sequence[TranscriptFile]
    ) -> Mapping[str, Path]:
        paths: dict[str, Path] = {}
        for one in self._through_outages(lambda: collector.collect(files, wanted)):
            if one.error is not None:
                self._problem(str(one.file.location), one.error)
            elif one.path is not None:
                paths[one.file.form] = one.path
                if self._wish.keeps:
                    self._audience.collected(one.file, one.path, changed=one.changed)
                    self.count.fetched += one.changed
                    self.count.unchanged += not one.changed
        return paths

    def _content(self, file: TranscriptFile) -> bytes:
        return self._store.read(file.location, limit=FILE_LIMIT)[0]

    def _through_outages(self, action: Callable[[], T]) -> T:
        while True:
            try:
                return action()
            except OUTAGES as error:
                if not self._patient or self._stop.wait(_OUTAGE_SECONDS):
                    raise
                log.warning("waiting: %s", error)

    def _problem(self, subject: str, error: LfkError) -> None:
        self.count.problems += 1
        self._audience.problem(subject, error)


def announcements_in_store(
    store: ObjectStore, codec: Codec, roots: Roots, since: int | None = None
) -> Iterator[Announcement]:
    """What the manifests in the store say, as announcements, in the order of their keys.

    ``since`` is in ms. An object that is no manifest is passed over.
    """
    for info in store.list(roots.transcripts):
        written = int(info.modified * 1000)
        if not info.location.key.endswith(f".{MANIFEST}") or roots.records.contains(info.location):
            continue
        if since is not None and written < since:
            continue
        try:
            content, _info = store.read(info.location, limit=FILE_LIMIT)
            announcement = _as_announced(read_manifest(content), info.location, written)
            # A manifest is as hostile as a message, so it has to pass the schema as well.
            codec.encode_announcement(announcement)
        except ObjectMissing:
            # It is being rewritten, and will be announced.
            continue
        except (RejectedReference, ValueError, RecursionError) as error:
            log.info("%s is passed over: %s", info.location, error)
        else:
            yield announcement


def _as_announced(manifest: Manifest, location: Location, written: int) -> Announcement:
    return Announcement(
        event_id=manifest.event_id,
        status="done",
        timestamp=written,
        job_id=manifest.job_id,
        path_to_audio=manifest.path_to_audio,
        transcription_approach=manifest.transcription_approach,
        path_to_transcript=str(location),
        files={**{name: entry.location for name, entry in manifest.files.items()}, MANIFEST: str(location)},
        language=manifest.language,
        duration=manifest.duration,
        segments=manifest.segments,
        words=manifest.words,
        speakers=manifest.speakers,
        no_speech=manifest.no_speech,
        reused_stages=manifest.reused_stages,
        warnings=manifest.warnings,
        timings=manifest.timings,
        provenance=manifest.provenance,
    )


def parse_start(text: str, now: int) -> int | None:
    """Where to begin: None for the beginning, else milliseconds since the epoch; ``end`` is ``now``.

    A time is what :func:`lfk.roles.moment.parse_moment` reads.

    Raises:
        UsageError: it is none of these.
    """
    if text in ("", "beginning"):
        return None
    if text == "end":
        return now
    return parse_moment(
        text, "LFK_FROM", now, hint="use beginning, end, or a time such as 2026-01-31T08:00 or 24h (ago)"
    )
