"""Names that people give to the speakers of a transcript, kept beside it: the transcript itself never changes.

Names belong to one diarisation: labels of another one (other audio, model or options) may stand for other people, so
each set of names says which job it was given to and is passed over for any other.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lfk.core.errors import InvalidOption
from lfk.core.running_text import LABEL_LIMIT, clean
from lfk.core.transcript import Segment, Transcript, Word

#: More speakers than a diariser tells apart.
MAX_NAMES = 100
#: Bytes of a record: a hundred names of any script, and their labels.
MAX_RECORD_BYTES = 128 * 1024
#: A diariser's own labels are short.
_MAX_LABEL = 200


@dataclass(frozen=True, slots=True)
class SpeakerNames:
    """Names by the diariser's label; ``job_id`` is the work that the labels come from."""

    job_id: str
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def given(cls, job_id: str, names: object) -> SpeakerNames:
        """From what a user sent. Labels without a name, or with their own as a name, are left out.

        Raises:
            InvalidOption: they are no names, or too many or too long.
        """
        if not isinstance(names, Mapping) or len(names) > MAX_NAMES:
            raise InvalidOption(f"at most {MAX_NAMES} speakers can be named", hint=_HINT)
        checked = {}
        for label, name in names.items():
            if not (isinstance(label, str) and isinstance(name, str) and len(label) <= _MAX_LABEL):
                raise InvalidOption("a name is text for the label of a speaker", hint=_HINT)
            written = _writable(name)
            if len(written) > LABEL_LIMIT:
                raise InvalidOption(f"a speaker's name has at most {LABEL_LIMIT} characters", hint=_HINT)
            if written and written != label:
                checked[label] = written
        return cls(job_id, checked)

    def to_bytes(self) -> bytes:
        """As stored."""
        data = {"job_id": self.job_id, "names": dict(self.names)}
        return json.dumps(data, ensure_ascii=False, sort_keys=True).encode("utf-8", "backslashreplace")

    @classmethod
    def from_bytes(cls, data: bytes) -> SpeakerNames:
        """As read from the store, which others may write to.

        Raises:
            ValueError: it is no record of names.
        """
        try:
            fields = json.loads(data)
            return cls.given(str(fields["job_id"]), fields["names"])
        except (KeyError, TypeError, RecursionError, InvalidOption) as error:
            raise ValueError(f"not a record of names: {type(error).__name__}") from error

    def named(self, transcript: Transcript) -> Transcript:
        """The transcript with names in the place of labels. Speakers of one name become one speaker."""
        if not self.names:
            return transcript
        return replace(
            transcript,
            segments=tuple(self._segment(segment) for segment in transcript.segments),
            turns=tuple(replace(turn, speaker=self._of(turn.speaker)) for turn in transcript.turns),
        )

    def _segment(self, segment: Segment) -> Segment:
        words = tuple(self._word(word) for word in segment.words)
        speaker = self._of(segment.speaker) if segment.speaker is not None else None
        return replace(segment, words=words, speaker=speaker)

    def _word(self, word: Word) -> Word:
        return word if word.speaker is None else replace(word, speaker=self._of(word.speaker))

    def _of(self, label: str) -> str:
        return self.names.get(label, label)


_HINT = "give each speaker a short name"


def _writable(name: str) -> str:
    """A name on one line, without what is not seen."""
    return "".join(char for char in clean(name) if not unicodedata.category(char).startswith("C"))
