"""SubRip subtitles: number, ``hh:mm:ss,mmm --> hh:mm:ss,mmm``, one or two lines, a blank line.

The format has no specification and no escaping; as the reference players read it (matroska.org/technical/subtitles),
``-->`` inside text would begin a cue and is written ``->``. Speakers are named where they change, as WhisperX does.
"""

from __future__ import annotations

from lfk.core.cues import cues
from lfk.core.formats import Format, Page
from lfk.core.timecode import subtitle


def _render(page: Page) -> bytes:
    entries = (
        f"{number}\n{subtitle(cue.start / 1000, ',')} --> {subtitle(cue.end / 1000, ',')}\n"
        + "\n".join(line.replace("-->", "->") for line in cue.lines)
        + "\n"
        for number, cue in enumerate(cues(page.transcript, labelled=True), start=1)
    )
    return "\n".join(entries).encode()


FORMAT = Format("srt", "application/x-subrip; charset=utf-8", _render)
