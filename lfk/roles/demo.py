"""What `lfk demo` shows: the bundled speech, or the user's files, laid out as a recordings folder.

Refuses files that are not there; nothing of the user's is moved or changed, only copied.
"""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Sequence
from pathlib import Path

from lfk.core.errors import UsageError
from lfk.core.media_types import is_media

#: The bundled speech: public-domain recordings, see the README beside them.
SPEECH = Path(__file__).resolve().parent.parent / "demo" / "speech"
#: The shortest of it: seven seconds that any engine can transcribe.
SAMPLE = SPEECH / "sense-and-sensibility-1.flac"

#: One of each approach, so that the bundled speech shows what they are.
_APPROACHES = {"conversation": "diarisation", "sense-and-sensibility-2": "segmentation"}


def lay_out(folder: Path, audio: Sequence[str], approach: str, model: str, default_approach: str) -> list[str]:
    """Copy the audio to ``folder/<approach>/<model>/``; returns the paths below ``folder``.

    Without an ``approach``, the user's files get the default one and the bundled speech one of each.

    Raises:
        UsageError: a file is missing or not a media file, or there is no bundled speech.
    """
    bundled = not audio
    laid_out = []
    for path in recordings(audio):
        own = _APPROACHES.get(path.stem, default_approach) if bundled else default_approach
        relative = f"{approach or own}/{model}/{path.name}"
        _copy(path, folder / relative)
        laid_out.append(relative)
    return laid_out


def recordings(audio: Sequence[str]) -> list[Path]:
    """The user's files, or the bundled speech where none are named.

    Raises:
        UsageError: a file is missing or not a media file, or there is no bundled speech.
    """
    files = [Path(name) for name in audio] or sorted(path for path in SPEECH.glob("*") if is_media(path.name))
    if not files:
        raise UsageError("this installation brings no speech", hint="name files: `lfk demo talk.mp3`")
    for path in files:
        _require_media(path)
    return files


def _require_media(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path} is not a file", hint="name audio or video files of this machine")
    if not is_media(path.name):
        raise UsageError(f"{path} has no suffix of a media file", hint="rename it, for example to .wav or .mp4")


def _copy(path: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or not filecmp.cmp(path, target, shallow=False):
            shutil.copyfile(path, target)
    except OSError as error:
        raise UsageError(
            f"{target.parent} cannot be written: {error.strerror}", hint="choose a folder with --dir"
        ) from error
