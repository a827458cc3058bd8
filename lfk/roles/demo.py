"""What `lfk demo` shows: the bundled speech, or the user's files, laid out as a recordings folder.

Refuses files that are not there; nothing of the user's is moved or changed, only copied.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lfk.core.errors import UsageError
from lfk.core.media_types import is_media

#: The bundled speech: public-domain recordings, see the README beside them.
SPEECH = Path(__file__).resolve().parent.parent / "demo" / "speech"


def lay_out(folder: Path, approach: str, model: str, audio: Sequence[str]) -> list[str]:
    """Copy the audio to ``folder/<approach>/<model>/``; returns the paths below ``folder``.

    Raises:
        UsageError: a file is missing or not a media file, or there is no bundled speech.
    """
    files = [Path(name) for name in audio] or sorted(path for path in SPEECH.glob("*") if is_media(path.name))
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} is not a file", hint="name audio or video files of this machine")
        if not is_media(path.name):
            raise UsageError(f"{path} has no suffix of a media file", hint="rename it, for example to .wav or .mp4")
    if not files:
        raise UsageError("this installation brings no speech", hint="name files: `lfk demo talk.mp3`")
    target = folder / approach / model
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in files:
            copy = target / path.name
            if not copy.exists() or copy.stat().st_size != path.stat().st_size:
                shutil.copyfile(path, copy)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}", hint="choose a folder with --dir") from error
    return [f"{approach}/{model}/{path.name}" for path in files]
