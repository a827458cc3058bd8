"""Files placed by hand: found where the older tool had them, taken in, converted, or refused with what to do."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lfk.core.errors import LfkError, ModelInvalid
from lfk.core.model_manifest import Manifest
from lfk.engine.models.adopt import adopt, candidates
from lfk.engine.models.folder import ModelsFolder
from lfk.engine.models.hashes import HashMemory
from lfk.engine.models.library import ModelLibrary, own_manifest
from tests.integration.model_samples import SOURCE, WHISPER, hub_source, lay, manifest

KNOWN = manifest(
    whisper__base=[hub_source(WHISPER)],
    whisper__small=[hub_source(at="somebody/faster-whisper-small")],
    segmentation=[hub_source(form="segmentation", at="a/s")],
    embedding=[hub_source(form="speaker-encoder", at="a/e")],
    diarisation=[hub_source(form="pyannote-pipeline", at="a/d")],
    alignment__de=[hub_source(form="wav2vec2", at="a/w")],
)
ALIGNER: Mapping[str, bytes] = {
    "config.json": b'{"architectures": ["Wav2Vec2ForCTC"]}',
    "vocab.json": b'{"a": 0}',
    "model.safetensors": b"tensors",
}


def library(folder: Path, known: Manifest = KNOWN) -> ModelLibrary:
    return ModelLibrary(known, ModelsFolder(folder), HashMemory())


def found(root: Path) -> list[tuple[str, str]]:
    return [(one.path.relative_to(root).as_posix(), one.name or str(one.refusal)) for one in candidates(KNOWN, root)]


def test_the_folders_of_the_older_tool_are_understood(tmp_path: Path) -> None:
    lay(tmp_path / "whisper/faster-whisper-base", WHISPER)
    lay(tmp_path / "whisper/Small", WHISPER)
    lay(tmp_path / "whisper/models--somebody--faster-whisper-small/snapshots/abc", WHISPER)
    lay(tmp_path / "segmentation", {"pytorch_model.bin": b"x"})
    lay(tmp_path / "embedding", {"pretrained.pt": b"x"})
    lay(tmp_path / "diarization", {"config.yaml": b"x"})
    lay(tmp_path / "alignment/de", ALIGNER)
    assert found(tmp_path) == [
        ("whisper/Small", "whisper/small"),
        ("whisper/faster-whisper-base", "whisper/base"),
        ("whisper/models--somebody--faster-whisper-small/snapshots/abc", "whisper/small"),
        ("segmentation", "segmentation"),
        ("embedding", "embedding"),
        ("diarization", "diarisation"),
        ("alignment/de", "alignment/de"),
    ]


@pytest.mark.parametrize(
    ("files", "said", "advice"),
    [
        ({"whisper/base.pt": b"x"}, "checkpoint of OpenAI's Whisper", "ct2-transformers-converter"),
        ({"whisper/model.bin": b"x"}, "without saying which", "--as whisper/NAME"),
        ({"whisper/gigantic/model.bin": b"x"}, "no model is called whisper/gigantic", "--as NAME"),
        ({"whisper/models--x--y/snapshots/abc/model.bin": b"x"}, "does not know x/y", "--as NAME"),
        ({"alignment/klingon/config.json": b"x"}, "no model is called alignment/klingon", "--as NAME"),
    ],
)
def test_what_cannot_be_a_model_says_what_to_do(
    tmp_path: Path, files: Mapping[str, bytes], said: str, advice: str
) -> None:
    (one,) = candidates(KNOWN, lay(tmp_path, files))
    assert one.refusal is not None
    assert said in one.refusal.message
    assert advice in one.refusal.hint


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "whisper").mkdir()
    assert found(tmp_path) == []
    assert found(tmp_path / "nowhere") == []


def test_files_are_copied_recorded_and_usable_and_the_originals_stay(tmp_path: Path) -> None:
    source = lay(tmp_path / "usb/my-base", {**WHISPER, "notes.txt": b"mine", ".git/config": b"x"})
    books = library(tmp_path / "models")
    weights = adopt(books, "whisper/small", source)
    assert sorted(path.name for path in weights.path.iterdir()) == sorted(WHISPER)
    assert (weights.source, weights.place) == ("adopted", "models folder")
    assert books.folder.lock()["whisper/small"].adopted
    assert (source / "notes.txt").read_bytes() == b"mine"
    assert library(tmp_path / "models").resolve("whisper/small") == weights


def test_a_copy_of_pinned_weights_is_recognised(tmp_path: Path) -> None:
    weights = adopt(library(tmp_path / "models"), "whisper/base", lay(tmp_path / "usb", WHISPER))
    assert weights.source == SOURCE


def test_adopting_in_place_loses_no_file(tmp_path: Path) -> None:
    source = lay(tmp_path / "models/whisper/small", {**WHISPER, "training.log": b"mine"})
    weights = adopt(library(tmp_path / "models"), "whisper/small", source)
    assert weights.path == source
    kept = list((tmp_path / "models/.replaced").rglob("training.log"))
    assert [path.read_bytes() for path in kept] == [b"mine"]
    adopt(library(tmp_path / "models"), "whisper/small", source)
    assert len(list((tmp_path / "models/.replaced").iterdir())) == 1, "nothing was left out the second time"


def test_links_into_a_cache_are_followed_and_copied(tmp_path: Path) -> None:
    blobs = lay(tmp_path / "blobs", WHISPER)
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for name in WHISPER:
        (snapshot / name).symlink_to(blobs / name)
    weights = adopt(library(tmp_path / "models"), "whisper/base", snapshot)
    assert not any(path.is_symlink() for path in weights.path.iterdir())
    (snapshot / "model.bin").unlink()
    (snapshot / "model.bin").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ModelInvalid, match="leads nowhere"):
        adopt(library(tmp_path / "models"), "whisper/base", snapshot)


@pytest.mark.parametrize(
    ("name", "files", "said"),
    [
        ("whisper/small", {**WHISPER, "model.bin": b""}, "model.bin is empty"),
        ("whisper/small", {"model.bin": b"x", "config.json": b"{}"}, "tokenizer.json is missing"),
        ("whisper/small", {**WHISPER, "config.json": b"\xff"}, "config.json is not"),
        ("whisper/small", {"model.safetensors": b"x"}, "form of transformers"),
        ("whisper/small", {"readme": b"x"}, "holds none of"),
        ("alignment/de", {**ALIGNER, "config.json": b"{}"}, "no Wav2Vec2ForCTC"),
        (
            "alignment/de",
            {**ALIGNER, "tokenizer_config.json": b'{"auto_map": {"AutoTokenizer": "evil.py"}}'},
            "code of its own",
        ),
        ("diarisation", {"config.yaml": b"pipeline: {name: os.system, params: {}}"}, "other code than"),
        ("diarisation", {"config.yaml": b"!!python/object/apply:os.system ['true']"}, "not a pipeline's"),
        (
            "diarisation",
            {
                "config.yaml": b"pipeline: {name: pyannote.audio.pipelines.SpeakerDiarization,"
                b" params: {segmentation: somebody/model}}"
            },
            "outside its own folder",
        ),
        (
            "diarisation",
            {
                "config.yaml": b"pipeline: {name: pyannote.audio.pipelines.SpeakerDiarization,"
                b" params: {segmentation: $model/../../other}}"
            },
            "outside its own folder",
        ),
    ],
)
def test_what_is_no_safe_model_of_the_form_is_refused(
    tmp_path: Path, name: str, files: Mapping[str, bytes], said: str
) -> None:
    with pytest.raises(LfkError, match=said):
        adopt(library(tmp_path / "models"), name, lay(tmp_path / "usb", files))
    assert not (tmp_path / "models" / name).exists()
    assert not (tmp_path / "models/lock.json").exists()


# --- checkpoints, with the real speech stack


class Payload:
    """Leaves a file where it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.touched,))


