"""The gateway: joins the chunks of each audio, stores it whole, and sends one reference.

One thread, the one that calls :meth:`Gateway.run`, owns the group membership and every decision; storing threads only
store and report. The order that makes it safe::

    1. a chunk is delivered     its bytes go to the spool; its offset is open
    2. an audio is complete     proved to be whole, checked against what its sender says, stored as one object
    3. it is answered           its reference (or a failed announcement) and the progress in one transaction
    4. a partition goes         its audios are forgotten here, and joined again by whoever has the partition then

An audio whose chunks stop coming is given up after the time-out, and only once everything that had been sent by then
has been read. The chunks of an audio that has failed are read on until its last one, so that no part of it is ever
taken for an audio of its own.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lfk.brokers.base import Broker, Delivered, Partition, Progress
from lfk.brokers.codec import Codec
from lfk.core.chunks import AudioChunk
from lfk.core.errors import (
    AudioTooLarge,
    ChunksTimedOut,
    Kind,
    LfkError,
    RejectedReference,
    ScratchFull,
    Unreachable,
)
from lfk.core.messages import AudioReference
from lfk.roles.at_work import at_work
from lfk.roles.chunks.answers import Answers
from lfk.roles.chunks.audio import Audio, GatewaySummary, Joined, Stopped, key_of
from lfk.roles.chunks.incoming import Incoming
from lfk.roles.chunks.keeper import Keeper
from lfk.roles.chunks.partitions import Answer, Owned, Partitions
from lfk.roles.chunks.plan import GatewayPlan
from lfk.roles.chunks.spool import Spool, over_budget
from lfk.roles.health import Pulse

log = logging.getLogger(__name__)

#: One wait for the broker while something is being stored or waits to be settled, and while nothing does.
_BUSY_POLL_SECONDS = 0.02
_IDLE_POLL_SECONDS = 0.2
#: How often late audios are looked for.
_LOOK_SECONDS = 1.0
#: A partition from which nothing has come for that long, with a broker that answers, has nothing more.
_QUIET_SECONDS = 5.0
#: Above this part of the spool's budget nothing is read; reading goes on below the second.
_FULL, _ROOM = 0.9, 0.7
#: Audios under way at a time: each costs a file and some memory, whatever its size.
_MOST_AUDIOS = 10_000
#: Settlements tried at the end.
_LAST_SETTLEMENTS = 3


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a storing thread reports."""

    partition: Partition
    audio: Audio
    reference: AudioReference | None
    error: BaseException | None


