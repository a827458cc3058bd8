"""Files placed by hand become models: found where the older tool had them, looked into, converted or refused.

The older tool's folders were ``whisper``, ``segmentation``, ``embedding`` and ``diarization``; a Hugging Face cache
folder (``models--owner--name``) inside ``whisper`` is understood as well. Nothing of a folder is changed unless it
is the model's own place, and what is replaced there is kept aside.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lfk.core.errors import ModelInvalid
from lfk.core.model_manifest import Entry, Form, Kind, Locked, Manifest, Pin, check_file_name
from lfk.engine.models.base import Weights
from lfk.engine.models.forms import FILES, is_ctranslate2, prepare
from lfk.engine.models.hashes import hash_file
from lfk.engine.models.library import ModelLibrary

#: What the lock gives as the source of files that are no copy of a known source.
ADOPTED = "adopted"
#: How folders of converted Whisper models are often called.
_PREFIXES = ("faster-whisper-", "faster-distil-whisper-", "whisper-")
_HUB_CACHE = "models--"
_CONVERT = (
    "convert it with ctranslate2's `ct2-transformers-converter --model openai/whisper-NAME --copy_files tokenizer.json "
    "preprocessor_config.json --output_dir DIR`, or fetch the converted one: `lfk models pull NAME`"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that lies there: what it would be, or why it cannot be anything."""

    path: Path
    name: str = ""
    refusal: ModelInvalid | None = None


def candidates(manifest: Manifest, root: Path) -> Iterator[Candidate]:
    """What lies below ``root`` in the folders of the older tool, in order of name."""
    yield from _whisper(manifest, root / "whisper")
    for folder, name in (
        ("segmentation", "segmentation"),
        ("embedding", "embedding"),
        ("diarisation", "diarisation"),
        ("diarization", "diarisation"),
    ):
        if _files(root / folder):
            yield Candidate(root / folder, name)
    for path in _children(root / "alignment"):
        if path.is_dir():
            yield _named(manifest, path, f"alignment/{path.name.lower()}")


def adopt(library: ModelLibrary, name: str, path: Path) -> Weights:
    """Take the files in ``path`` as that model.

    Raises:
        UnknownModel: the manifest has no such name.
        ModelInvalid: they are not such a model, or not safe to load.
        ScratchFull, ModelMissing: the models folder has no room, or cannot be written.
        UnsupportedFeature: looking into them needs ``lfk[hub]``.
    """
    entry = library.manifest.require(name)
    form = _form(entry, path)
    own = library.folder.path(name)
    in_place = own.exists() and path.resolve() == own.resolve()
    with library.folder.staging() as stage:
        for file in _chosen(entry, form, path):
            target = stage / file
            target.parent.mkdir(exist_ok=True)
            _copy(path / file, target, link=in_place)
        converted = prepare(name, form, stage)
        files = {
            file.relative_to(stage).as_posix(): Pin(file.stat().st_size, hash_file(file))
            for file in sorted(stage.rglob("*"))
            if file.is_file()
        }
        library.folder.install(name, stage, _locked(entry, form, files, converted))
    found = library.find(name)
    if found is None:
        raise ModelInvalid(f"{name}: it was taken away while it was adopted")
    return found


def _whisper(manifest: Manifest, folder: Path) -> Iterator[Candidate]:
    if is_ctranslate2(folder):
        yield Candidate(
            folder,
            refusal=ModelInvalid(
                f"{folder} holds a model without saying which",
                hint=f"name it: `lfk models adopt {folder} --as whisper/NAME`",
            ),
        )
    for path in _children(folder):
        if path.suffix in (".pt", ".pth"):
            yield Candidate(path, refusal=ModelInvalid(f"{path} is a checkpoint of OpenAI's Whisper", hint=_CONVERT))
        elif path.is_dir() and path.name.startswith(_HUB_CACHE):
            yield from _hub_cache(manifest, path)
        elif path.is_dir():
            yield _named(manifest, path, f"whisper/{_model_name(path.name)}")


