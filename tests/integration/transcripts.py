"""Transcripts as a hub leaves them in a store, and a listener that remembers what a reader tells."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfk.brokers.base import Broker, Record
from lfk.brokers.codec import JsonCodec
from lfk.core.addressing import Roots
from lfk.core.approaches import APPROACHES, Catalogue
from lfk.core.errors import LfkError
from lfk.core.location import parse_location
from lfk.core.manifest import AudioVersion, FileEntry, Manifest, Rendering
from lfk.core.messages import Announcement
from lfk.core.received import TranscriptFile
from lfk.stores.base import ObjectStore

TOPIC = "lfk.transcripts"

ROOTS = Roots(
    audio=parse_location("s3://bucket/audio/"),
    transcripts=parse_location("s3://bucket/transcripts/"),
    records=parse_location("s3://bucket/.lfk/"),
    catalogue=Catalogue(),
    default_approach=APPROACHES["simple"],
    default_model="tiny",
)


def write_transcript(store: ObjectStore, key: str, event: str, **texts: str) -> Announcement:
    """Put the files and the manifest of a transcript into the store; returns what a hub would announce."""
    entries = {}
    for form, text in texts.items():
        location = ROOTS.transcripts.join(f"{key}.{form}")
        store.put(location, text.encode(), content_type="text/plain")
        entries[form] = FileEntry(str(location), len(text.encode()), hashlib.sha256(text.encode()).hexdigest())
    approach, model, _rest = key.split("/", 2)
    manifest = Manifest(
        event_id=event,
        job_id=f"job of {event}",
        path_to_audio=str(ROOTS.audio.join(key)),
        transcription_approach=f"{approach}.{model}",
        audio=AudioVersion("etag", 100, "0" * 64, 1.0),
        rendering=Rendering((*texts, "json"), True, 0.5),
        language="en",
        duration=61.0,
        segments=1,
        words=2,
        speakers=0,
        no_speech=False,
        warnings=(),
        provenance={"engine": "canned"},
        timings={"transcribe": 1.0},
        reused_stages=(),
        turns=(),
        files=entries,
    )
    where = ROOTS.transcripts.join(f"{key}.json")
    store.put(where, json.dumps({"lfk": manifest.to_dict()}).encode(), content_type="application/json")
    return Announcement(
        event_id=event,
        status="done",
        timestamp=1,
        job_id=manifest.job_id,
        path_to_audio=manifest.path_to_audio,
        transcription_approach=manifest.transcription_approach,
        path_to_transcript=str(where),
        files={**{form: entry.location for form, entry in entries.items()}, "json": str(where)},
        duration=61.0,
    )


def announce(broker: Broker, *announcements: Announcement | bytes) -> None:
    """Put announcements, or bytes that are none, on the topic."""
    publisher = broker.publisher()
    outcomes: list[Exception | None] = []
    codec = JsonCodec()
    for one in announcements:
        value = one if isinstance(one, bytes) else codec.encode_announcement(one)
        key = one[:20] if isinstance(one, bytes) else (one.path_to_audio or "").encode()
        publisher.send(Record(TOPIC, key, value), outcomes.append)
    publisher.close()
    assert outcomes == [None] * len(announcements)


class Memory:
    """See :class:`lfk.roles.transcripts.Audience`."""

    def __init__(self) -> None:
        self.announcements: list[str] = []
        self.files: list[tuple[str, bool]] = []
        self.links: list[str] = []
        self.texts: list[bytes] = []
        self.commands: list[str] = []
        self.problems: list[tuple[str, str]] = []

    def announced(self, announcement: Announcement) -> None:
        self.announcements.append(announcement.event_id)

    def collected(self, file: TranscriptFile, path: Path, *, changed: bool) -> None:
        assert path.read_bytes() or changed
        self.files.append((file.name, changed))

    def linked(self, file: TranscriptFile, link: str) -> None:
        self.links.append(link)

    def read(self, file: TranscriptFile, content: bytes) -> None:
        self.texts.append(content)

    def ran(self, announcement: Announcement) -> None:
        self.commands.append(announcement.event_id)

    def problem(self, subject: str, error: LfkError) -> None:
        self.problems.append((subject, error.code))


def tree(folder: Path) -> Mapping[str, bytes]:
    """Every file below a folder, by its name there."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.match(".lfk-*/lock")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def as_dict(announcement: Announcement, **changes: Any) -> bytes:
    """An announcement as bytes, with fields that it would not be made with."""
    return json.dumps({**announcement.to_dict(), **changes}).encode()
