"""Where the store holds anything of an audio: the object itself, what was made of it, and what speaks of it.

Found by listings, by the records that name the audio, and by a look at each cached result (their names are hashes);
what is found is removed in an order in which every step may be the last one before a crash: the record that tells
whose a transcript is goes after the transcript, so that the next run finds the rest.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeVar

from lfk.core.addressing import Roots, collision_key
from lfk.core.batch import Entry, Head, Part, read_part, write_part
from lfk.core.errors import LfkError, ObjectMissing, StoreError
from lfk.core.extraction import EXTRACTED_FROM, parse_origin
from lfk.core.failure_record import MAX_RECORD_BYTES, FailureRecord
from lfk.core.forget_target import Target, means_path, mentions
from lfk.core.forgotten import made_of
from lfk.core.formats import MANIFEST, formats
from lfk.core.location import Location, parse_location
from lfk.core.manifest import Manifest, StoredResult, read_manifest
from lfk.core.tombstone import Tombstone
from lfk.roles.outbox import outbox_folder, waiting_key
from lfk.roles.parallel import in_parallel
from lfk.roles.speaker_names import speakers_folder
from lfk.roles.stock import read_owner
from lfk.stores.base import MADE_OF, SHA256, ObjectStore

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_JSON = "application/json"
#: How a key looks whose natural form another audio owns (:func:`lfk.core.addressing.collision_key`).
_MARKED = re.compile(r"~[0-9a-f]{8}(\.[^/.]*)?$")
#: Records that are rewritten or deleted in everyday work, so that a bucket with versions keeps what they once said.
_CHANGING = ("failed", "tombstones", "expiring", "outbox", "batches", "hubs")
#: The largest things looked into: a result or manifest of a day-long recording.
_LIMIT = 256 << 20


class Kind(str, Enum):
    """What a trace is, in the order in which traces are removed."""

    AUDIO = "audio"
    NAMES = "speaker names"
    MANIFEST = "manifest"
    TRANSCRIPT = "transcript"
    COPY = "local copy"
    RESULT = "cached result"
    FAILURE = "failure"
    OUTBOX = "waiting reference"
    BATCH = "batch part"
    HUB = "hub report"
    TOMBSTONE = "tombstone"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Trace:
    """One object that is of the audio or names it. ``content`` takes its place where only a part of it goes."""

    kind: Kind
    at: Location
    content: bytes | None = None


@dataclass(slots=True)
class Found:
    """What a search has come upon. ``hashes``: the sha256 of each audio's contents, as far as anything tells."""

    traces: list[Trace] = field(default_factory=list)
    hashes: dict[str, set[str]] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)

    def of(self, audio: str, *hashes: str | None) -> None:
        """Note an audio and what its content was."""
        self.hashes.setdefault(audio, set()).update(one for one in hashes if one)


