"""One reference from bytes to answer: resolve, skip if done, fetch, transcribe, keep, render. Knows no broker.

Runs on a job thread. Says through its context when an attempt begins, and never starts engine work before that has
been recorded.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfk.brokers.codec import Codec
from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.errors import AudioDeleted, AudioEmpty, AudioTooLarge, LfkError, ModelMissing, ObjectMissing, StoreError
from lfk.core.formats import MANIFEST
from lfk.core.identity import job_id as identify_job
from lfk.core.identity import recognition_id
from lfk.core.location import Location, parse_location
from lfk.core.manifest import AudioVersion, Manifest, Rendering, StoredResult
from lfk.core.messages import Announcement
from lfk.core.options import JobOptions, parse_options
from lfk.core.transcript import Transcript
from lfk.engine.base import EngineKind, ModelIdentity, Task
from lfk.engine.pool import EnginePool
from lfk.roles.expiring import Expiring
from lfk.roles.failures import Failures
from lfk.roles.helpers import Helpers
from lfk.roles.hub.forgetting import Forgetting
from lfk.roles.hub.job import Job, announce
from lfk.roles.hub.scratch import Scratch
from lfk.roles.results import Published, Results, build_manifest
from lfk.roles.tombstones import Tombstones
from lfk.stores.base import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)

#: Requests to the store that jobs make beside their own, all jobs together: each has four of them in a fraction of a
#: second, and then an engine at work for long.
_ASIDE = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """What the hub takes on: bytes of one audio."""

    audio_bytes: int


class JobRunner:
    """Runs jobs; one instance serves every job thread."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        roots: Roots,
        codec: Codec,
        results: Results,
        kind: EngineKind,
        pool: EnginePool,
        scratch: Scratch,
        limits: Limits,
        rendering: Rendering,
        fallbacks: Mapping[str, str],
        stop: threading.Event,
        expiring: Expiring | None = None,
    ) -> None:
        """``expiring``: where audio is noted that is to be deleted once it is transcribed; None if it is to stay."""
        self._store = store
        self._roots = roots
        self._failures = Failures(store, roots.records)
        self._codec = codec
        self._results = results
        self._kind = kind
        self._pool = pool
        self._scratch = scratch
        self._limits = limits
        self._rendering = rendering
        self._fallbacks = fallbacks
        self._stop = stop
        self._expiring = expiring
        self._aside = Helpers(_ASIDE, "lfk-aside")
        self._tombstones = Tombstones(store, roots.records)
        self._forgetting = Forgetting(store, roots, results.copies)

    def run(self, job: Job, begin: Callable[[], None]) -> Announcement:
        """The announcement of a finished job. ``begin`` returns once the start of an attempt is recorded.

        Raises:
            LfkError: the job did not come to an end; ``job.stage`` says where.
        """
        try:
            return self._run(job, begin)
        except LfkError as error:
            told = self._forgetting.instead(job.address, error)
            if told is error:
                raise
            raise told from error

    def confirm_failure(self, job: Job) -> None:
        """To be called once a job's failure is recorded.

        Raises:
            AudioForgotten: nothing may be recorded of it.
        """
        self._forgetting.confirm_failure(job.address)

    def _run(self, job: Job, begin: Callable[[], None]) -> Announcement:
        """As :meth:`run`, with whatever error the job came to."""
        job.started = time.time()
        job.began.clear()
        job.stage = "parse"
        reference = job.reference = self._codec.decode_reference(job.record.value)
        made = reference.timestamp or job.record.timestamp
        job.timings["queued"] = max(0.0, job.started - made / 1000) if made else 0.0
        job.stage = "resolve"
        address = resolve(reference.path_to_audio, reference.transcription_approach, self._roots)
        options = parse_options(reference.options, reference.language, self._rendering)
        job.address = address
        job.stage = "fetch"
        info, address, buried = self._look(address)
        job.address = address
        if reference.etag and reference.etag != info.etag:
            job.warnings.append("the audio was replaced after this reference was sent; its present content was used")
        identity = self._identify(address, job)
        rendering = self._render_as(address, options)
        # Whose manifest stands at the natural key has claimed it: a skip needs no claim, which costs two requests.
        key = address.transcript_key
        there = current = self._results.current(key)
        done = self._skip(job, address, key, there, info, identity, options, rendering)
        if done is None and there is not None and there.manifest.path_to_audio != str(address.location):
            key = self._results.claim(address)
            current = self._results.current(key)
            done = self._skip(job, address, key, current, info, identity, options, rendering)
        if done is None and buried:
            raise _deleted(address.location)
        if done is None:
            done = self._work(job, address, info, identity, options, rendering, begin)
        if not buried:
            # Once more, also for work that was there already: the grace time begins about when it is announced.
            self._expires(done.manifest, done.location)
        if done is not current:
            # Only what this job may have written is its to take back.
            self._forgetting.confirm(address, job.audio, done.manifest.audio)
        if reference.causation_id:
            self._come_good(reference.causation_id)
        return announce(job, address, done)

    def describe(self, job: Job) -> None:
        """Note what a job's record asks for, as far as that can be told without a look at the audio.

        Called by the hub's one thread, which must not wait for a Schema Registry: then it stays untold.
        """
        if not self._codec.knows(job.record.value):
            return
        try:
            reference = job.reference = self._codec.decode_reference(job.record.value)
            address = job.address = resolve(reference.path_to_audio, reference.transcription_approach, self._roots)
            job.model = address.model
        except LfkError as error:
            # Running it will fail in the same way, and answer for it.
            log.debug("not to be told: %s", error, extra={"event_id": job.event_id})

    # --- steps

    def _come_good(self, failed: str) -> None:
        """A dead letter that was sent again is done: its failure goes. A store that keeps everything costs no job."""
        try:
            self._failures.forget(failed)
        except StoreError as error:
            log.warning("the failure of %s stays recorded: %s", failed, error)

    def _look(self, address: AudioAddress) -> tuple[ObjectInfo, AudioAddress, bool]:
        """The audio object; a relative path with a leading ``sources`` may name it in two ways.

        For audio that was deleted once its transcript had been verified, what it was; the last value says so.
        """
        try:
            info = self._store.stat(address.location)
        except ObjectMissing as missing:
            try:
                if address.fallback is None:
                    raise
                info = self._store.stat(address.fallback)
                address = address.at(address.fallback)
            except ObjectMissing:
                buried = self._tombstones.stand_in(address.location)
                if buried is None:
                    raise missing from None
                return buried, address, True
        if info.size == 0:
            raise AudioEmpty(f"{address.location} has no bytes")
        if info.size > self._limits.audio_bytes:
            raise AudioTooLarge(f"{address.location} has {info.size} bytes; the limit is {self._limits.audio_bytes}")
        return info, address, False

    def _identify(self, address: AudioAddress, job: Job) -> ModelIdentity:
        """The weights that will do the work; an operator's fallback serves where the asked-for ones are not."""
        exact = self._roots.catalogue.served_by[address.model]
        try:
            return self._kind.identify(exact)
        except ModelMissing:
            fallback = self._fallbacks.get(exact)
            if fallback is None:
                raise
            identity = self._kind.identify(fallback)
        job.warnings.append(f"{exact} is not at hand here; {fallback} did the work (LFK_MODEL_FALLBACKS)")
        return identity

    def _render_as(self, address: AudioAddress, options: JobOptions) -> Rendering:
        timestamps = options.rendering.timestamps
        if address.flips_timestamps:
            timestamps = not timestamps
        return Rendering(options.rendering.formats, timestamps, options.rendering.pause)

    def _skip(
        self,
        job: Job,
        address: AudioAddress,
        key: str,
        there: Published | None,
        info: ObjectInfo,
        identity: ModelIdentity,
        options: JobOptions,
        rendering: Rendering,
    ) -> Published | None:
        """What is there already, where a look at manifest and audio shows that it is current."""
        if there is None or there.manifest.path_to_audio != str(address.location):
            return None
        manifest = there.manifest
        seen = manifest.audio
        if (seen.etag, seen.size, seen.version_id) != (info.etag, info.size, info.version_id):
            return None
        job.job_id = _job_id(seen.sha256, address, identity, options)
        if manifest.job_id != job.job_id or self._must_redo(job, manifest):
            return None
        if manifest.rendering == rendering and not self._results.renew(key, manifest):
            return there
        result = self._results.load(manifest.job_id) or None
        return None if result is None else self._results.publish(key, address, seen, result, rendering)

    def _must_redo(self, job: Job, manifest: Manifest) -> bool:
        forced = job.reference is not None and job.reference.force
        return forced and manifest.event_id != job.event_id

    def _work(
        self,
        job: Job,
        address: AudioAddress,
        info: ObjectInfo,
        identity: ModelIdentity,
        options: JobOptions,
        rendering: Rendering,
        begin: Callable[[], None],
    ) -> Published:
        """Fetch, transcribe, keep and render. What does not depend on one another asks the store side by side."""
        forced_by = job.event_id if job.reference is not None and job.reference.force else None
        claim = self._aside.begin(lambda: self._results.claim(address))
        # They write something, so nothing may be concluded before they have come to an end.
        writes: list[Future[Any]] = [claim]
        try:
            with self._scratch.job(info.size, self._stop) as folder:
                job.enter("fetch")
                with _timed(job, "fetch"):
                    audio = folder / f"audio{_suffix(address.location.name)}"
                    info, sha256 = self._fetch(address.location, audio, info.etag)
                job.job_id = _job_id(sha256, address, identity, options)
                job.audio = version = AudioVersion(info.etag, info.size, sha256, info.modified, info.version_id)
                refuse = self._aside.begin(
                    lambda: self._forgetting.refuse(address.location, modified=version.modified, sha256=sha256)
                )
                heard = recognition_id(sha256, identity.name, identity.revision, options.recognition)
                recognition = self._aside.begin(lambda: None if forced_by else self._results.load_recognition(heard))
                stored = self._results.load(job.job_id, forced_by)
                refuse.result()
                if stored is not None:
                    result = stored
                elif job.result is not None and job.result.job_id == job.job_id:
                    result = job.result
                else:
                    task = Task(
                        audio=audio,
                        sha256=sha256,
                        stages=address.approach.stages,
                        model=identity.name,
                        options=options.values,
                        scratch=folder,
                        recognised=recognition.result(),
                    )
                    result = job.result = self._transcribe(job, address, task, begin, heard, writes)
                job.enter("write")
                key = claim.result()
                look = self._aside.begin(lambda: self._results.manifest(key))
                if stored is None:
                    result = self._results.save(result, forced_by)
            with _timed(job, "write"):
                # First, as nobody looks at audio again that has its transcript: a hub that dies in between leaves both
                # or the record alone, and audio without a transcript stays.
                manifest = build_manifest(address, version, result, rendering)
                self._expires(manifest, self._results.location(key, MANIFEST))
                return self._results.publish(key, address, version, result, rendering, look.result)
        finally:
            wait(writes)

    def _expires(self, manifest: Manifest, transcript: Location) -> None:
        """Note that the audio of a transcript is to be deleted in time, where audio is."""
        if self._expiring is not None and self._roots.audio.contains(parse_location(manifest.path_to_audio)):
            self._expiring.record(manifest, transcript, time.time())

    def _fetch(self, location: Location, audio: Path, etag: str) -> tuple[ObjectInfo, str]:
        try:
            return self._store.download(location, audio, limit=self._limits.audio_bytes, etag=etag)
        except ObjectMissing:
            # It was there a moment ago.
            if self._tombstones.stand_in(location) is not None:
                raise _deleted(location) from None
            raise

    def _transcribe(
        self,
        job: Job,
        address: AudioAddress,
        task: Task,
        begin: Callable[[], None],
        heard: str,
        writes: list[Future[Any]],
    ) -> StoredResult:
        """Engine work. The recognition is kept as soon as it is there: no later stage's failure costs it."""
        job.enter("queue")
        with self._pool.engine(job.rank) as engine:
            begin()

            def progress(stage: str, part: float) -> None:
                job.enter(stage)
                job.part = part
                log.debug("%s %.0f%%", stage, part * 100)

            def recognised(transcript: Transcript) -> None:
                writes.append(self._aside.begin(lambda: self._keep_recognition(heard, transcript, address)))

            outcome = engine.run(task, progress, recognised)
        job.transcribed = True
        job.timings.update(outcome.timings)
        return StoredResult(
            event_id=job.event_id,
            job_id=job.job_id or "",
            transcript=outcome.transcript,
            provenance=outcome.provenance,
            timings=outcome.timings,
            reused_stages=outcome.reused_stages,
            audio=str(address.location),
            pair=address.pair,
        )

    def _keep_recognition(self, heard: str, transcript: Transcript, address: AudioAddress) -> None:
        try:
            self._results.save_recognition(heard, transcript, address.location)
        except LfkError as error:
            # It only saves work should something fail later; the work that is under way goes on.
            log.warning("the recognition is not kept: %s", error)


def _job_id(sha256: str, address: AudioAddress, identity: ModelIdentity, options: JobOptions) -> str:
    approach = address.approach
    return identify_job(sha256, approach.name, identity.name, identity.revision, options.work_in(approach.stages))


def _deleted(audio: Location) -> AudioDeleted:
    return AudioDeleted(f"{audio} was deleted on purpose once it was transcribed, and has no transcript of this kind")


class _timed:  # noqa: N801 - used as a statement
    """Adds the seconds of a block to a job's timings."""

    def __init__(self, job: Job, name: str) -> None:
        self._job = job
        self._name = name

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_exc: object) -> None:
        self._job.timings[self._name] = time.monotonic() - self._started


def _suffix(name: str) -> str:
    """The file's suffix where it is a plain one; nothing else of a name from outside reaches the disk."""
    suffix = Path(name).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,5}", suffix) else ""
