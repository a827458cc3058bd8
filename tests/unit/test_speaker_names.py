"""Names of speakers: what is one, whose they are, and where they appear."""

from __future__ import annotations

import pytest

from lfk.core.errors import InvalidOption
from lfk.core.speaker_names import SpeakerNames
from lfk.core.transcript import Segment, Transcript, Turn, Word
from lfk.roles.speaker_names import NameRecords
from lfk.stores.memory import MemoryStore
from tests.roles.roots import ROOTS

SPOKEN = Transcript(
    "en",
    3.0,
    (Segment(0.0, 1.0, "One two", (Word("One", 0.0, 0.5, speaker="A"), Word("two")), speaker="A"),),
    (Turn(0.0, 1.0, "A"), Turn(1.0, 2.0, "B")),
    ("a warning",),
)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("  Ann \n Lee ", "Ann Lee"),
        ("\u202eevil", "evil"),
        ("Zoë", "Zoë"),
        ("ليلى", "ليلى"),
        ("<b>", "<b>"),
        ("a\0b\x1b[31m", "a b [31m"),
    ],
)
def test_a_name_is_one_line_of_what_can_be_seen(name: str, kept: str) -> None:
    assert SpeakerNames.given("job", {"A": name}).names == {"A": kept}


@pytest.mark.parametrize("name", ["", "   ", "A", "\u202e", "\n"])
def test_no_name_is_no_name(name: str) -> None:
    assert SpeakerNames.given("job", {"A": name}).names == {}


@pytest.mark.parametrize(
    "names",
    [None, [], "A", {"A": None}, {"A": "n" * 61}, {"A" * 201: "x"}, dict.fromkeys(map(str, range(101)), "x")],
)
def test_what_is_no_names_is_refused(names: object) -> None:
    with pytest.raises(InvalidOption):
        SpeakerNames.given("job", names)


def test_they_stand_wherever_the_label_stood() -> None:
    named = SpeakerNames("job", {"A": "Ann", "C": "Carl"}).named(SPOKEN)
    (segment,) = named.segments
    assert (segment.speaker, segment.words[0].speaker, segment.words[1].speaker) == ("Ann", "Ann", None)
    assert [turn.speaker for turn in named.turns] == ["Ann", "B"]
    assert (named.language, named.duration, named.warnings) == ("en", 3.0, ("a warning",))
    assert SpeakerNames("job", {"A": "Ann", "B": "Ann"}).named(SPOKEN).speakers == ("Ann",)
    assert SpeakerNames("job").named(SPOKEN) is SPOKEN


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"7", b'{"job_id": "job"}', b'{"job_id": "j", "names": [1]}', b"[" * 100_000, b"\xff"],
)
def test_a_record_that_is_none_costs_its_names_alone(data: bytes) -> None:
    with pytest.raises(ValueError):
        SpeakerNames.from_bytes(data)
    store = MemoryStore()
    info = store.put(ROOTS.records.join("speakers/simple/tiny/x.wav.json"), data, content_type="application/json")
    assert NameRecords(store, ROOTS.records).load("simple/tiny/x.wav", "job") == (SpeakerNames("job"), info.etag)


def test_names_are_those_of_one_job() -> None:
    records = NameRecords(MemoryStore(), ROOTS.records)
    names = SpeakerNames("job", {"A": "Ann", "B": "ليلى"})
    seen = records.save("simple/tiny/x.wav", names, None)
    assert records.load("simple/tiny/x.wav", "job") == (names, seen)
    assert records.load("simple/tiny/x.wav", "other") == (SpeakerNames("other"), seen)