class Traces:
    """See the module. Safe for use by several threads."""

    def __init__(
        self,
        store: ObjectStore,
        roots: Roots,
        *,
        copies: tuple[ObjectStore, Location] | None = None,
        history: bool = False,
    ) -> None:
        """``copies``: this machine's folder of transcripts; ``history``: look for earlier versions, and remove them."""
        self._store = store
        self._roots = roots
        self._copies = copies
        self._history = history

    def find(self, wanted: Sequence[Target]) -> Found:
        """Everything, with nothing changed.

        Raises:
            Unreachable, AccessDenied: the store.
        """
        found = Found()
        self._audio(wanted, found)
        self._transcripts(wanted, found)
        self._tombstones(wanted, found)
        self._failures(wanted, found)
        self._outbox(wanted, found)
        self._batches(wanted, found)
        self._hubs(wanted, found)
        self._results(found, wanted)
        found.traces.sort(key=lambda trace: list(Kind).index(trace.kind))
        return found

    def remove(self, trace: Trace) -> int:
        """Remove one; returns how many of its versions the store holds back."""
        if trace.kind is Kind.COPY and self._copies is not None:
            self._copies[0].delete(trace.at)
            return 0
        if trace.content is not None:
            self._store.put(trace.at, trace.content, content_type=_JSON)
            return self._store.purge(trace.at, keep_current=True) if self._history else 0
        if not self._history:
            self._store.delete(trace.at)
            return 0
        return self._store.purge(trace.at)

    def clear_history(self) -> int:
        """Remove earlier versions of lfk's own changing records: they may name anything. Returns how many stay."""
        if not self._history:
            return 0
        folders = (self._roots.records.join(name).as_prefix() for name in _CHANGING)
        places = [at for folder in folders for at in self._kept(folder)]
        return sum(in_parallel(lambda at: self._store.purge(at, keep_current=True), places))

    # --- what is the audio's own

    def _audio(self, wanted: Sequence[Target], found: Found) -> None:
        for target in wanted:
            # An exact location is found by listing, too: what is below it is told apart here.
            for at in self._kept(target.at):
                if not target.means(str(at)) or self._roots.is_ours(at):
                    continue
                found.traces.append(Trace(Kind.AUDIO, at))
                found.of(str(at))
                try:
                    metadata = self._store.stat(at).metadata
                except ObjectMissing:
                    continue
                # Where it is the audio of a video, the video is what a sync has at hand.
                origin = parse_origin(metadata.get(EXTRACTED_FROM, ""))
                found.of(str(at), metadata.get(SHA256), origin.file.sha256 if origin is not None else None)
            if not target.is_prefix:
                found.of(str(target.at))

    def _transcripts(self, wanted: Sequence[Target], found: Found) -> None:
        for target in wanted:
            owners = self._owners(target, found)
            keys: dict[str, list[tuple[Kind, Location]]] = {}
            for at in self._below(self._roots.transcripts, target.keys(self._roots)):
                stem, _dot, form = self._roots.transcripts.relative(at).rpartition(".")
                if form in formats() and not self._roots.records.contains(at):
                    keys.setdefault(stem, []).append((Kind.MANIFEST if form == MANIFEST else Kind.TRANSCRIPT, at))
            names = speakers_folder(self._roots.records)
            for at in self._below(names, target.keys(self._roots)):
                keys.setdefault(names.relative(at).removesuffix(".json"), []).append((Kind.NAMES, at))
            meant = [key for key in keys if target.is_prefix or self._is_key_of(key, target)]
            for key, manifest in zip(meant, in_parallel(self._manifest, meant), strict=True):
                if not self._is_of(key, manifest, owners, target):
                    continue
                found.traces.extend(Trace(kind, at) for kind, at in keys[key])
                if manifest is not None:
                    found.of(manifest.path_to_audio, manifest.audio.sha256)
                    found.jobs.add(manifest.job_id)
                self._local_copies(key, found)

    def _owners(self, target: Target, found: Found) -> dict[str, str]:
        """Whose the keys are that the target's transcripts may have; the records of its own are traces."""
        folder = self._roots.records.join("owners").as_prefix()
        listed = list(self._below(folder, target.keys(self._roots)))
        owners: dict[str, str] = {}
        for at, owner in zip(listed, in_parallel(lambda at: read_owner(self._store, at), listed), strict=True):
            key = folder.relative(at)
            if owner is not None:
                owners[key] = owner
            if owner is None or target.means(owner):
                # One that was deleted, and of which versions are kept, had named nothing else than its own key does.
                if owner is None and not (target.is_prefix or self._is_key_of(key, target)):
                    continue
                found.traces.append(Trace(Kind.OWNER, at))
            if owner is not None and target.means(owner):
                found.of(owner)
                self._local_copies(key, found)
        return owners

    def _is_key_of(self, key: str, target: Target) -> bool:
        """Whether a transcript of this very audio may have that key."""
        approach, model, _rest = key.split("/", 2)
        own = f"{approach}/{model}/{target.rest}"
        return key in (own, collision_key(own, target.at))

    def _is_of(self, key: str, manifest: Manifest | None, owners: dict[str, str], target: Target) -> bool:
        """Whether files with that key are of the target. What nobody owns is: its name alone is left of something."""
        if manifest is not None:
            return target.means(manifest.path_to_audio)
        owner = owners.get(key)
        if owner is not None:
            return target.means(owner)
        # A marked key has no owner; without a manifest it may be another audio's, whose files are just being written.
        return not target.is_prefix or _MARKED.search(key) is None

    def _manifest(self, key: str) -> Manifest | None:
        try:
            return read_manifest(self._store.read(self._roots.transcripts.join(f"{key}.{MANIFEST}"), limit=_LIMIT)[0])
        except (ObjectMissing, ValueError, RecursionError):
            return None

    def _local_copies(self, key: str, found: Found) -> None:
        if self._copies is None:
            return
        store, root = self._copies
        known = {trace.at for trace in found.traces if trace.kind is Kind.COPY}
        for info in store.list(root.join(f"{key}.")):
            stem, _dot, form = root.relative(info.location).rpartition(".")
            if stem == key and form in formats() and info.location not in known:
                found.traces.append(Trace(Kind.COPY, info.location))

    # --- what speaks of it

    def _tombstones(self, wanted: Sequence[Target], found: Found) -> None:
        def look(at: Location) -> Tombstone | None:
            try:
                return Tombstone.from_bytes(self._store.read(at, limit=MAX_RECORD_BYTES)[0])
            except (ObjectMissing, ValueError, RecursionError):
                return None

        for at, tombstone in (*self._looked("tombstones", look), *self._looked("expiring", look)):
            if tombstone is not None and _means(wanted, tombstone.location):
                found.traces.append(Trace(Kind.TOMBSTONE, at))
                found.of(tombstone.location, tombstone.sha256)
                found.jobs.add(tombstone.job_id)

    def _failures(self, wanted: Sequence[Target], found: Found) -> None:
        for at, data in self._looked("failed", self._content):
            if data is not None and self._tells_of(data, wanted):
                found.traces.append(Trace(Kind.FAILURE, at))

    def _tells_of(self, data: bytes, wanted: Sequence[Target]) -> bool:
        try:
            record = FailureRecord.from_bytes(data)
        except LfkError:
            return mentions(data.decode("utf-8", "replace"), wanted, self._roots.audio)
        path = record.announcement.path_to_audio
        if path is not None:
            return means_path(path, record.announcement.transcription_approach, wanted, self._roots)
        original = record.original
        parts = b" ".join(part for part in (original.key, original.value) if part) if original is not None else b""
        return mentions(parts.decode("utf-8", "replace"), wanted, self._roots.audio)

    def _outbox(self, wanted: Sequence[Target], found: Found) -> None:
        folder = outbox_folder(self._roots.records)
        for at, data in self._looked_in(folder, self._content):
            key = waiting_key(data) if data is not None else None
            if key is not None and _means(wanted, key):
                found.traces.append(Trace(Kind.OUTBOX, at))

    def _hubs(self, wanted: Sequence[Target], found: Found) -> None:
        for at, data in self._looked("hubs", self._content):
            if data is not None and mentions(_unescaped(data), wanted, self._roots.audio):
                found.traces.append(Trace(Kind.HUB, at))

    def _batches(self, wanted: Sequence[Target], found: Found) -> None:
        for at, data in self._looked("batches", self._content):
            changed = None if data is None else self._without(at, data, wanted)
            if changed is not None:
                found.traces.append(Trace(Kind.BATCH, at, changed or None))

    def _without(self, at: Location, data: bytes, wanted: Sequence[Target]) -> bytes | None:
        """The content without what names the audio: empty where nothing is left, None where nothing names it."""
        try:
            if at.name == "head.json":
                return self._head_without(Head.from_bytes(data), wanted)
            if at.parent.name == "parts":
                return self._part_without(read_part(data), wanted)
        except ValueError as error:
            log.warning("%s is left alone: %s", at, error)
        return None

    def _head_without(self, head: Head, wanted: Sequence[Target]) -> bytes | None:
        if head.place is None or not mentions(head.place, wanted, self._roots.audio):
            return None
        # Where it stood is all that it says; one that is resumed begins anew, and what is answered is answered quickly.
        return replace(head, place=None).to_bytes()

    def _part_without(self, part: Part, wanted: Sequence[Target]) -> bytes | None:
        kept = [entry for entry in part.entries if not self._entry_means(entry, wanted)]
        named = part.until is not None and mentions(part.until, wanted, self._roots.audio)
        if len(kept) == len(part.entries) and not named:
            return None
        return write_part(kept, None if named else part.until) if kept else b""

    def _entry_means(self, entry: Entry, wanted: Sequence[Target]) -> bool:
        reference = entry.reference
        return means_path(reference.path_to_audio, reference.transcription_approach, wanted, self._roots)

    # --- what was kept of the work

    def _results(self, found: Found, wanted: Sequence[Target]) -> None:
        marks = {made_of(audio) for audio in found.hashes}

        def look(at: Location) -> bool:
            if at.name.partition(".")[0].partition("-")[0] in found.jobs:
                return True
            try:
                mark = self._store.stat(at).metadata.get(MADE_OF)
                return mark in marks if mark is not None else self._unmarked(at, wanted)
            except ObjectMissing:
                # Only earlier versions are left, and nobody will read what they say.
                return self._history

        for at, meant in self._looked("results", look):
            if meant:
                found.traces.append(Trace(Kind.RESULT, at))

    def _unmarked(self, at: Location, wanted: Sequence[Target]) -> bool:
        """A result of an older version of lfk. What does not say whose it is goes: it only saves work."""
        try:
            audio = StoredResult.from_bytes(self._store.read(at, limit=_LIMIT)[0]).audio
        except (ValueError, RecursionError):
            return True
        return audio is None or _means(wanted, audio)

    # --- listings

    def _looked(self, folder: str, look: Callable[[Location], _T]) -> Iterator[tuple[Location, _T]]:
        return self._looked_in(self._roots.records.join(folder).as_prefix(), look)

    def _looked_in(self, folder: Location, look: Callable[[Location], _T]) -> Iterator[tuple[Location, _T]]:
        yield from in_parallel(lambda at: (at, look(at)), self._kept(folder))

    def _content(self, at: Location) -> bytes | None:
        try:
            return self._store.read(at, limit=_LIMIT)[0]
        except ObjectMissing:
            return None
        except StoreError as error:
            log.warning("%s cannot be looked into: %s", at, error)
            return None

    def _below(self, root: Location, leads: Iterable[str]) -> Iterator[Location]:
        def listed(lead: str) -> list[Location]:
            return list(self._kept(Location(root.scheme, root.bucket, f"{root.as_prefix().key}{lead}")))

        for some in in_parallel(listed, leads):
            yield from some

    def _kept(self, prefix: Location) -> Iterator[Location]:
        if self._history:
            yield from self._store.history(prefix)
        else:
            yield from (info.location for info in self._store.list(prefix))


def locations(found: Found) -> list[Location]:
    """Every audio that was come upon."""
    return [parse_location(audio) for audio in sorted(found.hashes)]


def _means(wanted: Sequence[Target], audio: str) -> bool:
    return any(target.means(audio) for target in wanted)


def _unescaped(data: bytes) -> str:
    """JSON's text with its escapes of characters beyond ASCII undone, to look for names in."""
    try:
        return json.dumps(json.loads(data), ensure_ascii=False)
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace")