class Gateway:
    """See the module. Built by the wiring."""

    def __init__(
        self,
        *,
        broker: Broker,
        codec: Codec,
        keeper: Keeper,
        spool: Spool,
        plan: GatewayPlan,
        stop: threading.Event,
        abandon: threading.Event,
        report: Callable[[Joined], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``abandon`` makes the keeper give up what it is storing; ``report`` gets every outcome once it is settled."""
        self._broker = broker
        self._codec = codec
        self._keeper = keeper
        self._spool = spool
        self._plan = plan
        self._stop = stop
        self._abandon = abandon
        self._report = report
        self._clock = clock
        self._partitions = Partitions(self._concluded, clock)
        self._answers = Answers(codec, plan.topic_audio, plan.answers)
        self._pool = ThreadPoolExecutor(max(1, plan.transfers), thread_name_prefix="lfk-store")
        self._stored: queue.SimpleQueue[_Stored] = queue.SimpleQueue()
        self._storing = 0
        self._paused: set[Partition] = set()
        self._incoming = Incoming(self._take_in, clock)
        self._looked = self._settled_at = self._active_at = clock()
        self._joined_group = False
        self.pulse = Pulse()
        #: Chunks taken in and not settled, as of the last turn.
        self.in_hand = 0
        self.summary = GatewaySummary()
        self._member = broker.member(plan.group, [plan.topic], self)

    def run(self) -> GatewaySummary:
        """Work until told to stop, or idle for long enough.

        Raises:
            BrokerError: the broker refuses this gateway.
        """
        try:
            while not self._finished():
                self._turn()
            self._wind_down()
        finally:
            self._abandon.set()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._member.close()
        return self.summary

    def _finished(self) -> bool:
        if self._stop.is_set():
            return True
        if not self._plan.exit_when_idle or not self._joined_group or self._partitions.in_hand:
            return False
        return self._clock() - self._active_at >= self._plan.exit_when_idle

    def _turn(self) -> None:
        self.pulse.beat()
        busy = bool(self._storing) or self._partitions.unsettled
        record = self._member.poll(_BUSY_POLL_SECONDS if busy else _IDLE_POLL_SECONDS)
        self._incoming.add(record)
        self._serve()
        self._look_for_late()
        self._steer_flow()
        self.in_hand = self._partitions.in_hand
        if self.in_hand or self._incoming.waits:
            self._active_at = self._clock()

    def _serve(self) -> None:
        self._take_stored()
        if self._partitions.held and not self._stop.is_set():
            return
        if self._partitions.unsettled and self._clock() - self._settled_at >= self._plan.settle_interval:
            self._settle()

    def _settle(self) -> None:
        self._settled_at = self._clock()
        self._partitions.settle(self._member)

    def _wind_down(self) -> None:
        """Let what is being stored finish within the grace time, settle what is answered, forget the rest."""
        deadline = self._clock() + self._plan.grace
        self._member.pause(list(self._partitions.owned))
        while self._storing:
            if self._clock() >= deadline:
                self._abandon.set()
            self.pulse.beat()
            self._member.poll(_BUSY_POLL_SECONDS)
            self._serve()
        for _attempt in range(_LAST_SETTLEMENTS):
            if self._partitions.unsettled:
                self._settle()

    # --- group life (called by the member, inside poll)

    def assigned(self, committed: Mapping[Partition, Progress | None]) -> Mapping[Partition, int | None]:
        """Load each partition's ledger from what the group committed, and start from that very read."""
        self._partitions.load(committed)
        self._joined_group = True
        self.pulse.serves()
        self._active_at = self._clock()
        return {partition: progress.offset if progress else None for partition, progress in committed.items()}

    def revoked(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Settle what is ready (unless it is too late), then forget these partitions."""
        if not lost and self._partitions.unsettled:
            self._settle()
        for audio in self._partitions.drop(partitions):
            if audio.job.stage != "store":
                self._forget(audio)
        self._paused.difference_update(partitions)
        self._incoming.drop(partitions)

    def missed(self, partition: Partition, first: int) -> None:
        """Chunks have gone unread: what of their audios comes is incomplete, and is answered so."""
        log.warning("%s/%d begins at %d: chunks before it are gone", partition.topic, partition.number, first)
        self._partitions.skip(partition, first)

    # --- taking in

    def _take_in(self, record: Delivered) -> None:
        # Read before it is taken in: where a Schema Registry does not answer, it comes again.
        chunk = self._read(record)
        owned = self._partitions.deliver(record)
        if owned is None:
            return
        if isinstance(chunk, RejectedReference):
            self._partitions.answer(self._answers.refused(record, chunk))
            return
        audio = owned.partial.get(key_of(chunk))
        if audio is None:
            if self._repeats(owned, chunk, record):
                self._partitions.finish(owned, record.offset)
                return
            audio = Audio.begin(chunk, record, self._clock())
            owned.partial[audio.key] = audio
        audio.offsets.append(record.offset)
        audio.touched = self._clock()
        audio.horizon = None
        audio.last = _fingerprint(chunk, record)
        if audio.failure is None:
            try:
                self._add(audio, chunk, record.timestamp)
            except LfkError as error:
                if error.kind is Kind.FATAL:
                    raise
                self._give_up(audio, error)
        if audio.failure is not None and chunk.final:
            self._fail(record.partition, owned, audio, audio.failure)
        elif audio.failure is None and audio.assembly.complete:
            self._begin_storing(record.partition, owned, audio)

    def _read(self, record: Delivered) -> AudioChunk | RejectedReference:
        try:
            return self._codec.decode_chunk(record.value)
        except RejectedReference as error:
            return error

    def _repeats(self, owned: Owned, chunk: AudioChunk, record: Delivered) -> bool:
        """Whether a chunk repeats one of an audio that has ended; a name alone may be sent again at any time."""
        ended = owned.ended.get(key_of(chunk))
        return ended is not None and (chunk.numbered or ended == _fingerprint(chunk, record))

    def _add(self, audio: Audio, chunk: AudioChunk, made: int) -> None:
        """Take a chunk's bytes in.

        Raises:
            LfkError: the audio cannot come to anything.
        """
        if audio.job.address is None:
            audio.job.address = self._keeper.address(chunk)
        audio.sha256 = chunk.sha256 or audio.sha256
        audio.size = chunk.size if chunk.size is not None else audio.size
        size = max(audio.assembly.received + len(chunk.frames), audio.size or 0)
        if size > self._plan.max_audio_bytes:
            raise AudioTooLarge(f"it has {size} bytes or more; the limit is {self._plan.max_audio_bytes}")
        if audio.assembly.take(chunk, made):
            if audio.file is None:
                audio.file = self._spool.open(pcm=audio.assembly.pcm is not None)
            self._spool.append(audio.file, chunk.frames)

    # --- ends

    def _begin_storing(self, partition: Partition, owned: Owned, audio: Audio) -> None:
        owned.end(audio)
        owned.storing.append(audio)
        # Audios of one name are stored one after the other, so that the one that was sent last is what stays.
        if not any(other.key[0] == audio.key[0] for other in owned.storing[:-1]):
            self._submit(partition, audio)

    def _submit(self, partition: Partition, audio: Audio) -> None:
        audio.job.stage = "store"
        self._storing += 1
        self._pool.submit(self._store, partition, audio)

    def _store(self, partition: Partition, audio: Audio) -> None:
        """On a storing thread."""
        reference, failure = None, None
        try:
            assert audio.job.address is not None, "it was addressed with its first chunk"  # noqa: S101
            with at_work(audio.job):
                reference = self._keeper.keep(audio, audio.job.address)
        except BaseException as error:  # noqa: BLE001 - it is judged by the owner
            failure = error
        self._stored.put(_Stored(partition, audio, reference, failure))

    def _take_stored(self) -> None:
        while True:
            try:
                stored = self._stored.get_nowait()
            except queue.Empty:
                return
            audio, error = stored.audio, stored.error
            self._storing -= 1
            self._forget(audio)
            if error is not None and not _concerns_the_audio(error):
                raise error
            if audio.orphaned:
                continue
            owned = self._partitions.owned[stored.partition]
            owned.storing.remove(audio)
            following = next((other for other in owned.storing if other.key[0] == audio.key[0]), None)
            if following is not None:
                self._submit(stored.partition, following)
            if stored.reference is not None:
                self._partitions.answer(self._answers.referred(stored.partition, audio, stored.reference))
            elif isinstance(error, LfkError):
                self._partitions.answer(self._answers.failed(stored.partition, audio, error))

    def _give_up(self, audio: Audio, error: LfkError) -> None:
        """Nothing becomes of it: its bytes go at once, its answer waits for its last chunk."""
        audio.failure = error
        self._forget(audio)

    def _fail(self, partition: Partition, owned: Owned, audio: Audio, error: LfkError) -> None:
        self._forget(audio)
        owned.end(audio)
        self._partitions.answer(self._answers.failed(partition, audio, error))

    def _forget(self, audio: Audio) -> None:
        if audio.file is not None:
            self._spool.drop(audio.file)
            audio.file = None

    def _concluded(self, answer: Answer) -> None:
        self.summary.add(answer.outcome)
        self._report(answer.outcome)

    # --- what does not come, and what is too much

    def _look_for_late(self) -> None:
        now = self._clock()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        late = [
            (partition, owned, audio)
            for partition, owned in self._partitions.owned.items()
            if partition not in self._paused
            for audio in owned.partial.values()
            if now - audio.touched >= self._plan.timeout
        ]
        if any(audio.horizon is None for _partition, _owned, audio in late):
            try:
                standing = self._broker.standing(self._plan.group, self._plan.topic)
            except Unreachable as error:
                log.info("late audios are not given up while the broker is away: %s", error)
                return
            now = self._clock()
            for partition, _owned, audio in late:
                audio.horizon = audio.horizon or (standing[partition].end, now)
        for partition, owned, audio in late:
            if audio.horizon is not None and _all_read(owned, audio.horizon, now):
                self._fail(partition, owned, audio, audio.failure or self._timed_out(audio))

    def _timed_out(self, audio: Audio) -> ChunksTimedOut:
        assembly = audio.assembly
        return ChunksTimedOut(
            f"nothing more came for {self._plan.timeout:g} s after {assembly.chunks} chunks "
            f"({assembly.received} bytes); missing: {assembly.missing}"
        )

    def _steer_flow(self) -> None:
        """Read no more than the spool has room for; what is being stored makes room, else the latest audio goes."""
        partial = sum(len(owned.partial) for owned in self._partitions.owned.values())
        if partial > _MOST_AUDIOS or (self._spool.filled >= _FULL and not self._storing):
            self._evict()
        if self._spool.filled >= _FULL or self._incoming.waits:
            going_on = [partition for partition in self._partitions.owned if partition not in self._paused]
            if going_on:
                self._member.pause(going_on)
                self._paused.update(going_on)
        elif self._paused and (self._spool.filled <= _ROOM or not self._storing):
            self._member.resume(sorted(self._paused))
            # While nothing was read, nothing could come.
            for partition in self._paused:
                for audio in self._partitions.owned[partition].partial.values():
                    audio.touched = self._clock()
            self._paused.clear()

    def _evict(self) -> None:
        """Give up the audio that was begun last, so that the others can come to their end."""
        held = [
            audio
            for owned in self._partitions.owned.values()
            for audio in owned.partial.values()
            if audio.failure is None and audio.file is not None
        ]
        if held:
            error: ScratchFull = over_budget()
            latest = max(held, key=lambda audio: audio.begun)
            log.warning("%s is given up: %s", latest.key[0][:200], error)
            self._give_up(latest, error)


def _concerns_the_audio(error: BaseException) -> bool:
    """Other audios may fare better; else nothing works here, or this is a mistake of ours."""
    return isinstance(error, Stopped) or (isinstance(error, LfkError) and error.kind is not Kind.FATAL)


def _all_read(owned: Owned, horizon: tuple[int, float], now: float) -> bool:
    """Whether everything was read that had been sent when an audio was found late.

    Records of an aborted transaction, and its end, have offsets that never arrive: then a quiet while tells it.
    """
    end, found = horizon
    return owned.position >= end or now - max(owned.heard, found) >= _QUIET_SECONDS


def _fingerprint(chunk: AudioChunk, record: Delivered) -> tuple[bytes, int]:
    """Equal for a record and its repetition by a producer, which keeps the time it was made at."""
    return hashlib.blake2b(chunk.frames, digest_size=16).digest(), record.timestamp
