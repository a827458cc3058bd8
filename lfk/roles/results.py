"""Results in the store: kept once, rendered purely, announced by a manifest that is written last.

The order that makes it safe (each step may be the last one before a crash)::

    1. the transcript's key     .lfk/owners/<key>            put-if-absent; another audio's name is never overwritten
    2. the engine's result      .lfk/results/<job_id>.json   put-if-absent; whoever comes second adopts it
    3. the old manifest goes    <key>.json
    4. every rendering          <key>.<format>               the same bytes, whoever writes them; side by side
    5. the manifest             <key>.json                   put-if-absent: it exists ⇒ all it lists exists and matches

Where the audio was replaced meanwhile, a writer of the older one may put its files between those of a newer one. It
then loses step 5, and before it adopts what is there it makes good what it has done: until then its reference is not
answered, so that the next hub would do it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lfk.core.addressing import AudioAddress, Roots, collision_key
from lfk.core.errors import ContentChanged, InvalidLocation, ObjectMissing, PreconditionFailed
from lfk.core.forgotten import made_of
from lfk.core.formats import MANIFEST, Format, Page, audio_href, formats
from lfk.core.location import Location, parse_location
from lfk.core.manifest import AudioVersion, FileEntry, Manifest, Rendering, StoredResult, read_json, read_manifest
from lfk.core.transcript import Transcript, from_dict, to_dict, turn_to_dict
from lfk.roles.helpers import Helpers
from lfk.roles.lookahead import Lookahead
from lfk.stores.base import MADE_OF, SHA256, IfAbsent, IfMatch, ObjectStore

log = logging.getLogger(__name__)

#: A result or manifest of a day-long recording stays well below this.
_RESULT_LIMIT = 256 << 20
_OWNER_LIMIT = 16 << 10
#: How often a write is tried again when other writers keep coming first, or the store cannot decide who did.
_ATTEMPTS = 8
#: Files written at a time, besides one by each job: as many as a store's kept connections have room for.
_WRITERS = 8


@dataclass(frozen=True, slots=True)
class Published:
    """A transcript that is complete in the store."""

    manifest: Manifest
    location: Location
    #: Nothing had to be written.
    untouched: bool

    @property
    def files(self) -> dict[str, str]:
        """Format to location in the order that was asked for, the manifest's own last."""
        # A manifest that was read has its files in the order of their names.
        asked = self.manifest.rendering.formats
        names = sorted(self.manifest.files, key=lambda name: asked.index(name) if name in asked else len(asked))
        return {**{name: self.manifest.files[name].location for name in names}, MANIFEST: str(self.location)}