def _hub_cache(manifest: Manifest, path: Path) -> Iterator[Candidate]:
    repository = path.name.removeprefix(_HUB_CACHE).replace("--", "/")
    names = [
        entry.name
        for entry in manifest.entries.values()
        for source in entry.sources
        if source.kind is Kind.HUB and source.at == repository
    ]
    for snapshot in _children(path / "snapshots"):
        if names:
            yield Candidate(snapshot, names[0])
        else:
            yield Candidate(
                snapshot, refusal=ModelInvalid(f"{path}: lfk does not know {repository}", hint=_say_which(path))
            )


def _named(manifest: Manifest, path: Path, name: str) -> Candidate:
    if name in manifest.entries:
        return Candidate(path, name)
    return Candidate(path, refusal=ModelInvalid(f"{path}: no model is called {name[:80]}", hint=_say_which(path)))


def _say_which(path: Path) -> str:
    return f"say which model it is: `lfk models adopt {path} --as NAME`; `lfk models list` shows the names"


def _model_name(folder: str) -> str:
    name = folder.lower()
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            return f"distil-{rest}" if "distil" in prefix else rest
    return name


def _form(entry: Entry, path: Path) -> Form:
    """Which of the model's forms the files have."""
    if not path.is_dir():
        if path.suffix in (".pt", ".pth") and entry.name.startswith("whisper/"):
            raise ModelInvalid(f"{path} is a checkpoint of OpenAI's Whisper", hint=_CONVERT)
        raise ModelInvalid(f"{path} is not a folder", hint="name the folder that holds the model's files")
    if entry.name.startswith("alignment/"):
        return Form.WAV2VEC2 if (path / "config.json").exists() else Form.TORCHAUDIO
    if entry.name.startswith("whisper/") and not is_ctranslate2(path) and any(path.glob("*.safetensors")):
        raise ModelInvalid(f"{path} holds Whisper in the form of transformers", hint=_CONVERT)
    return entry.sources[0].form


def _chosen(entry: Entry, form: Form, path: Path) -> list[str]:
    """The files that belong to a model of that form; others stay where they are."""
    name, patterns = entry.name, FILES[form]
    if form is Form.TORCHAUDIO:
        # torchaudio knows its weights by the name of their file.
        patterns = tuple(file for source in entry.sources if source.form is form for file in source.files)
    files = [file for file in _files(path) if form is Form.PIPELINE or "/" not in file]
    chosen = [file for file in files if any(Path(file).match(pattern) for pattern in patterns)]
    if form is Form.WAV2VEC2 and "model.safetensors" in chosen and "pytorch_model.bin" in chosen:
        chosen.remove("pytorch_model.bin")
    if not chosen:
        raise ModelInvalid(f"{name}: {path} holds none of {', '.join(patterns) or 'the known files'}")
    for file in chosen:
        try:
            check_file_name(file)
        except ValueError as error:
            raise ModelInvalid(f"{name}: {path}: {error}", hint="give it a plain name") from error
    return chosen


def _locked(entry: Entry, form: Form, files: dict[str, Pin], converted: bool) -> Locked:
    for source in entry.sources:
        if source.form is form and source.pinned and dict(source.files) == files:
            return Locked(source.at, source.revision, form, files)
    return Locked(ADOPTED, None, form, files, adopted=True, converted=converted)


def _copy(source: Path, target: Path, *, link: bool) -> None:
    """``link``: the original is about to give way to the copy, so both may be one file."""
    try:
        whole = source.resolve(strict=True)
        if link:
            try:
                os.link(whole, target)
            except OSError:
                shutil.copyfile(whole, target)
        else:
            shutil.copyfile(whole, target)
    except FileNotFoundError as error:
        raise ModelInvalid(f"{source} leads nowhere") from error


def _files(path: Path) -> list[str]:
    if not path.is_dir():
        return []
    files = (file for file in sorted(path.rglob("*")) if not file.is_dir())
    return [file.relative_to(path).as_posix() for file in files if not file.name.startswith(".")]


def _children(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if not child.name.startswith(".")) if path.is_dir() else []
