"""The page lets nothing in: whatever the words, speakers and titles, its markup is its own and its policy holds."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import example, given, settings

from lfk.core.approaches import APPROACHES
from lfk.core.formats import Page, audio_href, formats
from lfk.core.location import parse_location
from lfk.core.transcript import Segment, Transcript, Turn
from tests.golden.cases import CASES, lesson, say
from tests.unit.format_strategies import letters, pages, spoken

_VOID = frozenset({"meta", "link", "input"})
#: All that the page is made of; a tag or attribute beyond these came from outside.
_ATTRIBUTES = {
    "a": {"class", "href"},
    "audio": {"controls", "preload", "src"},
    "b": {"id"},
    "bdi": set(),
    "body": set(),
    "button": {"aria-label", "aria-pressed", "class", "data-speaker", "disabled", "hidden", "id", "title", "type"},
    "div": {"class", "data-from", "data-speaker", "hidden", "id", "role"},
    "footer": {"class", "hidden", "id"},
    "h1": set(),
    "h2": {"class", "lang"},
    "head": set(),
    "header": {"class"},
    "html": {"lang"},
    "input": {"accept", "aria-label", "autocomplete", "id", "max", "min", "placeholder", "step", "type", "value"},
    "kbd": set(),
    "label": {"class"},
    "li": set(),
    "link": {"href", "rel"},
    "main": {"class", "data-audio", "data-beside", "data-seconds", "data-title", "dir", "lang"},
    "meta": {"charset", "content", "http-equiv", "name"},
    "noscript": set(),
    "option": {"selected", "value"},
    "output": {"for", "id"},
    "p": {"class", "dir", "id", "lang", "role"},
    "path": {"d"},
    "rect": {"class", "height", "width", "x", "y"},
    "script": set(),
    "select": {"aria-label", "class", "id"},
    "small": set(),
    "span": {"class", "data-t", "id"},
    "style": set(),
    "svg": {"aria-hidden", "class", "id", "preserveaspectratio", "viewbox"},
    "title": set(),
    "ul": {"class"},
    "video": {"class", "hidden", "id", "playsinline", "preload"},
}


class _Reader(HTMLParser):
    """Text by element ("word" for the spans that are words), attributes by name; fails on markup not the page's own."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.values: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _ATTRIBUTES
        assert {name for name, _ in attrs} <= _ATTRIBUTES[tag], (tag, attrs)
        assert len({name for name, _ in attrs}) == len(attrs)
        for name, value in attrs:
            self.values.setdefault(f"{tag}.{name}", []).append(value or "")
        if tag not in _VOID:
            kind = "word" if "data-t" in dict(attrs) else tag
            self.open.append(kind)
            self.texts.setdefault(kind, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"path", "rect"}
        assert {name for name, _ in attrs} <= _ATTRIBUTES[tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() in (tag, "word" if tag == "span" else tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)


def _html(page: Page) -> str:
    return formats()["html"].render(page).decode()


@given(page=pages())
@example(page=CASES["hostile"]())
@settings(max_examples=60, deadline=None)
def test_nothing_from_outside_becomes_markup(page: Page) -> None:
    read = _Reader(_html(page))
    assert letters("".join(read.texts.get("word", []))) == spoken(page.transcript)
    assert len(read.texts["script"]) == len(read.texts["style"]) == 1
    for text, source in ((read.texts["script"][0], "script-src"), (read.texts["style"][0], "style-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{source} 'sha256-{digest}';" in read.values["meta.content"][0]
    assert all(re.fullmatch(r"\d+ \d+", times) for times in read.values.get("span.data-t", []))
    assert all(re.fullmatch(r"#t=[\d.e+]+", link) for link in read.values.get("a.href", []))
    for link in (read.values[name][0] for name in ("main.data-audio", "main.data-beside", "audio.src")):
        away = urlsplit(urljoin("file:///page.html", link))
        assert (away.scheme, away.netloc) == ("file", "") or link.startswith("https://store.example/")


def test_the_policy_lets_only_the_pages_own_parts_run() -> None:
    policy = _Reader(_html(CASES["diarisation"]())).values["meta.content"][0]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert set(rules) == {
        "default-src",
        "script-src",
        "style-src",
        "img-src",
        "media-src",
        "base-uri",
        "form-action",
        "require-trusted-types-for",
    }


def test_the_page_asks_for_nothing_outside() -> None:
    text = _html(CASES["diarisation"]())
    allowed = {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"(?:https?:)?//[\w.]+[\w./]*", text)) - allowed == set()
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|\bfetch\b", text)


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("", "./talk%201.mp4"),
        ("../../audio/talk #1?.mp4", "./../../audio/talk%20%231%3F.mp4"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("data:text/html,x", "./data%3Atext/html%2Cx"),
        ("//evil.example/x.mp3", ".///evil.example/x.mp3"),
        ("https://store/a%20b.mp3?X-Sig=a%2Fb&t=1", "https://store/a%20b.mp3?X-Sig=a%2Fb&t=1"),
        ('http://store/a b".mp3', "http://store/a%20b%22.mp3"),
        ("caf\udce9.mp3", "./caf%E9.mp3"),
        ("\ud800.mp3", "./%EF%BF%BD.mp3"),
    ],
)
def test_the_recording_is_a_web_address_or_beside_the_page(href: str, expected: str) -> None:
    page = Page(lesson(), APPROACHES["simple"], "talk 1.mp4", True, audio_href=href)
    read = _Reader(_html(page))
    assert read.values["main.data-audio"] == read.values["audio.src"] == [expected]


@pytest.mark.parametrize(
    ("page", "audio", "expected"),
    [
        ("file:///s/transcripts/simple/x.wav.html", "file:///s/audio/simple/x.wav", "../../audio/simple/x.wav"),
        ("s3://bucket/t/a/x.html", "s3://bucket/t/a/x", "x"),
        ("s3://bucket/t/a/x.html", "s3://bucket/t/a/a/x", "a/x"),
        ("s3://bucket/x.html", "s3://bucket/a//x #1", "a//x #1"),
        ("s3://bucket/a/a.html", "s3://bucket/a", "../a"),
        ("s3://bucket/x.html", "s3://other/x", ""),
        ("file:///b/x.html", "s3://bucket/x", ""),
    ],
)
def test_the_way_from_a_page_to_its_recording(page: str, audio: str, expected: str) -> None:
    assert audio_href(parse_location(page), parse_location(audio)) == expected


def test_layouts() -> None:
    turns = _Reader(_html(CASES["diarisation"]()))
    assert [text.strip() for text in turns.texts["h2"]] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00"]
    assert turns.texts["a"] == ["0:00:01", "0:00:15", "0:00:17"]
    assert turns.texts["small"] == ["92 %", "8 %"]
    lines = _Reader(_html(CASES["simple"]()))
    assert lines.texts["a"] == ["0:00:01", "0:00:09", "0:00:15", "0:00:17"]
    assert "h2" not in lines.texts
    assert {name for names in lines.values["div.class"] for name in names.split()} >= {"block", "loose"}
    assert "a" not in _Reader(_html(CASES["diarisation-no-times"]())).texts


def test_a_long_silence_inside_a_turn_begins_a_paragraph_not_a_turn() -> None:
    transcript = Transcript("en", None, (say("One thing.", 1.0, "A"), say("And another.", 9.0, "A")))
    page = Page(transcript, APPROACHES["diarisation"], "x", True)
    assert _html(page).count('class="block') == 1
    assert _html(page).count("</p><p ") == 1


def test_languages_and_directions() -> None:
    read = _Reader(_html(CASES["leftward"]()))
    assert (read.values["main.lang"], read.values["main.dir"]) == (["ar"], ["rtl"])
    assert read.values["p.lang"] == ["he"]
    assert unquote(read.values["audio.src"][0]) == "./درس ١.mp4"


def test_no_speech_and_warnings_are_said() -> None:
    page = Page(Transcript(None, 5.0, (), (), ("Only music.",)), APPROACHES["simple"], "x", True)
    text = _html(page)
    assert "No speech was found" in text
    assert "<p>Only music.</p>" in text
    assert "0 words" in text


def test_more_speakers_than_colours() -> None:
    turns = tuple(Turn(float(at), at + 1.0, f"S{at}") for at in range(11))
    segments = tuple(Segment(turn.start, turn.end, "word", speaker=turn.speaker) for turn in turns)
    page = Page(Transcript("en", 11.0, segments, turns), APPROACHES["diarisation"], "x", True)
    read = _Reader(_html(page))
    assert read.values["button.class"][:11] == [f"s{at % 8}" for at in range(11)]


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_strict_parser_finds_no_error(case: str) -> None:
    html5lib = pytest.importorskip("html5lib")
    html5lib.HTMLParser(strict=True).parse(_html(CASES[case]()))
