"""Notes of audio that was removed on request: enough to know it again when it is named, too little to name it.

Below ``.lfk/forgotten/`` lies one random key, and for each audio a note whose name is the keyed hash (HMAC-SHA256) of
its location. Whoever has a location, or the audio's bytes, can ask whether they were forgotten; whoever has the note
alone learns neither. Who may read the key can test guesses, as short names are guessed easily: the bucket's access
rights guard it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass

from lfk.core.location import Location

#: Bytes of the random key.
KEY_BYTES = 32
#: A note is a few hundred bytes; one of thousands of contents under one name is still below this.
MAX_NOTE_BYTES = 1 << 20
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ForgottenNote:
    """What is kept of a forgotten audio."""

    #: Keyed hashes of its contents, as far as they were known.
    contents: frozenset[str]
    #: When it was forgotten, seconds since the epoch by the store's clock; ``from_bytes`` is told it.
    time: float = 0.0

    def covers(self, secret: bytes, *, modified: float, sha256: str | None) -> bool:
        """Whether this is what was forgotten: bytes that were there by then, or the same bytes come back.

        Other content that was stored under the name since is another recording.
        """
        return modified <= self.time or (sha256 is not None and content_mark(secret, sha256) in self.contents)

    def to_bytes(self) -> bytes:
        """As stored."""
        return json.dumps({"format": FORMAT, "contents": sorted(self.contents)}).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes, time: float) -> ForgottenNote:
        """As read from the store, where it was written at ``time``.

        Raises:
            ValueError: it is none.
        """
        values = json.loads(data)
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise ValueError("not a note of this version")
        contents = values.get("contents")
        if not isinstance(contents, list) or not all(isinstance(one, str) for one in contents):
            raise ValueError("not a note of forgotten audio")
        return cls(frozenset(contents), time)


def note_name(secret: bytes, audio: Location) -> str:
    """The name of an audio's note: of one length, whatever the audio is called."""
    return f"{_keyed(secret, 'location', str(audio))}.json"


def content_mark(secret: bytes, sha256: str) -> str:
    """What a note holds of a content."""
    return _keyed(secret, "content", sha256)


def content_marks(secret: bytes, hashes: Iterable[str]) -> frozenset[str]:
    """:func:`content_mark` of each."""
    return frozenset(content_mark(secret, one) for one in hashes)


def made_of(audio: str) -> str:
    """Marks a cached result as made of the audio at that location, so that it can be found by a look at each."""
    return hashlib.sha256(audio.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _keyed(secret: bytes, kind: str, text: str) -> str:
    return hmac.new(secret, f"{kind}\n{text}".encode("utf-8", "backslashreplace"), hashlib.sha256).hexdigest()
