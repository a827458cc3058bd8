"""Where files of a source folder go, in each layout, and which of them fit none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.addressing import Roots
from lfk.core.approaches import APPROACHES, Catalogue
from lfk.core.errors import InvalidLocation, InvalidOption, LfkError, RejectedReference, UnknownApproach, UnknownModel
from lfk.core.layout import check_prefix, place
from lfk.core.location import parse_location
from lfk.core.request import Request

ROOTS = Roots(
    audio=parse_location("s3://bucket/audio/"),
    transcripts=parse_location("s3://bucket/transcripts/"),
    records=parse_location("s3://bucket/.lfk/"),
    catalogue=Catalogue(),
    default_approach=APPROACHES["simple"],
    default_model="tiny",
)
NOTHING = Request()
PAIR = Request("diarisation", "base")


def put(layout: str, relative: str, request: Request = NOTHING, prefix: str = "") -> tuple[str, str, str | None]:
    """Key below the audio root, what the hub will take it for, what the message carries."""
    placed = place(layout, relative, check_prefix(prefix), request, ROOTS)
    return ROOTS.audio.relative(placed.address.location), placed.address.transcript_key, placed.pair


@pytest.mark.parametrize(
    ("relative", "key", "transcript"),
    [
        ("diarisation/base/week1/v.mp4", "diarisation/base/week1/v.mp4", "diarisation/base/week1/v.mp4"),
        ("Diarization/Large/x.wav", "Diarization/Large/x.wav", "diarisation/large/x.wav"),
        ("week1/v.mp4", "week1/v.mp4", "simple/tiny/week1/v.mp4"),
        ("x.wav", "x.wav", "simple/tiny/x.wav"),
        ("simple/tiny/ä %+#? 1.wav", "simple/tiny/ä %+#? 1.wav", "simple/tiny/ä %+#? 1.wav"),
    ],
)
def test_approach_layout_keeps_the_path(relative: str, key: str, transcript: str) -> None:
    assert put("approach", relative) == (key, transcript, None)


@pytest.mark.parametrize("relative", ["simple/gigantic/x.wav", "simple/x.wav", "DIARISATION/x.wav"])
def test_an_approach_without_a_listed_model_fits_no_prefix_either(relative: str) -> None:
    for prefix in ("", "machine1"):
        with pytest.raises(UnknownModel):
            put("approach", relative, prefix=prefix)


@pytest.mark.parametrize(
    ("relative", "key"),
    [
        ("simple/base/x.wav", "simple/base/m1/x.wav"),
        ("simple/base/a/x.wav", "simple/base/m1/a/x.wav"),
        ("x.wav", "m1/x.wav"),
        ("sources/simple/base/x.wav", "sources/simple/base/m1/x.wav"),
    ],
)
def test_the_prefix_goes_below_approach_and_model(relative: str, key: str) -> None:
    assert put("approach", relative, prefix="/m1/")[0] == key


def test_a_pair_that_was_given_travels_in_the_message_and_wins() -> None:
    assert put("approach", "simple/tiny/x.wav", PAIR) == (
        "simple/tiny/x.wav",
        "diarisation/base/x.wav",
        "diarisation.base",
    )


@pytest.mark.parametrize(
    ("request_", "relative", "pair"),
    [
        (Request(approach="segmentation"), "simple/base/x.wav", "segmentation.base"),
        (Request(model="small"), "diarisation/base/x.wav", "diarisation.small"),
        (Request(approach="segmentation"), "x.wav", "segmentation.tiny"),
    ],
)
def test_half_a_pair_takes_the_other_half_from_the_path_or_the_defaults(
    request_: Request, relative: str, pair: str
) -> None:
    assert put("approach", relative, request_)[2] == pair


def test_free_layout_puts_the_pair_into_key_and_message() -> None:
    assert put("free", "a/x.wav", PAIR, "m1") == (
        "diarisation/base/m1/a/x.wav", "diarisation/base/m1/a/x.wav", "diarisation.base",
    )  # fmt: skip
    assert put("free", "simple/gigantic/x.wav") == (
        "simple/tiny/simple/gigantic/x.wav", "simple/tiny/simple/gigantic/x.wav", "simple.tiny",
    )  # fmt: skip


@pytest.mark.parametrize("relative", ["week1/lesson2/video0.mp4", "Week10/Lesson03/Video11.MP4"])
def test_course_layout_takes_courses(relative: str) -> None:
    assert put("course", relative, PAIR)[0] == f"diarisation/base/{relative}"
    assert put("course", f"simple/small/{relative}")[:2] == (f"simple/small/{relative}",) * 2


@pytest.mark.parametrize(
    "relative",
    ["week1/video0.mp4", "week1/lesson1/video.mp4", "week1/lesson1/video1.wav", "week1/lesson1/x/video1.mp4",
     "week1/lesson1/video1.mp4\n", "x.mp4"],
)  # fmt: skip
def test_course_layout_refuses_everything_else(relative: str) -> None:
    with pytest.raises(InvalidLocation) as caught:
        put("course", relative)
    assert "week#/lesson#/video#.mp4" in caught.value.hint


@pytest.mark.parametrize("relative", ["a/" * 600 + "x.wav", "a\udcff.wav", "a\0.wav"])
@pytest.mark.parametrize("layout", ["approach", "free"])
def test_names_that_cannot_be_keys(layout: str, relative: str) -> None:
    with pytest.raises(InvalidLocation):
        put(layout, relative)


@pytest.mark.parametrize("prefix", ["../x", "a/./b", "\0"])
def test_prefixes_that_cannot_be_keys(prefix: str) -> None:
    with pytest.raises(InvalidLocation):
        check_prefix(prefix)


@given(
    st.lists(st.text(min_size=1, max_size=12).filter(lambda part: "/" not in part), min_size=1, max_size=5),
    st.sampled_from(["approach", "free"]),
    st.sampled_from(["", "m1"]),
    st.sampled_from([NOTHING, PAIR]),
)
def test_whatever_is_placed_is_understood_by_a_hub_as_it_was_meant(
    parts: list[str], layout: str, prefix: str, request_: Request
) -> None:
    try:
        placed = place(layout, "/".join(parts), check_prefix(prefix), request_, ROOTS)
    except RejectedReference:
        return
    seen = Request().resolve(str(placed.address.location), ROOTS) if placed.pair is None else placed.address
    assert (seen.pair, seen.transcript_key) == (placed.address.pair, placed.address.transcript_key)
    assert ROOTS.audio.contains(placed.address.location)


def test_requests_are_checked_and_language_is_a_field_of_its_own() -> None:
    made = Request.make("Diarization", "BASE", {"language": "de", "min_speakers": "2"}, ROOTS)
    assert made == Request("diarisation", "base", "de", {"min_speakers": "2"})
    with pytest.raises(UnknownApproach):
        Request.make("fancy", "", {}, ROOTS)
    with pytest.raises(LfkError):
        Request.make("", "gigantic", {}, ROOTS)
    with pytest.raises(InvalidOption):
        Request.make("", "", {"language": "Klingon"}, ROOTS)


def test_identities_tell_requests_apart() -> None:
    asked = [
        Request().identity(None), Request().identity("simple.base"), Request(language="de").identity(None),
        Request(options={"min_speakers": "2"}).identity(None),
    ]  # fmt: skip
    assert len(set(asked)) == len(asked)
    assert Request(options={"a": "1", "b": "2"}).identity(None) == Request(options={"b": "2", "a": "1"}).identity(None)
