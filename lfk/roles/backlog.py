"""How much work waits and how fast it goes, from what is on the topics: for people, who take an estimate for one.

Unfinished references are read up to a limit and the rest is counted, so a look costs the same with a million of them.
A reference seldom tells how long its audio is; then its size does, as transcripts of such files have it, or roughly.
What was done lately says how fast it goes.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from lfk.brokers.base import Broker, Delivered, Standing
from lfk.core.addressing import Roots, resolve
from lfk.core.errors import RejectedReference
from lfk.core.ledger import NoteUnreadable, unfinished
from lfk.core.lengths import likely_seconds
from lfk.core.messages import Announcement, AudioReference
from lfk.roles.failures import Failures
from lfk.roles.group_progress import group_place
from lfk.stores.base import ObjectStore

#: Unfinished references of a topic that are read; the rest is taken to be like them.
_READ = 5_000
#: Records that are read for them: those that are answered beyond an open one are read, too.
_PASSED = 20_000
#: What audio is taken to last where nothing at all is known of any.
_UNKNOWN_SECONDS = 300.0
#: What was done in this time says how fast it goes.
WINDOW_SECONDS = 3600.0
#: Announcements of that time that are read.
_ANNOUNCED = 50_000
#: A rate over less than this is a guess.
_LEAST_SECONDS = 10.0
#: Recorded failures that are read.
_FAILURES = 300
#: What is asked for by references that nobody can understand.
UNKNOWN = "?"


#: Seconds of audio, from a file's name, its size in bytes and its media type.
Length = Callable[[str, int, str | None], float]


class Decoder(Protocol):
    """Reads messages; see :class:`lfk.brokers.codec.Codec`."""

    def decode_reference(self, value: bytes | None) -> AudioReference: ...

    def decode_announcement(self, value: bytes | None) -> Announcement: ...


@dataclass(slots=True)
class Waiting:
    """Unfinished references that ask for one approach and model."""

    files: float = 0.0
    #: Seconds of audio.
    audio: float = 0.0
    #: Of these, seconds that a reference told and nobody had to guess.
    told: float = 0.0
    #: References that say nothing of their audio's length.
    mute: float = 0.0


@dataclass(slots=True)
class Done:
    """What was answered lately for one approach and model."""

    files: int = 0
    failed: int = 0
    reused: int = 0
    #: Seconds of audio that were transcribed, without what was reused.
    audio: float = 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """What was answered in the last hour, or since the first answer in it."""

    seconds: float
    pairs: dict[str, Done] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=dict)

    @property
    def speed(self) -> float:
        """Seconds of audio transcribed in one second."""
        return sum(done.audio for done in self.pairs.values()) / self.seconds

    @property
    def files_per_hour(self) -> float:
        """Answers."""
        return sum(done.files + done.failed for done in self.pairs.values()) * 3600 / self.seconds


@dataclass(frozen=True, slots=True)
class Load:
    """What waits in one topic."""

    files: float = 0.0
    #: Seconds of audio; references that say nothing are taken to be like the others.
    audio: float = 0.0
    #: When the oldest of them was made, seconds since the epoch; None where nothing waits.
    oldest: float | None = None
    pairs: Mapping[str, Waiting] = field(default_factory=dict)


def load(
    broker: Broker,
    group: str,
    topic: str,
    roots: Roots,
    decode: Callable[[bytes | None], AudioReference],
    length: Length = likely_seconds,
) -> Load:
    """Measure what a topic's unfinished references ask for, by ``approach.model``.

    Reads a bounded number of records, from the group's place on: a look costs the same with a million of them.
    ``length`` judges how long audio is where its reference does not tell.

    Raises:
        Unreachable: the broker does not answer.
    """
    if not broker.partitions(topic):
        return Load()
    place = group_place(broker, group, topic)
    found: dict[str, Waiting] = defaultdict(Waiting)
    read = 0
    oldest: float | None = None
    for passed, record in enumerate(broker.snapshot(topic, starts=place.starts) if place.anything else (), 1):
        if not place.settled(record):
            read += 1
            _add(found, record, roots, decode, length)
            made = record.timestamp / 1000
            oldest = made if oldest is None else min(oldest, made)
        if read >= _READ or passed >= _PASSED:
            _scale(found, sum(_unfinished(one) for one in place.standing.values()) / max(1, read))
            break
    files = sum(one.files for one in found.values())
    return Load(files, _audio(found), oldest, dict(found))


def _scale(found: Mapping[str, Waiting], factor: float) -> None:
    """What was not read is taken to be like what was."""
    for one in found.values():
        one.files *= factor
        one.audio *= factor
        one.told *= factor
        one.mute *= factor


def _audio(found: Mapping[str, Waiting]) -> float:
    """Seconds in all, with a guess for references that say nothing."""
    known = sum(one.audio for one in found.values())
    mute = sum(one.mute for one in found.values())
    telling = sum(one.files for name, one in found.items() if name != UNKNOWN) - mute
    return known + mute * (known / telling if telling > 0 else _UNKNOWN_SECONDS)


def _unfinished(standing: Standing) -> int:
    progress = standing.progress
    try:
        return unfinished(
            progress.offset if progress else None, progress.note if progress else "", standing.first, standing.end
        )
    except NoteUnreadable:
        return standing.end - standing.first


def _add(
    found: dict[str, Waiting],
    record: Delivered,
    roots: Roots,
    decode: Callable[[bytes | None], AudioReference],
    length: Length,
) -> None:
    try:
        reference = decode(record.value)
        address = resolve(reference.path_to_audio, reference.transcription_approach, roots)
    except RejectedReference:
        found[UNKNOWN].files += 1
        return
    one = found[address.pair]
    one.files += 1
    if reference.duration is not None:
        one.audio += reference.duration
        one.told += reference.duration
    elif reference.size is not None:
        one.audio += length(address.location.name, reference.size, reference.content_type)
    else:
        one.mute += 1


def pace(broker: Broker, topic: str, decode: Callable[[bytes | None], Announcement], now: float) -> Pace:
    """What was answered in the last hour; ``now`` in seconds since the epoch."""
    pairs: dict[str, Done] = defaultdict(Done)
    causes: Counter[str] = Counter()
    first = now
    records = broker.snapshot(topic, int((now - WINDOW_SECONDS) * 1000)) if broker.partitions(topic) else iter(())
    for record in islice(records, _ANNOUNCED):
        try:
            answer = decode(record.value)
        except RejectedReference:
            continue
        first = min(first, answer.timestamp / 1000 - sum(answer.timings.values()))
        done = pairs[answer.transcription_approach or UNKNOWN]
        if answer.error is not None:
            done.failed += 1
            causes[answer.error.code] += 1
        else:
            done.files += 1
            done.reused += answer.reused
            done.audio += 0.0 if answer.reused else answer.duration or 0.0
    seconds = min(WINDOW_SECONDS, max(_LEAST_SECONDS, now - first))
    return Pace(seconds, dict(pairs), dict(causes))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What waits by ``approach.model``, how fast it goes, and so how long it will take."""

    pairs: Mapping[str, Waiting] = field(default_factory=dict)
    pace: Pace | None = None
    #: Failures that are recorded in the store by their codes, as far as they were read.
    causes: Mapping[str, int] = field(default_factory=dict)

    @property
    def audio(self) -> float:
        """Seconds of audio that wait, as far as anything is known of their length."""
        return sum(one.audio for one in self.pairs.values())

    @property
    def is_estimate(self) -> bool:
        """Some of it was judged by the size of files."""
        return any(one.told < one.audio for one in self.pairs.values())

    @property
    def seconds_left(self) -> float | None:
        """Until all that waits is done at the present speed; None where nothing is known of it."""
        if not self.audio:
            return 0.0 if not self.pairs else None
        return self.audio / self.pace.speed if self.pace is not None and self.pace.speed else None


