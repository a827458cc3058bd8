"""The location grammar: printing gives back what was parsed, and nothing odd gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.errors import InvalidLocation
from lfk.core.location import MAX_KEY_BYTES, Location, check_key, parse_location

parts = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda part: part not in (".", "..")
)
keys = st.lists(parts, min_size=1, max_size=6).map("/".join)


@given(st.sampled_from(["s3://bucket-1/", "file:///"]), keys)
def test_round_trip_of_raw_text(root: str, key: str) -> None:
    text = root + key
    assert str(parse_location(text)) == text
    assert parse_location(text).key == key


@given(keys, keys)
def test_relative_undoes_join(prefix: str, key: str) -> None:
    root = Location("s3", "bucket", prefix)
    try:
        joined = root.join(key)
    except InvalidLocation:
        assert len(f"{prefix.strip('/')}/{key}".encode()) > MAX_KEY_BYTES
        return
    assert root.contains(joined)
    assert root.relative(joined) == key


@given(st.text(max_size=100))
def test_any_text_parses_or_is_refused_with_a_hint(text: str) -> None:
    try:
        location = parse_location(text)
    except InvalidLocation as error:
        assert error.hint
    else:
        assert parse_location(str(location)) == location


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "bucket/key",
        "s3://",
        "s3:///key",
        "s3://UPPER/key",
        "s3://a/key",
        "file://host/x",
        "file:x",
        "gs://bucket/x",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidLocation):
        parse_location(text)


@pytest.mark.parametrize("key", ["", "/a", "a/../b", "..", "./a", "a/.", "a\0b", "x" * 1025, "\udcff.wav"])
def test_refused_keys(key: str) -> None:
    with pytest.raises(InvalidLocation):
        check_key(key)


def test_a_key_that_is_too_long_says_what_to_shorten() -> None:
    with pytest.raises(InvalidLocation) as caught:
        check_key("folder/" * 200 + "x.wav")
    assert "shorten the names" in caught.value.hint


def test_a_prefix_is_not_its_longer_namesake() -> None:
    audio = parse_location("s3://bucket/audio")
    assert audio.contains(parse_location("s3://bucket/audio/x.wav"))
    assert not audio.contains(parse_location("s3://bucket/audio2/x.wav"))
    assert not audio.contains(parse_location("s3://other/audio/x.wav"))
    with pytest.raises(InvalidLocation):
        audio.relative(parse_location("s3://bucket/audio2/x.wav"))
