"""What a run comes to: pure judgement over what was found in topics and store."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lfk.core.manifest import read_manifest

#: The suffix of the file that says that all the others are there.
_MANIFEST = ".json"


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference that was sent: its identity and the location of its audio."""

    event_id: str
    audio: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is left when a run is over."""

    references: Sequence[Reference]
    #: What a reader in read_committed sees on the topic of announcements, and the audio of every dead letter.
    announcements: Sequence[Mapping[str, Any]]
    dead_letters: Sequence[str]
    #: References that the group has put behind it; those of others are still in its hands.
    settled: Collection[str]
    #: Content by location of every object below the transcripts.
    objects: Mapping[str, bytes]
    #: Audio that is to fail, and after how many attempts.
    poisons: Collection[str] = ()
    attempts: int = 3
    #: Audio of records on the retry topic: each costs an attempt.
    retried: Sequence[str] = ()
    #: What else happened that must not, in words.
    misbehaved: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was broken, each list naming its cases. ``charged``: attempts that were counted against healthy audio."""

    lost: list[str] = field(default_factory=list)
    duplicate: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    dead_healthy: list[str] = field(default_factory=list)
    misbehaved: list[str] = field(default_factory=list)
    charged: list[str] = field(default_factory=list)

    def broken(self, *, outage: bool) -> dict[str, list[str]]:
        """What breaks a promise, by its name; empty if the run went well. An ``outage`` may charge no attempt."""
        names = ("lost", "duplicate", "torn", "stuck", "dead_healthy", "misbehaved", *(("charged",) if outage else ()))
        return {name: found for name in names if (found := getattr(self, name))}


def judge(evidence: Evidence) -> Verdict:
    """Compare what was sent with what was answered, and what was announced with what is there."""
    verdict = Verdict(misbehaved=list(evidence.misbehaved))
    answers = Counter(str(one["event_id"]) for one in evidence.announcements)
    for reference in evidence.references:
        times = answers.pop(reference.event_id, 0)
        if times > 1:
            verdict.duplicate.append(f"{reference.audio}: {times} announcements of {reference.event_id}")
        elif not times and reference.event_id in evidence.settled:
            verdict.lost.append(f"{reference.audio}: settled, but no announcement of {reference.event_id}")
        elif not times:
            verdict.stuck.append(f"{reference.audio}: {reference.event_id} waits")
    verdict.duplicate.extend(f"an announcement of {event}, which nobody sent" for event in answers)
    for one in evidence.announcements:
        _judge_announcement(one, evidence, verdict)
    verdict.dead_healthy.extend(
        f"{audio}: a dead letter" for audio in evidence.dead_letters if _healthy(audio, evidence)
    )
    letters = Counter(evidence.dead_letters)
    verdict.duplicate.extend(f"{audio}: {times} dead letters" for audio, times in letters.items() if times > 1)
    verdict.misbehaved.extend(
        f"{audio}: is poison without a dead letter" for audio in evidence.poisons if not letters[audio]
    )
    verdict.torn.extend(_half_written(evidence.objects))
    verdict.charged.extend(audio for audio in evidence.retried if _healthy(audio, evidence))
    return verdict


def _healthy(audio: str, evidence: Evidence) -> bool:
    return audio not in evidence.poisons


def _judge_announcement(one: Mapping[str, Any], evidence: Evidence, verdict: Verdict) -> None:
    audio = str(one["path_to_audio"])
    if one["status"] == "failed":
        if _healthy(audio, evidence):
            verdict.dead_healthy.append(f"{audio}: failed with {one['error']}")
        elif one["error"]["attempts"] != evidence.attempts:
            verdict.misbehaved.append(f"{audio}: is poison, and failed with {one['error']}")
        return
    if not _healthy(audio, evidence):
        verdict.misbehaved.append(f"{audio}: is poison, and done")
    verdict.torn.extend(_torn(one, evidence.objects))


def _torn(one: Mapping[str, Any], objects: Mapping[str, bytes]) -> Iterator[str]:
    """What an announced transcript lacks."""
    where = str(one["path_to_transcript"])
    content = objects.get(where)
    if content is None:
        yield f"{where}: announced, but not there"
        return
    try:
        files = read_manifest(content).files
    except ValueError as error:
        yield f"{where}: {error}"
        return
    if {where, *(entry.location for entry in files.values())} != set(one["files"].values()):
        yield f"{where}: lists other files than its announcement"
    for entry in files.values():
        found = objects.get(entry.location)
        if found is None:
            yield f"{entry.location}: listed, but not there"
        elif (len(found), hashlib.sha256(found).hexdigest()) != (entry.size, entry.sha256):
            yield f"{entry.location}: differs from what its manifest says"


def _half_written(objects: Mapping[str, bytes]) -> Iterator[str]:
    """Files whose transcript has no manifest, once all work is over."""
    whole = {location.removesuffix(_MANIFEST) for location in objects if location.endswith(_MANIFEST)}
    for location in objects:
        if location.rpartition(".")[0] not in whole:
            yield f"{location}: there is no manifest with it"