class Results:
    """Reads and writes results below the roots. Safe for use by several threads."""

    def __init__(self, store: ObjectStore, roots: Roots, copies: tuple[ObjectStore, Location] | None = None) -> None:
        """``copies``: a local folder that gets each file too (MAIN_NODE_TRANSCRIPTIONS_FOLDER)."""
        self._store = store
        self._roots = roots
        self.copies = copies
        self._lookahead = Lookahead(store)
        self._writers = Helpers(_WRITERS, "lfk-writer")

    def claim(self, address: AudioAddress) -> str:
        """The transcript key of an audio; its natural one, or a marked one where another audio owns that."""
        key = address.transcript_key
        owner = self._own(key, address.location)
        return key if owner == str(address.location) else collision_key(key, address.location)

    def manifest(self, key: str) -> tuple[Manifest, str] | None:
        """The manifest of a transcript key with its ETag, or None. One that cannot be read counts as none."""
        location = self.location(key, MANIFEST)
        try:
            content, info = self._store.read(location, limit=_RESULT_LIMIT)
        except ObjectMissing:
            return None
        try:
            return read_manifest(content), info.etag
        except ValueError as error:
            log.warning("%s is not a manifest and will be replaced: %s", location, error)
            return None

    def location(self, key: str, form: str) -> Location:
        """Where the file of a format lies."""
        return self._roots.transcripts.join(f"{key}.{form}")

    def load(self, job_id: str, forced_by: str | None = None) -> StoredResult | None:
        """The stored result of a job; of the forcing reference alone where it is forced."""
        location = self._result_location(job_id, forced_by)
        try:
            data, _info = self._store.read(location, limit=_RESULT_LIMIT)
            return StoredResult.from_bytes(data)
        except ObjectMissing:
            return None
        except ValueError as error:
            log.error("%s cannot be used, the work is done again: %s", location, error)
            self._store.delete(location)
            return None

    def save(self, result: StoredResult, forced_by: str | None = None) -> StoredResult:
        """Keep a result; returns the one that counts, which may be another hub's."""
        location = self._result_location(result.job_id, forced_by)
        for _attempt in range(_ATTEMPTS):
            try:
                self._store.put(
                    location,
                    result.to_bytes(),
                    content_type="application/json",
                    metadata=_marked(result.audio),
                    condition=IfAbsent(),
                )
            except PreconditionFailed:
                # Another hub's; or nobody's, where the store could not decide between two.
                if (there := self.load(result.job_id, forced_by)) is not None:
                    return there
            else:
                return result
        raise ContentChanged(f"{location} cannot be written: the store says that others do")

    def load_recognition(self, heard: str) -> Transcript | None:
        """A recognition that some job of the same audio, model and options has left."""
        location = self._recognition_location(heard)
        try:
            return from_dict(read_json(self._store.read(location, limit=_RESULT_LIMIT)[0]))
        except ObjectMissing:
            return None
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            log.error("%s cannot be used, the audio is recognised again: %s", location, error)
            self._store.delete(location)
            return None

    def save_recognition(self, heard: str, transcript: Transcript, audio: Location) -> None:
        """Keep a recognition of ``audio`` for other approaches and for a retry; the first one counts."""
        content = json.dumps(to_dict(transcript), ensure_ascii=False, allow_nan=False).encode("utf-8")
        location = self._recognition_location(heard)
        with contextlib.suppress(PreconditionFailed):
            self._store.put(
                location,
                content,
                content_type="application/json",
                metadata=_marked(str(audio)),
                condition=IfAbsent(),
            )

    def publish(
        self,
        key: str,
        address: AudioAddress,
        audio: AudioVersion,
        result: StoredResult,
        rendering: Rendering,
        look: Callable[[], tuple[Manifest, str] | None] | None = None,
    ) -> Published:
        """Make the transcript at ``key`` complete and current; adopts what is there if it is already.

        What is damaged is made good, also where it is of newer audio and stays. ``look`` is the first look at
        :meth:`manifest`, where somebody has begun it already.

        Raises:
            ContentChanged: other writers kept replacing it.
        """
        wanted = build_manifest(address, audio, result, rendering)
        location = self.location(key, MANIFEST)
        for attempt in range(_ATTEMPTS):
            there = look() if look is not None and attempt == 0 else self.manifest(key)
            if there is not None and _serves(there[0], wanted):
                if self._is_whole(there[0]):
                    return Published(there[0], location, untouched=True)
                self._repair(key, address, there[0], result)
                continue
            try:
                if there is not None:
                    self._store.delete(location, condition=IfMatch(there[1]))
                return self._write(key, address, result, wanted)
            except PreconditionFailed:
                continue
        raise ContentChanged(f"{location} is being replaced by others all the time")

    def current(self, key: str) -> Published | None:
        """The complete transcript at ``key`` as it stands."""
        there = self.manifest(key)
        return None if there is None else Published(there[0], self.location(key, MANIFEST), untouched=True)

    def renew(self, key: str, manifest: Manifest) -> bool:
        """Take a manifest away whose files are not all there, as if somebody had removed some; whether it was so.

        One listing tells. What is rendered anew from the stored result is complete again.
        """
        prefix = self._roots.transcripts.join(f"{key}.")
        wanted = {entry.location: entry.size for entry in manifest.files.values()}
        if self._lookahead.shows(prefix, wanted):
            return False
        sizes = {str(info.location): info.size for info in self._store.list(prefix)}
        if all(sizes.get(location) == size for location, size in wanted.items()):
            return False
        log.warning("files of %s are missing or not what was written; they are rendered anew", prefix)
        there = self.manifest(key)
        if there is not None and there[0] == manifest:
            with contextlib.suppress(PreconditionFailed):
                self._store.delete(self.location(key, MANIFEST), condition=IfMatch(there[1]))
        return True

    def _is_whole(self, manifest: Manifest) -> bool:
        """Whether every file that it lists is there as listed."""
        for entry in manifest.files.values():
            try:
                info = self._store.stat(parse_location(entry.location))
            except (ObjectMissing, InvalidLocation):
                return False
            if (info.size, info.metadata.get(SHA256)) != (entry.size, entry.sha256):
                return False
        return True

    def _repair(self, key: str, address: AudioAddress, manifest: Manifest, result: StoredResult) -> None:
        """Write the files of a manifest again. It stays meanwhile: what is newest must not be forgotten.

        Raises:
            ContentChanged: the result that it was rendered from is gone.
        """
        if result.job_id != manifest.job_id:
            kept = self.load(manifest.job_id) or self.load(manifest.job_id, manifest.event_id)
            if kept is None:
                raise ContentChanged(
                    f"{self.location(key, MANIFEST)} lists files that are damaged, and its result is gone"
                )
            result = kept
        log.warning("%s lists files that are not there as listed: they are written again", self.location(key, MANIFEST))
        self._write_files(key, _page(self.location(key, "html"), address, result, manifest), manifest)

    def _write(self, key: str, address: AudioAddress, result: StoredResult, wanted: Manifest) -> Published:
        page = _page(self.location(key, "html"), address, result, wanted)
        manifest = replace(wanted, files=self._write_files(key, page, wanted))
        form = formats()[MANIFEST]
        location = self.location(key, MANIFEST)
        self._put(location, form.render(replace(page, manifest=manifest.to_dict())), form, IfAbsent())
        return Published(manifest, location, untouched=False)

    def _write_files(self, key: str, page: Page, wanted: Manifest) -> dict[str, FileEntry]:
        """Every rendering but the manifest."""
        names = [name for name in wanted.rendering.formats if name != MANIFEST]

        def write(name: str) -> FileEntry:
            form = formats()[name]
            content = form.render(page)
            location = self.location(key, name)
            self._put(location, content, form)
            return FileEntry(str(location), len(content), hashlib.sha256(content).hexdigest())

        # Side by side: nothing is told of any of them before the manifest is there, and a store takes its time.
        return dict(zip(names, self._writers.each(write, names), strict=True))

    def _put(self, location: Location, content: bytes, form: Format, condition: IfAbsent | None = None) -> None:
        digest: Mapping[str, str] = {SHA256: hashlib.sha256(content).hexdigest()}
        self._store.put(location, content, content_type=form.media_type, metadata=digest, condition=condition)
        if self.copies is not None:
            store, root = self.copies
            store.put(root.join(self._roots.transcripts.relative(location)), content, content_type=form.media_type)

    def _own(self, key: str, audio: Location) -> str:
        """Claim a transcript key for an audio; returns the location that owns it."""
        location = self._roots.records.join(f"owners/{key}")
        for _attempt in range(_ATTEMPTS):
            try:
                self._store.put(location, str(audio).encode("utf-8"), content_type="text/plain", condition=IfAbsent())
                return str(audio)
            except PreconditionFailed:
                with contextlib.suppress(ObjectMissing):
                    data, _info = self._store.read(location, limit=_OWNER_LIMIT)
                    return data.decode("utf-8", "replace")
        raise ContentChanged(f"{location} cannot be written: the store says that others do")

    def _recognition_location(self, heard: str) -> Location:
        return self._roots.records.join(f"results/recognition-{heard}.json")

    def _result_location(self, job_id: str, forced_by: str | None) -> Location:
        name = f"{job_id}-{forced_by}" if forced_by else job_id
        return self._roots.records.join(f"results/{name}.json")


