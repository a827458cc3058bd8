"""Batches: what was asked for, kept in the store until it is answered, so that it survives the loss of every topic.

Below ``.lfk/batches/<batch_id>/`` lie ``head.json`` (who asked for what, how far its sender has come: written by the
sender alone), ``parts/<number>.json`` (up to a thousand references each, written before any of them is sent) and
``answered.json`` (the tallies of parts that were answered whole and removed: written by whoever finds them so).
Values in, values out; what is read back is as hostile as a message, so names are checked and the schema decides on
references when they are sent again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lfk.core.addressing import AudioAddress, Roots, resolve
from lfk.core.errors import RejectedReference, UsageError
from lfk.core.media_types import is_media
from lfk.core.messages import AudioReference

FORMAT = 1
#: References in one part at most: a part is some 200 KB, and little is sent again after a crash.
PART_ENTRIES = 1000
#: Bytes that a part, head or tally may have: a thousand references of the largest size.
MAX_RECORD_BYTES = 64 << 20

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
#: Fields that the entries of a part mostly share.
_COMMON = ("transcription_approach", "language", "options", "force", "final", "batch_id")


@dataclass(frozen=True, slots=True)
class Entry:
    """One reference of a batch, and what tells later whether it is answered."""

    reference: AudioReference
    #: When the audio was last modified, seconds since the epoch; None where nobody looked.
    modified: float | None = None
    #: The event that made the transcript which was there when work was forced; None if there was none.
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """See the module. Times are ms since the epoch by the sender's clock."""

    batch_id: str
    #: ``republish``, ``submit``, ``sync`` or ``web``.
    kind: str
    created: int
    #: What was asked and which audio was chosen, as a republish needs them to go on, and people to recognise it.
    asked: Mapping[str, Any] = field(default_factory=dict)
    #: References that were confirmed, and the bytes of their audio.
    sent: int = 0
    size: int = 0
    #: Everything before this place was confirmed; what it means is the sender's business.
    place: str | None = None
    updated: int = 0
    #: The sender came to its end; otherwise it runs or was interrupted.
    finished: bool = False

    def to_bytes(self) -> bytes:
        """As stored."""
        data = {one.name: getattr(self, one.name) for one in fields(self)}
        return _write({"format": FORMAT, **data, "asked": dict(self.asked)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Head:
        """As read from the store.

        Raises:
            ValueError: it is not the head of a batch.
        """
        values = _read(data)
        try:
            return cls(
                batch_id=check_batch_id(values["batch_id"]),
                kind=str(values["kind"]),
                created=int(values["created"]),
                asked=dict(values["asked"]),
                sent=int(values["sent"]),
                size=int(values["size"]),
                place=None if values["place"] is None else str(values["place"]),
                updated=int(values["updated"]),
                finished=bool(values["finished"]),
            )
        except (KeyError, TypeError, OverflowError, UsageError) as error:
            raise ValueError(f"not the head of a batch: {type(error).__name__} {error}") from error


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of references; ``seconds`` is the audio of those that are done."""

    done: int = 0
    failed: int = 0
    #: The audio is gone, so there is nothing left to ask for.
    gone: int = 0
    outstanding: int = 0
    seconds: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def asked(self) -> int:
        """All of them."""
        return self.done + self.failed + self.gone + self.outstanding


def check_batch_id(text: str) -> str:
    """``text`` if it may name a batch; it becomes part of keys.

    Raises:
        UsageError: it may not.
    """
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise UsageError(f"{str(text)[:80]!r} is not the name of a batch", hint="`lfk status` lists the open ones")
    return text


def has_own_wishes(reference: AudioReference, address: AudioAddress, roots: Roots) -> bool:
    """Whether the audio's path alone would not bring this reference back, so that it has to be recorded."""
    if reference.options or reference.language or reference.force:
        return True
    if not roots.audio.contains(address.location) or not is_media(address.location.name):
        return True
    if reference.transcription_approach is None:
        return False
    try:
        return resolve(str(address.location), None, roots).pair != address.pair
    except RejectedReference:
        return True


@dataclass(frozen=True, slots=True)
class Part:
    """References that were recorded together. ``until`` is where the sender's walk stood behind the last of them."""

    entries: tuple[Entry, ...]
    until: str | None = None


def write_part(entries: Sequence[Entry], until: str | None = None) -> bytes:
    """A part as stored; what all entries share is written once."""
    rows = [entry.reference.to_dict() for entry in entries]
    common = {
        name: rows[0][name]
        for name in _COMMON
        if rows and name in rows[0] and all(row.get(name) == rows[0][name] for row in rows)
    }
    for row, entry in zip(rows, entries, strict=True):
        for name in common:
            del row[name]
        if entry.modified is not None:
            row["_modified"] = entry.modified
        if entry.before is not None:
            row["_before"] = entry.before
    return _write({"format": FORMAT, "until": until, "common": common, "entries": rows})


def read_part(data: bytes) -> Part:
    """The inverse of :func:`write_part`.

    Raises:
        ValueError: it is not one.
    """
    values = _read(data)
    try:
        common, until = dict(values["common"]), values.get("until")
        entries = tuple(_entry({**common, **row}) for row in values["entries"])
        return Part(entries, None if until is None else str(until))
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"not a part of a batch: {type(error).__name__} {error}") from error


def write_tallies(tallies: Mapping[str, Tally]) -> bytes:
    """The tallies of answered parts by the part's name, as stored."""
    rows = {name: [one.done, one.failed, one.gone, round(one.seconds, 3)] for name, one in tallies.items()}
    return _write({"format": FORMAT, "parts": rows})


def read_tallies(data: bytes) -> dict[str, Tally]:
    """The inverse of :func:`write_tallies`.

    Raises:
        ValueError: it is not of that form.
    """
    try:
        return {
            str(name): Tally(int(done), int(failed), int(gone), 0, float(seconds))
            for name, (done, failed, gone, seconds) in _read(data)["parts"].items()
        }
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not the tallies of a batch: {type(error).__name__} {error}") from error


def of_batch(reference: AudioReference, batch_id: str) -> AudioReference:
    """The reference as one of that batch."""
    return replace(reference, batch_id=batch_id)


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    return sum(tallies, Tally())


#: What the fields of a reference are that somebody relies on, as records were not read by the schema.
_KINDS: Mapping[str, type] = {
    **dict.fromkeys(("transcription_approach", "etag", "version_id", "sha256", "content_type", "language"), str),
    **dict.fromkeys(("batch_id", "causation_id"), str),
    **dict.fromkeys(("timestamp", "size"), int),
    "options": dict,
}


def _entry(row: Mapping[str, Any]) -> Entry:
    if not isinstance(row["path_to_audio"], str):
        raise TypeError("a reference without a path")
    for name, value in row.items():
        if value is not None and not isinstance(value, _KINDS.get(name, object)):
            raise TypeError(f"{name} is no {_KINDS[name].__name__}")
    modified, before = row.get("_modified"), row.get("_before")
    return Entry(
        AudioReference.from_dict(row),
        None if modified is None else float(modified),
        None if before is None else str(before),
    )


def _write(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _read(data: bytes) -> Mapping[str, Any]:
    try:
        values = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError("not a record of this version")
    return values
