"""WebVTT subtitles (w3.org/TR/webvtt1): cues with the speaker as a voice span, ``<v SPEAKER_00>text</v>``.

Text and voice are escaped (``&``, ``<``, ``>``), so that neither tags nor ``-->`` can come out of what was said.
"""

from __future__ import annotations

from html import escape

from lfk.core.cues import Cue, cues
from lfk.core.formats import Format, Page
from lfk.core.timecode import subtitle


def _render(page: Page) -> bytes:
    entries = (
        f"\n{subtitle(cue.start / 1000, '.')} --> {subtitle(cue.end / 1000, '.')}\n{_text(cue)}\n"
        for cue in cues(page.transcript)
    )
    return ("WEBVTT\n" + "".join(entries)).encode()


def _text(cue: Cue) -> str:
    text = "\n".join(escape(line, quote=False) for line in cue.lines)
    return f"<v {_voice(cue.speaker)}>{text}</v>" if cue.speaker else text


def _voice(speaker: str) -> str:
    """Escaped, and not ending on a hyphen, which with the tag's own end could make an arrow."""
    name = escape(speaker, quote=False)
    return f"{name[:-1]}&#45;" if name.endswith("-") else name


FORMAT = Format("vtt", "text/vtt; charset=utf-8", _render)
