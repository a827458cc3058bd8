"""What the files of each form have to be, looked at once, before a model is taken in.

Nothing here runs what is inside a file. Pickled checkpoints are read as plain tensors only; where a safer form exists
they are converted to it. Files that name code to be loaded are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lfk.core.errors import ModelInvalid, UnsupportedFeature
from lfk.core.model_manifest import Form

#: The files that belong to a model of each form, as patterns.
FILES: Mapping[Form, tuple[str, ...]] = {
    Form.CTRANSLATE2: ("model.bin", "config.json", "preprocessor_config.json", "tokenizer.json", "vocabulary.*"),
    Form.WAV2VEC2: (
        "added_tokens.json",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "pytorch_model.bin",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "vocab.json",
    ),
    Form.TORCHAUDIO: ("*.pt", "*.pth"),
    Form.SEGMENTATION: ("*.bin", "*.ckpt", "*.pt", "*.safetensors"),
    Form.SPEAKER_ENCODER: ("*.bin", "*.ckpt", "*.pt", "*.safetensors"),
    Form.PIPELINE: ("config.yaml", "*.bin", "*.npz"),
}
_CHECKPOINTS = (".bin", ".ckpt", ".pt", ".safetensors")
_OTHER_PIPELINE = (
    "only a pipeline whose models lie beside it is taken: `lfk models pull diarisation` fetches pyannote's; "
    "lfk's own diariser needs none"
)
_WHOLE = "copy the model whole, or fetch it with `lfk models pull`"

#: Settings files are a few kilobytes; tokenizers, the largest JSON, a few megabytes.
_MAX_TEXT_BYTES = 64 << 20
#: Keys by which transformers loads Python files of a repository.
_CODE_KEYS = ("auto_map", "custom_pipelines", "trust_remote_code")
_PIPELINE = "pyannote.audio.pipelines.SpeakerDiarization"
_MODELS_OF_PYANNOTE = "pyannote.audio.models."


def prepare(name: str, form: Form, folder: Path) -> bool:
    """Check the model in ``folder``, and convert what can be converted; True if files have changed.

    Raises:
        ModelInvalid: something is missing or not safe to load; the model ``name`` is named.
        UnsupportedFeature: looking into it needs ``lfk[hub]``.
    """
    checks: Mapping[Form, Callable[[Path], bool]] = {
        Form.CTRANSLATE2: _ctranslate2,
        Form.WAV2VEC2: _wav2vec2,
        Form.TORCHAUDIO: _torchaudio,
        Form.SEGMENTATION: _segmentation,
        Form.SPEAKER_ENCODER: _speaker_encoder,
        Form.PIPELINE: _pipeline,
    }
    try:
        return checks[form](folder)
    except ModelInvalid as error:
        raise ModelInvalid(f"{name}: {error.message}", hint=error.hint) from error
    except ImportError as error:
        raise UnsupportedFeature(
            f"{name} cannot be looked into without the speech stack", hint="install it with `pip install 'lfk[hub]'`"
        ) from error


def is_ctranslate2(folder: Path) -> bool:
    """Whether a folder looks like a Whisper model of CTranslate2, complete or not."""
    return (folder / "model.bin").exists()


def _ctranslate2(folder: Path) -> bool:
    for file in ("model.bin", "config.json", "tokenizer.json"):
        _require(folder, file)
    if not any((folder / f"vocabulary.{suffix}").is_file() for suffix in ("txt", "json")):
        raise ModelInvalid("vocabulary.txt or vocabulary.json is missing", hint=_WHOLE)
    for file in ("config.json", "tokenizer.json"):
        _json(folder / file)
    if (folder / "model.bin").stat().st_size == 0:
        raise ModelInvalid("model.bin is empty", hint=_WHOLE)
    return False


def _wav2vec2(folder: Path) -> bool:
    for file in ("config.json", "vocab.json"):
        _require(folder, file)
    config = _json(folder / "config.json")
    if "Wav2Vec2ForCTC" not in (config.get("architectures") or ()):
        raise ModelInvalid("it is no Wav2Vec2ForCTC, so it cannot align words")
    for settings in folder.glob("*.json"):
        _refuse_code(settings)
    if (folder / "model.safetensors").is_file():
        return False
    _require(folder, "pytorch_model.bin")
    from lfk.engine.models.convert import convert_wav2vec2

    convert_wav2vec2(folder / "pytorch_model.bin", folder / "model.safetensors")
    (folder / "pytorch_model.bin").unlink()
    return True


def _torchaudio(folder: Path) -> bool:
    from lfk.engine.models.convert import read_large_checkpoint

    for file in folder.glob("*.pt*"):
        read_large_checkpoint(file)
        return False
    raise ModelInvalid("there is no .pt or .pth file", hint=_WHOLE)


def _segmentation(folder: Path) -> bool:
    from lfk.engine.diariser.checkpoints import load_segmentation
    from lfk.engine.models.convert import convert_segmentation

    return _checkpoint(folder, convert_segmentation, load_segmentation)


def _speaker_encoder(folder: Path) -> bool:
    from lfk.engine.diariser.encoder import load_encoder
    from lfk.engine.models.convert import convert_encoder

    return _checkpoint(folder, convert_encoder, load_encoder)


def _checkpoint(folder: Path, convert: Callable[[Path, Path], None], load: Callable[[Path], object]) -> bool:
    """One file: a checkpoint becomes safetensors; what is left must be the model that lfk knows."""
    files = sorted(file for file in folder.iterdir() if file.suffix in _CHECKPOINTS)
    if len(files) != 1:
        raise ModelInvalid(f"expected one checkpoint, found {len(files)}", hint=_WHOLE)
    target = folder / "model.safetensors"
    changed = files[0] != target
    if changed:
        convert(files[0], target)
        files[0].unlink()
    load(target)
    return changed


def _pipeline(folder: Path) -> bool:
    """A pipeline's settings name classes and checkpoints, and pyannote would import and fetch whatever they say."""
    import yaml

    _require(folder, "config.yaml")
    try:
        config = yaml.safe_load(_text(folder / "config.yaml"))
        pipeline = config["pipeline"]
        named = pipeline["name"]
        parts = [part for part in _leaves(pipeline["params"]) if "/" in part or "\\" in part]
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ModelInvalid("config.yaml is not a pipeline's", hint=_WHOLE) from error
    if named != _PIPELINE or "preprocessors" in config:
        raise ModelInvalid(f"config.yaml asks for other code than {_PIPELINE}", hint=_OTHER_PIPELINE)
    for part in parts:
        if not part.startswith("$model/") or ".." in part or "@" in part:
            raise ModelInvalid(f"config.yaml refers to {part[:80]!r}, outside its own folder", hint=_OTHER_PIPELINE)
    from lfk.engine.diariser.checkpoints import read_checkpoint

    for file in folder.rglob("*.bin"):
        architecture = read_checkpoint(file).get("pyannote.audio", {}).get("architecture", {})
        if not str(architecture.get("module", "")).startswith(_MODELS_OF_PYANNOTE):
            raise ModelInvalid(f"{file.name} asks for other code than pyannote's models")
    import numpy as np

    for file in folder.rglob("*.npz"):
        try:
            with np.load(file, allow_pickle=False) as arrays:
                for array in arrays.files:
                    arrays[array]
        except (ValueError, OSError, EOFError) as error:
            raise ModelInvalid(f"{file.name} is not a file of plain arrays", hint=_WHOLE) from error
    return False


def _require(folder: Path, file: str) -> None:
    if not (folder / file).is_file():
        raise ModelInvalid(f"{file} is missing", hint=_WHOLE)


def _refuse_code(file: Path) -> None:
    content = _json(file)
    if any(key in content for key in _CODE_KEYS):
        raise ModelInvalid(f"{file.name} asks for code of its own to be run, which lfk never does")


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(file))
    except ValueError as error:
        raise ModelInvalid(f"{file.name} is not JSON", hint=_WHOLE) from error
    if not isinstance(content, dict):
        raise ModelInvalid(f"{file.name} is not of the known form", hint=_WHOLE)
    return content


def _text(file: Path) -> str:
    if file.stat().st_size > _MAX_TEXT_BYTES:
        raise ModelInvalid(f"{file.name} is larger than {_MAX_TEXT_BYTES} bytes")
    return file.read_bytes().decode("utf-8", "strict")


def _leaves(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [leaf for part in value.values() for leaf in _leaves(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value] if isinstance(value, str) else []
