"""Human recordings with known text, for judging word times; all come with Debian packages and none was trained on.

- pocketsphinx-testdata (BSD-2-Clause): a librivox reader, spoken playing cards, digits and two short commands;
- alsa-utils (GPL-2): the loudspeaker test, two words a clip;
- asterisk-core-sounds-en-g722 (CC-BY-SA-3.0, Allison Smith): telephone announcements of four words and more.

The sound stays in the packages; a clip that is not installed is an error, since a smaller set would look like a
better or worse figure.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
_SPHINX = Path("/usr/share/pocketsphinx/test/data")
_ALSA = Path("/usr/share/sounds/alsa")
_ASTERISK = Path("/usr/share/asterisk/sounds/en")
_ASTERISK_TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
_ASTERISK_WORDS_MIN = 4
# Recordings whose text is known from their name or from the grammar beside them, not from a transcription file.
_COMMANDS = {
    "goforward.raw": "go forward ten meters",
    "something.raw": "go somewhere and do something",
    "tidigits/dhd.2934z.raw": "two nine three four zero",
}
_TRANSCRIPTION = re.compile(r"<s> (?P<text>.+?) *</s> \((?P<name>.+)\)")
# Announcements with digits, brackets or other signs are not spoken as they are written.
_PLAIN = re.compile(r"[A-Za-z' ,.!-]+")


@dataclass(frozen=True)
class Clip:
    """A recording and its words in lower case; `group` names the set that it is reported under."""

    name: str
    group: str
    path: Path
    words: tuple[str, ...]

    def sound(self) -> NDArray[np.float32]:
        """Mono samples at 16 kHz, -1 to 1. Raises FileNotFoundError if the package is not installed."""
        if self.path.suffix == ".raw":
            return np.fromfile(self.path, np.int16).astype(np.float32) / 32768
        return _decoded(self.path)


def _decoded(path: Path) -> NDArray[np.float32]:
    resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
    with av.open(str(path)) as container:
        pieces = [
            piece.to_ndarray()[0] for frame in (*container.decode(audio=0), None) for piece in resampler.resample(frame)
        ]
    return np.concatenate(pieces).astype(np.float32) / 32768


def _sphinx() -> Iterator[Clip]:
    for group, folder, listing in (
        ("librivox", "librivox", "transcription"),
        ("commands", "cards", "cards.transcription"),
    ):
        for line in (_SPHINX / folder / listing).read_text(encoding="ascii").splitlines():
            if found := _TRANSCRIPTION.fullmatch(line):
                name = f"{folder}/{found['name']}.wav"
                yield Clip(name, group, _SPHINX / name, tuple(found["text"].split()))
    for name, text in _COMMANDS.items():
        yield Clip(name, "commands", _SPHINX / name, tuple(text.split()))


def _alsa() -> Iterator[Clip]:
    for path in sorted(_ALSA.glob("*_*.wav")):
        yield Clip(f"alsa/{path.name}", "commands", path, tuple(path.stem.lower().split("_")))


def _asterisk() -> Iterator[Clip]:
    with gzip.open(_ASTERISK_TEXTS, "rt", encoding="utf-8") as lines:
        for line in lines:
            name, _, text = line.strip().partition(": ")
            path = _ASTERISK / f"{name}.g722"
            words = tuple(re.findall(r"[a-z']+", text.lower()))
            if _PLAIN.fullmatch(text) and len(words) >= _ASTERISK_WORDS_MIN and path.exists():
                yield Clip(f"asterisk/{name}.g722", "announcements", path, words)


PACKAGES: dict[str, Callable[[], Iterator[Clip]]] = {
    "pocketsphinx-testdata": _sphinx,
    "alsa-utils": _alsa,
    "asterisk-core-sounds-en-g722": _asterisk,
}
