"""What each file format demands of any transcript, read back by a reader of its own."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings

from lfk.core.approaches import APPROACHES
from lfk.core.cues import cues
from lfk.core.formats import MANIFEST, Page, formats
from lfk.core.paragraphs import speaker_turns
from lfk.core.transcript import Segment, Transcript, Turn, Word
from tests.unit.format_strategies import letters, pages, spoken

_HOW_LONG = settings(max_examples=25, deadline=None)


def _text(page: Page, name: str) -> str:
    return formats()[name].render(page).decode()


def _refuse(text: str) -> NoReturn:
    raise AssertionError(f"{text} is not JSON")


@pytest.mark.parametrize("name", sorted(formats()))
@given(page=pages())
@_HOW_LONG
def test_equal_pages_give_equal_bytes_of_valid_utf8(name: str, page: Page) -> None:
    content = formats()[name].render(page)
    assert content == formats()[name].render(page)
    assert "\x00" not in content.decode()


@pytest.mark.parametrize("name", sorted(set(formats()) - {MANIFEST, "html"}))
@given(page=pages())
@_HOW_LONG
def test_no_line_but_those_of_the_format(name: str, page: Page) -> None:
    """Nothing from outside may end a line, move the cursor or turn the direction of what follows."""
    text = _text(page, name)
    assert text.splitlines() == text.removesuffix("\n").split("\n") or not text
    assert not {char for char in text if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs")} - {"\n", "\t"}
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(page=pages())
@_HOW_LONG
def test_txt_has_all_text(page: Page) -> None:
    head, blank, *body = _text(page, "txt").split("\n")
    assert head.startswith("TRANSCRIPT OF file ")
    assert blank == ""
    if page.approach.layout == "lines":
        said = (
            "\n".join(re.sub(r"^\[\d+:\d\d:\d\d\] ", "", line) for line in body) if page.timestamps else "\n".join(body)
        )
        assert letters(said) == (spoken(page.transcript) or "(nospeech)")


@given(page=pages())
@_HOW_LONG
def test_srt_reads_back(page: Page) -> None:
    entries = _text(page, "srt").split("\n\n") if page.transcript.segments and cues(page.transcript) else []
    for number, entry in enumerate(entries, start=1):
        first, times, *text = entry.strip("\n").split("\n")
        assert first == str(number)
        assert re.fullmatch(r"\d\d+:\d\d:\d\d,\d{3} --> \d\d+:\d\d:\d\d,\d{3}", times)
        assert 1 <= len(text) <= 2
        assert "-->" not in "\n".join(text)


@given(page=pages())
@_HOW_LONG
def test_vtt_reads_back(page: Page) -> None:
    head, *entries = _text(page, "vtt").rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    for entry, cue in zip(entries, cues(page.transcript), strict=True):
        times, text = entry.split("\n", 1)
        assert re.fullmatch(r"\d\d+:\d\d:\d\d\.\d{3} --> \d\d+:\d\d:\d\d\.\d{3}", times)
        assert "-->" not in text
        voice = re.fullmatch(r"(?s)<v ([^<>\n]+)>([^<>]*)</v>|([^<>]*)", text)
        assert voice
        assert bool(voice[1]) == bool(cue.speaker)
        assert not re.search(r"&(?!amp;|lt;|gt;|#45;)", text)


@given(page=pages())
@_HOW_LONG
def test_tsv_reads_back(page: Page) -> None:
    head, *rows = [line.split("\t") for line in _text(page, "tsv").removesuffix("\n").split("\n")]
    assert head[:3] == ["start", "end", "text"]
    assert all(len(row) == len(head) and int(row[0]) <= int(row[1]) for row in rows)
    assert "".join(letters(row[2]) for row in rows) == spoken(page.transcript)


@given(page=pages())
@_HOW_LONG
def test_rttm_reads_back(page: Page) -> None:
    rows = [line.split(" ") for line in _text(page, "rttm").splitlines()]
    assert all(len(row) == 10 and row[0] == "SPEAKER" and row[2] == "1" for row in rows)
    assert all(float(row[3]) >= 0 and float(row[4]) > 0 for row in rows)
    assert len(rows) <= len(speaker_turns(page.transcript))


_NUMBER = r"xmin = ([\d.]+)\n *xmax = ([\d.]+)"


@given(page=pages())
@_HOW_LONG
def test_textgrid_tiers_are_gapless_and_hold_all_words(page: Page) -> None:
    text = _text(page, "textgrid")
    whole = re.match(rf'File type = "ooTextFile"\nObject class = "TextGrid"\n\n{_NUMBER}\n', text)
    assert whole
    said: list[tuple[float, str]] = []
    tiers = re.split(r"    item \[\d+\]:\n", text)[1:]
    assert f"\nsize = {len(tiers)}\n" in text
    for tier in tiers:
        name = re.search(r'name = "(.*)"', tier)
        assert name
        found = re.findall(rf'intervals \[\d+\]:\n *{_NUMBER}\n *text = "((?:[^"]|"")*)"\n', tier)
        assert f"intervals: size = {len(found)}\n" in tier
        assert all(float(start) < float(end) for start, end, _ in found)
        assert all(before[1] == after[0] for before, after in itertools.pairwise(found))
        assert (found[0][0], found[-1][1]) == (whole[1], whole[2])
        if name[1].startswith("words"):
            said += [(float(start), spelling.replace('""', '"')) for start, _, spelling in found if spelling]
    assert sorted("".join(letters(spelling) for _, spelling in said)) == sorted(spoken(page.transcript))


@given(page=pages())
@_HOW_LONG
def test_json_is_strict_and_whole(page: Page) -> None:
    data: Any = json.loads(_text(page, "json"), parse_constant=_refuse)
    assert set(data) == {"language", "lfk", "segments", "word_segments"}
    assert [segment["text"] for segment in data["segments"]] == [s.text for s in page.transcript.segments]
    assert [word["word"] for word in data["word_segments"]] == [w.text for w in page.transcript.words()]
    assert [w for s in data["segments"] for w in s.get("words", ())] == data["word_segments"]
    assert data["lfk"]["event_id"] == page.manifest["event_id"]
    assert len(data["lfk"]["turns"]) == len(page.transcript.turns)


def test_json_has_the_shape_of_whisperx() -> None:
    words = (Word("one", 1.0, 1.2, 0.5, "A"), Word("1969", score=float("nan")))
    transcript = Transcript("en", 3.0, (Segment(1.0, 2.0, " one 1969", words, "A"),), (Turn(1.0, 2.0, "A"),))
    page = Page(transcript, APPROACHES["diarisation"], "x.wav", True, {"job_id": "j", "files": {"txt": {"size": 1}}})
    one = {"word": "one", "start": 1.0, "end": 1.2, "score": 0.5, "speaker": "A"}
    assert json.loads(_text(page, "json")) == {
        "language": "en",
        "segments": [{"start": 1.0, "end": 2.0, "text": " one 1969", "words": [one, {"word": "1969"}], "speaker": "A"}],
        "word_segments": [one, {"word": "1969"}],
        "lfk": {"job_id": "j", "files": {"txt": {"size": 1}}, "turns": [{"start": 1.0, "end": 2.0, "speaker": "A"}]},
    }


def test_json_does_not_depend_on_the_order_in_which_the_manifest_was_made() -> None:
    manifest = {"b": {"y": 1, "x": 2}, "a": 3}
    turned = {"a": 3, "b": {"x": 2, "y": 1}}
    first, second = (Page(Transcript("en", 1.0), APPROACHES["simple"], "x", True, m) for m in (manifest, turned))
    assert formats()[MANIFEST].render(first) == formats()[MANIFEST].render(second)


def test_json_keeps_the_bytes_of_a_name_that_was_no_utf8() -> None:
    page = Page(Transcript("en", 1.0), APPROACHES["simple"], "x", True, {"path_to_audio": "file:///a/\udcff.wav"})
    assert json.loads(_text(page, "json"))["lfk"]["path_to_audio"] == "file:///a/\udcff.wav"


def test_rttm_names_the_file_without_blanks_and_suffix() -> None:
    transcript = Transcript("en", 3.0, (), (Turn(1.0005, 2.5, "A b"),))
    page = Page(transcript, APPROACHES["diarisation"], "week 1, talk.v2.mp4", True)
    assert _text(page, "rttm") == "SPEAKER week_1,_talk.v2 1 1.000 1.500 <NA> <NA> A_b <NA> <NA>\n"


def test_every_format_has_its_own_name_and_suffix() -> None:
    assert set(formats()) >= {"txt", "srt", "vtt", "json", "html", "tsv", "rttm", "textgrid"}
    assert all(form.suffix == f".{name}" and "/" in form.media_type for name, form in formats().items())