def packaged(package: str, file: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / file


@pytest.mark.engine
def test_the_segmentation_checkpoint_becomes_safetensors_and_the_same_network(tmp_path: Path) -> None:
    import torch

    from lfk.engine.diariser.checkpoints import load_segmentation

    original = packaged("whisperx", "assets/pytorch_model.bin")
    lay(tmp_path / "usb", {"pytorch_model.bin": original.read_bytes()})
    weights = adopt(library(tmp_path / "models", own_manifest()), "segmentation", tmp_path / "usb")
    assert list(weights.files) == ["model.safetensors"]
    again = adopt(library(tmp_path / "again", own_manifest()), "segmentation", tmp_path / "usb")
    assert again.revision == weights.revision, "converting is repeatable"
    before, after = load_segmentation(original), load_segmentation(weights.file)
    assert vars(before.specifications) == vars(after.specifications)
    noise = torch.randn(2, 1, 80_000, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(before(noise), after(noise))


@pytest.mark.engine
def test_the_speaker_encoder_becomes_safetensors_and_the_same_network(tmp_path: Path) -> None:
    import torch

    from lfk.engine.diariser.encoder import load_encoder

    original = packaged("resemblyzer", "pretrained.pt")
    lay(tmp_path / "usb", {"pretrained.pt": original.read_bytes()})
    weights = adopt(library(tmp_path / "models", own_manifest()), "embedding", tmp_path / "usb")
    windows = torch.rand(3, 160, 40, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(load_encoder(original)(windows), load_encoder(weights.file)(windows))


@pytest.mark.engine
def test_an_aligner_in_pickled_form_becomes_safetensors(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    files = {name: data for name, data in ALIGNER.items() if name != "model.safetensors"}
    source = lay(tmp_path / "usb", files)
    torch.save({"lm_head.weight": torch.arange(4.0)}, source / "pytorch_model.bin")
    weights = adopt(library(tmp_path / "models"), "alignment/de", source)
    assert "pytorch_model.bin" not in weights.files
    assert torch.equal(load_file(weights.path / "model.safetensors")["lm_head.weight"], torch.arange(4.0))


@pytest.mark.engine
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("segmentation", "pytorch_model.bin"),
        ("embedding", "pretrained.pt"),
        ("alignment/de", "pytorch_model.bin"),
        ("diarisation", "segmentation/pytorch_model.bin"),
    ],
)
def test_a_poisoned_checkpoint_is_refused_and_nothing_of_it_runs(tmp_path: Path, name: str, file: str) -> None:
    import torch

    touched = tmp_path / "touched"
    others = {
        "alignment/de": {n: data for n, data in ALIGNER.items() if n != "model.safetensors"},
        "diarisation": {
            "config.yaml": b"pipeline: {name: pyannote.audio.pipelines.SpeakerDiarization,"
            b" params: {segmentation: $model/segmentation}}"
        },
    }
    source = lay(tmp_path / "usb", {**others.get(name, {}), file: b""})
    torch.save({"state_dict": Payload(touched)}, source / file)
    with pytest.raises(ModelInvalid, match="can be loaded safely"):
        adopt(library(tmp_path / "models"), name, source)
    assert not touched.exists()
    pickle.loads(pickle.dumps(Payload(touched)))  # noqa: S301 - proof that it would have run
    assert touched.exists()
