"""The path table of the contract, as vectors, and what must hold for any path at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.addressing import AudioAddress, Roots, collision_key, resolve
from lfk.core.approaches import APPROACHES, Catalogue
from lfk.core.errors import LfkError, RejectedReference, UnknownModel
from lfk.core.location import Location, parse_location

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "paths.json").read_text(encoding="utf-8"))["cases"]


@pytest.fixture(scope="session")
def roots() -> Roots:
    return make_roots()


def make_roots() -> Roots:
    return Roots(
        audio=parse_location("s3://bucket/audio/"),
        transcripts=parse_location("s3://bucket/transcripts/"),
        records=parse_location("s3://bucket/.lfk/"),
        catalogue=Catalogue(),
        default_approach=APPROACHES["simple"],
        default_model="tiny",
        source_name="recordings",
        allowed=(parse_location("s3://archive/2020/"),),
    )


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['path']!r}+{case.get('approach', '')}")
def test_vectors(case: dict[str, Any], roots: Roots) -> None:
    if "error" in case:
        with pytest.raises(LfkError) as caught:
            resolve(case["path"], case.get("approach"), roots)
        assert caught.value.code == case["error"]
        assert caught.value.hint
        return
    address = resolve(case["path"], case.get("approach"), roots)
    assert str(address.location) == case["audio"]
    assert address.pair == case["pair"]
    assert address.transcript_key == case["transcript"]
    assert address.flips_timestamps == case.get("flips", False)
    assert (str(address.fallback) if address.fallback else None) == case.get("fallback")


@given(st.text(max_size=200), st.one_of(st.none(), st.text(max_size=40)))
def test_any_path_is_refused_or_stays_inside_the_roots(path: str, pair: str | None) -> None:
    roots = make_roots()
    try:
        address = resolve(path, pair, roots)
    except RejectedReference:
        return
    assert any(prefix.contains(address.location) for prefix in (roots.audio, *roots.allowed))
    assert ".." not in address.location.key.split("/")
    assert ".." not in address.transcript_key.split("/")
    assert roots.transcripts.contains(roots.transcripts.join(address.transcript_key))


names = st.text(
    st.characters(blacklist_characters="/\\\0", blacklist_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..", "sources", "recordings"))


@given(
    st.sampled_from(["simple", "segmentation", "diarisation"]),
    st.sampled_from(["tiny", "large-v3"]),
    st.lists(names, min_size=1, max_size=5),
)
def test_approach_and_model_come_from_the_path_whatever_the_names(approach: str, model: str, parts: list[str]) -> None:
    roots = make_roots()
    key = "/".join([approach, model, *parts])
    by_location = resolve(str(roots.audio.join(key)), None, roots)
    assert by_location.transcript_key == key
    assert by_location.location.key == f"audio/{key}"
    assert resolve(key, None, roots).location == by_location.location


@given(names, names)
def test_collision_keys_keep_the_suffix_and_differ_by_audio(folder: str, name: str) -> None:
    key = f"simple/tiny/{folder}/{name}.wav"
    first = collision_key(key, Location("s3", "bucket", "a.wav"))
    second = collision_key(key, Location("s3", "bucket", "b.wav"))
    assert first != second
    assert first.startswith(f"simple/tiny/{folder}/{name}~")
    assert first.endswith(".wav")
    assert collision_key(key, Location("s3", "bucket", "a.wav")) == first


def test_collision_key_without_suffix_and_of_dotfiles() -> None:
    audio = Location("s3", "bucket", "a")
    assert collision_key("simple/tiny/x", audio).startswith("simple/tiny/x~")
    assert collision_key("simple/tiny/.wav", audio).startswith("simple/tiny/.wav~")


def test_a_path_that_ends_with_its_model_is_told_what_is_missing(roots: Roots) -> None:
    with pytest.raises(UnknownModel) as caught:
        resolve("simple/tiny", None, roots)
    assert "comes the name of an audio" in caught.value.message
    assert "simple/tiny/" in caught.value.hint


def test_at_moves_the_audio_and_nothing_else(roots: Roots) -> None:
    address = resolve("sources/simple/tiny/x.wav", None, roots)
    assert isinstance(address, AudioAddress)
    assert address.fallback is not None
    moved = address.at(address.fallback)
    assert moved.location == address.fallback
    assert moved.fallback is None
    assert moved.transcript_key == address.transcript_key