def look_ahead(
    broker: Broker | None,
    store: ObjectStore,
    roots: Roots,
    group: str,
    counts: Mapping[str, int],
    transcripts: str,
    codec: Decoder,
    length: Length = likely_seconds,
) -> Outlook:
    """Look once.

    Args:
        counts: unfinished references by topic.
        transcripts: the topic of announcements.
        length: judges how long audio is where its reference does not tell.

    Raises:
        Unreachable: broker or store do not answer.
    """
    pairs: dict[str, Waiting] = {}
    for topic, count in counts.items() if broker is not None else ():
        assert broker is not None  # noqa: S101 - states what the line above asks
        for pair, one in (
            load(broker, group, topic, roots, codec.decode_reference, length).pairs.items() if count else ()
        ):
            sum_ = pairs.setdefault(pair, Waiting())
            sum_.files += one.files
            sum_.audio += one.audio
            sum_.told += one.told
    speed = pace(broker, transcripts, codec.decode_announcement, time.time()) if broker is not None else None
    return Outlook(dict(sorted(pairs.items())), speed, failure_causes(store, roots))


def failure_causes(store: ObjectStore, roots: Roots) -> dict[str, int]:
    """Recorded failures by code; the first few hundred, as each is an object of its own."""
    found = islice(Failures(store, roots.records).each(), _FAILURES)
    codes = (UNKNOWN if one.record is None else one.record.error.code for one in found)
    return dict(Counter(codes).most_common())