def _marked(audio: str | None) -> dict[str, str]:
    return {} if audio is None else {MADE_OF: made_of(audio)}


def _page(html: Location, address: AudioAddress, result: StoredResult, manifest: Manifest) -> Page:
    return Page(
        transcript=result.transcript,
        approach=address.approach,
        title=address.location.name,
        timestamps=manifest.rendering.timestamps,
        pause=manifest.rendering.pause,
        audio_href=audio_href(html, address.location),
    )


def _serves(there: Manifest, wanted: Manifest) -> bool:
    """Whether what is there is what is wanted, or of newer audio."""
    if there.path_to_audio != wanted.path_to_audio:
        return False
    if there.audio.modified > wanted.audio.modified:
        return True
    same_work = (there.job_id, there.event_id, there.rendering) == (wanted.job_id, wanted.event_id, wanted.rendering)
    return same_work and there.audio.etag == wanted.audio.etag


def build_manifest(address: AudioAddress, audio: AudioVersion, result: StoredResult, rendering: Rendering) -> Manifest:
    """The manifest of a result, before any file is listed."""
    transcript = result.transcript
    turns: tuple[Mapping[str, Any], ...] = tuple(turn_to_dict(turn) for turn in transcript.turns)
    return Manifest(
        event_id=result.event_id,
        job_id=result.job_id,
        path_to_audio=str(address.location),
        transcription_approach=address.pair,
        audio=audio,
        rendering=rendering,
        language=transcript.language,
        duration=transcript.duration,
        segments=len(transcript.segments),
        words=transcript.word_count,
        speakers=len(transcript.speakers),
        no_speech=transcript.no_speech,
        warnings=transcript.warnings,
        provenance=result.provenance,
        timings=result.timings,
        reused_stages=result.reused_stages,
        turns=turns,
    )
