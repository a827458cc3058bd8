"""The joined walk over listings, against what a dictionary that holds everything would say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from lfk.core.addressing import collision_key, resolve
from lfk.core.location import Location
from lfk.core.media_types import is_media
from lfk.core.stock import Place, Wanting, by_transcript, in_order, join
from lfk.roles.spool import ordered
from tests.roles.roots import ROOTS

FORMS = ("html", "json", "srt", "textgrid", "txt", "vtt")

#: Names that sort in nasty ways: what follows a common beginning is below, at and above the dot.
pieces = st.lists(st.sampled_from(["a", "-", ".", ".wav", ".json", " b", "~", "z", "é", "%2F"]), min_size=1, max_size=5)
names = pieces.map("".join).filter(lambda name: name not in (".", "..") and not name.startswith("."))
recordings = names.map(lambda name: f"{name}.wav")
folders = st.sampled_from(
    ["", "simple/tiny/", "Simple/Tiny/", "simple/base/", "week 1/", "sources/", "simple/tiny/a.wav/"]
)
keys = st.tuples(folders, recordings).map("".join)


@dataclass(frozen=True)
class Listed:
    """What a listing tells, for the walk."""

    location: Location
    owner: str = ""


def place_of(key: str) -> str:
    return resolve(str(ROOTS.audio.join(key)), None, ROOTS).transcript_key


def walk(audio: set[str], files: set[str], owners: Mapping[str, str]) -> list[Place[Listed]]:
    """The walk as roles do it, from listings in the order of keys."""

    def audios() -> list[tuple[str, Wanting[Listed]]]:
        wanting = []
        for key in sorted(audio):
            location = ROOTS.audio.join(key)
            address = resolve(str(location), None, ROOTS)
            wanting.append((address.transcript_key, Wanting(Listed(location), address)))
        rows = [(key, number) for number, (key, _one) in enumerate(wanting)]
        return [wanting[row[1]] for row in ordered(rows, lambda row: f"{row[0]}.", run_rows=3)]

    listed = ((name, Listed(ROOTS.transcripts.join(name))) for name in sorted(files))
    owned = in_order((key, Listed(ROOTS.records.join(key), owners[key])) for key in sorted(owners))
    return list(
        join(audios(), by_transcript(listed, FORMS), owned, lambda record, location: record.owner == str(location))
    )


@given(st.lists(st.tuples(names, st.integers()), max_size=12, unique_by=lambda one: one[0]))
def test_items_come_in_the_order_of_dotted_keys(items: list[tuple[str, int]]) -> None:
    assert list(in_order(sorted(items))) == sorted(items, key=lambda one: f"{one[0]}.")


@given(st.sets(st.tuples(recordings, st.sampled_from([*FORMS, "pdf"])), max_size=20), st.sets(names, max_size=3))
def test_files_are_put_together_by_transcript(files: set[tuple[str, str]], strangers: set[str]) -> None:
    listed = {f"{stem}.{form}" for stem, form in files} | strangers
    expected: dict[str, dict[str, str]] = {}
    for key in listed:
        stem, _dot, form = key.rpartition(".")
        if form in FORMS and is_media(stem):
            expected.setdefault(stem, {})[form] = key
    found = list(by_transcript(((key, key) for key in sorted(listed)), FORMS))
    assert dict(found) == expected
    assert [key for key, _files in found] == sorted(expected, key=lambda key: f"{key}.")


@given(st.sets(keys, max_size=10), st.data())
def test_every_audio_and_every_file_has_its_place_once(audio: set[str], data: st.DataObject) -> None:
    wanted = sorted({place_of(key) for key in audio})
    owners = {}
    for key in wanted:
        rivals = [str(ROOTS.audio.join(one)) for one in sorted(audio) if place_of(one) == key]
        owner = data.draw(st.sampled_from([*rivals, "s3://bucket/audio/elsewhere.wav", None]))
        if owner is not None:
            owners[key] = owner
    marked = [collision_key(place_of(one), ROOTS.audio.join(one)) for one in sorted(audio)]
    stems = data.draw(st.sets(st.sampled_from([*wanted, *marked, "simple/tiny/orphan.wav"]), max_size=8))
    files = {f"{stem}.{form}" for stem in stems for form in data.draw(st.sets(st.sampled_from(FORMS), min_size=1))}
    places = walk(audio, files, owners)
    order = [f"{place.key}." for place in places]
    assert order == sorted(set(order))
    # Each audio once: at its natural key where it owns that or nobody does, else at its marked one.
    found = {str(place.audio.info.location): place.key for place in places if place.audio is not None}
    assert set(found) == {str(ROOTS.audio.join(key)) for key in audio}
    for key in audio:
        location = ROOTS.audio.join(key)
        natural = place_of(key)
        if owners.get(natural) == str(location):
            assert found[str(location)] == natural
        elif natural in owners:
            assert found[str(location)] == collision_key(natural, location)
        else:
            assert found[str(location)] in (natural, collision_key(natural, location))
    assert {str(one.location) for place in places for one in place.files.values()} == {
        str(ROOTS.transcripts.join(name)) for name in files
    }


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 9)), max_size=40), st.integers(1, 7))
def test_spooled_rows_are_sorted_and_keep_the_order_of_equals(rows: list[tuple[str, int]], run_rows: int) -> None:
    assert list(ordered(rows, lambda row: str(row[0]), run_rows)) == sorted(rows, key=lambda row: row[0])
