"""A page to read and listen to: one file without any outside resource, which opens from a disk as from a web server.

The transcript is plain markup and readable without scripts. With them, a click on a word plays the recording from
there. The recording is looked for where ``#audio=`` or ``?audio=`` of the page's address says (http, https and file
only), or else at ``Page.audio_href``, then under its own name beside the page; failing all, the reader chooses it.

What comes from outside (words, speakers, titles, warnings) is escaped and stands in text and attribute values alone,
never in scripts or styles. A Content-Security-Policy allows just this page's own script and style by their hashes,
nothing to be fetched but media, and no markup made from text by scripts.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib import resources
from string import Template
from urllib.parse import quote

from lfk.core.formats import Format, Page
from lfk.core.paragraphs import Block, blocks, speaker_turns, split_at_pauses
from lfk.core.printable import printable
from lfk.core.running_text import Written, clean
from lfk.core.timecode import clock, milliseconds
from lfk.core.transcript import Transcript, Turn

#: Seconds of silence that begin a new paragraph inside a turn: at every short pause it would fall to pieces.
TURN_PAUSE = 2.0
#: Colours of speakers in the style sheet; more speakers begin again with the first.
COLOURS = 8
#: Spans of speech closer than this part of the whole are drawn as one: less is under a pixel.
_NEAR = 1 / 2000
_WEB = re.compile(r"https?://", re.IGNORECASE)
#: Surrogates that do not stand for a byte of a file name.
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
#: Languages that Whisper knows and that are written from right to left.
_LEFTWARD = frozenset({"ar", "fa", "he", "ps", "sd", "ur", "yi"})
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")

_ASSETS = resources.files(__package__).joinpath("page")
_STYLE = _ASSETS.joinpath("page.css").read_text("utf-8")
_SCRIPT = _ASSETS.joinpath("page.js").read_text("utf-8")
_FRAME = Template(_ASSETS.joinpath("page.html").read_text("utf-8"))
_BODY = Template(_ASSETS.joinpath("body.html").read_text("utf-8"))


def _sha256(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src {_sha256(_SCRIPT)}",
        f"style-src {_sha256(_STYLE)}",
        "img-src data:",
        "media-src 'self' http: https: file: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    )
)

_EMPTY = '<p class="empty" lang="en">No speech was found in this recording.</p>'


def _render(page: Page) -> bytes:
    audio, beside = _link(page.audio_href or page.title), _link(page.title)
    return _FRAME.substitute(
        policy=_POLICY,
        style=_STYLE,
        script=_SCRIPT,
        title=title(page),
        body=body(page, audio=audio, beside=beside),
    ).encode()


def title(page: Page) -> str:
    """What the page is called, as markup."""
    return escape(printable(page.title))


def body(page: Page, *, audio: str, beside: str, more: str = "") -> str:
    """All that stands between ``<body>`` tags, for :file:`page.css` and :file:`page.js`.

    Args:
        audio: a URL where the recording is, and ``beside`` another one to try.
        more: markup behind the list of speakers, for a page that offers more than this one does.
    """
    transcript, layout = page.transcript, page.approach.layout
    passages = list(blocks(transcript, layout, page.pause))
    voices = _voices(transcript, passages) if layout == "turns" else []
    colours = {name: number % COLOURS for number, name in enumerate(dict.fromkeys(voice.speaker for voice in voices))}
    seconds = max([transcript.duration or 0.0, *(passage.end for passage in passages)])
    spans = voices or [Turn(passage.start, passage.end, "") for passage in passages]
    return _BODY.substitute(
        title=title(page),
        audio=escape(audio),
        beside=escape(beside),
        facts=_facts(page, seconds),
        notes=_notes(transcript),
        legend=_legend(voices, colours),
        more=more,
        layout=layout,
        lang=_lang(transcript.language),
        direction="rtl" if transcript.language in _LEFTWARD else "ltr",
        seconds=f"{seconds:.3f}",
        clock=clock(seconds),
        passages="\n".join(_passage(page, passage, colours) for passage in passages) or _EMPTY,
        map=_map(spans, seconds, colours),
    )


def _voices(transcript: Transcript, passages: Sequence[Block]) -> list[Turn]:
    """Who talks when, under the labels that the passages show."""
    voices = speaker_turns(transcript)
    heard = {voice.speaker for voice in voices}
    return voices + [Turn(p.start, p.end, p.speaker) for p in passages if p.speaker and p.speaker not in heard]


def _link(href: str) -> str:
    """Where the recording is, as a URL that is either http(s) or relative to the page."""
    if _WEB.match(href):
        return quote(href, safe="%/:?#[]@!$&'()*+,;=~", errors="replace")
    # "./" keeps what looks like a host or a scheme a path. Names that were no UTF-8 keep their bytes.
    path = _LONE.sub("\ufffd", href)
    return "./" + quote(path.encode(errors="surrogateescape"))


def _lang(language: str | None) -> str:
    return f'lang="{language}"' if language and _LANGUAGE.fullmatch(language) else ""


def _facts(page: Page, seconds: float) -> str:
    """What the transcript is of."""
    transcript, count = page.transcript, page.transcript.word_count
    facts = [clock(seconds), f"{count:,} word{'' if count == 1 else 's'}", page.approach.name]
    if _lang(transcript.language):
        facts.insert(1, f"language {transcript.language}")
    return f'<p class="facts">{" ".join(f"<span>{escape(fact)}</span>" for fact in facts)}</p>'


def _notes(transcript: Transcript) -> str:
    """What did not go as asked."""
    notes = "".join(f"<p>{escape(printable(clean(warning)))}</p>" for warning in transcript.warnings)
    return notes and f'<div class="notes">{notes}</div>'


def _legend(voices: Sequence[Turn], colours: Mapping[str, int]) -> str:
    """A button for each speaker, with the share of all speech that is theirs."""
    spoken: Counter[str] = Counter()
    for voice in voices:
        spoken[voice.speaker] += milliseconds(voice.end) - milliseconds(voice.start)
    buttons = (
        f'<li><button type="button" class="s{colour}" data-speaker="{escape(name)}" aria-pressed="false" disabled>'
        f"{escape(name)} <small>{round(100 * spoken[name] / max(1, spoken.total()))} %</small></button></li>"
        for name, colour in colours.items()
    )
    return f'<ul class="speakers">{"".join(buttons)}</ul>' if colours else ""


def _passage(page: Page, passage: Block, colours: Mapping[str, int]) -> str:
    """A line, a paragraph or a turn."""
    begin = milliseconds(passage.start)
    speaker = passage.speaker if colours else None
    names = ["block"]
    if not any(word.timed for word in passage.words):
        names.append("loose")
    time = f'<a class="time" href="#t={begin / 1000:g}">{clock(passage.start)}</a>'
    if not page.timestamps:
        names.append("untimed")
        time = ""
    head, data = time, ""
    if speaker:
        names.append(f"s{colours[speaker]}")
        data = f' data-speaker="{escape(speaker)}"'
        head = f'<h2 class="who" lang="en">{escape(speaker)} {time}</h2>'
    groups = split_at_pauses(passage.words, TURN_PAUSE) if page.approach.layout == "turns" else [passage.words]
    body = "".join(f'<p {_lang(passage.language)} dir="auto">{_text(group)}</p>' for group in groups)
    return f'<div class="{" ".join(names)}" data-from="{begin}"{data}>{head}{body}</div>'


def _text(words: Sequence[Written]) -> str:
    return "".join(
        f"{' ' if at and not word.glued else ''}"
        f'<span data-t="{milliseconds(word.start)} {milliseconds(word.end)}">{escape(word.text, quote=False)}</span>'
        for at, word in enumerate(words)
    )


def _map(spans: Sequence[Turn], seconds: float, colours: Mapping[str, int]) -> str:
    """The whole recording as a strip, coloured where somebody talks."""
    width = max(1, milliseconds(seconds))
    drawn: list[Turn] = []
    for span in spans:
        last = drawn[-1] if drawn else None
        if last and last.speaker == span.speaker and span.start - last.end < seconds * _NEAR:
            drawn[-1] = replace(last, end=max(last.end, span.end))
        else:
            drawn.append(span)
    bars = "".join(
        f'<rect{_colour(colours.get(span.speaker))} x="{milliseconds(span.start)}" y="0"'
        f' width="{milliseconds(span.end) - milliseconds(span.start)}" height="10"/>'
        for span in drawn
    )
    return f'<svg id="map" viewBox="0 0 {width} 10" preserveAspectRatio="none" aria-hidden="true">{bars}</svg>'


def _colour(number: int | None) -> str:
    return "" if number is None else f' class="s{number}"'


FORMAT = Format("html", "text/html; charset=utf-8", _render)
