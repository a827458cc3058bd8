"""The offline diariser with its real weights, on speech that comes with packages."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfk.core.errors import AudioUndecodable, InvalidOption, ModelInvalid, ModelMissing

pytestmark = pytest.mark.engine

RATE = 16_000
# The sample is a lively real conversation with overlaps; more than this would be a broken diariser, not a weak one.
SAMPLE_DER_LIMIT = 0.25


def in_package(package: str, path: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None, f"{package} is not installed"
    return Path(spec.origin).parent / path


@pytest.fixture(scope="module")
def segmentation() -> Path:
    return in_package("whisperx", "assets/pytorch_model.bin")


@pytest.fixture(scope="module")
def encoder() -> Path:
    return in_package("resemblyzer", "pretrained.pt")


@pytest.fixture(scope="module")
def diariser(segmentation: Path, encoder: Path) -> Any:
    from lfk.engine.diariser.diariser import Diariser

    return Diariser(segmentation, encoder, "cpu", 16)


@pytest.fixture(scope="module")
def two_people() -> np.ndarray:
    """30 s of a real conversation of two people, from the pyannote.audio wheel."""
    import wave

    with wave.open(str(in_package("pyannote.audio", "sample/sample.wav"))) as source:
        assert (source.getframerate(), source.getnchannels()) == (RATE, 1)
        return np.frombuffer(source.readframes(source.getnframes()), dtype="<i2").astype(np.float32) / 32768


def test_two_people_are_told_apart(diariser: Any, two_people: np.ndarray) -> None:
    from pyannote.core import Annotation, Segment
    from pyannote.metrics.diarization import DiarizationErrorRate

    reference, found = Annotation(), Annotation()
    for line in in_package("pyannote.audio", "sample/sample.rttm").read_text().splitlines():
        _, _, _, start, length, _, _, who, *_ = line.split()
        reference[Segment(float(start), float(start) + float(length))] = who
    turns = diariser.diarise(two_people)
    for turn in turns:
        found[Segment(turn.start, turn.end), found.new_track(Segment(turn.start, turn.end))] = turn.speaker
    assert [turn.start for turn in turns] == sorted(turn.start for turn in turns)
    assert turns[0].speaker == "SPEAKER_00"
    assert {turn.speaker for turn in turns} == {"SPEAKER_00", "SPEAKER_01"}
    uem = Segment(0, len(two_people) / RATE)
    assert DiarizationErrorRate()(reference, found, uem=uem) < SAMPLE_DER_LIMIT


@pytest.mark.parametrize("given", [1, 2, 3])
def test_the_number_of_speakers_can_be_given(diariser: Any, two_people: np.ndarray, given: int) -> None:
    turns = diariser.diarise(two_people, num_speakers=given)
    assert len({turn.speaker for turn in turns}) == given


def test_the_same_audio_gives_the_same_turns_whatever_the_block(
    diariser: Any, two_people: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lfk.engine.diariser.diariser as module

    whole = diariser.diarise(two_people)
    assert diariser.diarise(two_people) == whole
    monkeypatch.setattr(module, "BLOCK_SECONDS", 7)
    heard: list[Any] = []

    def backwards(blocks: Sequence[Any]) -> list[Any]:
        heard.extend(blocks)
        found = {block: diariser.listen(two_people, block) for block in reversed(blocks)}
        return [type(one)(**one.arrays()) for one in (found[block] for block in blocks)]

    in_blocks = diariser.diarise(two_people, listen=backwards)
    assert len(heard) == 4
    assert in_blocks == diariser.diarise(two_people)
    assert [turn.speaker for turn in in_blocks] == [turn.speaker for turn in whole]
    assert [turn.start for turn in in_blocks] == pytest.approx([turn.start for turn in whole], abs=0.05)


def noise(seconds: float) -> np.ndarray:
    return (np.random.default_rng(2).standard_normal(round(seconds * RATE)) * 0.05).astype(np.float32)


@pytest.mark.parametrize(
    "audio",
    [np.zeros(0, np.float32), np.zeros(160, np.float32), np.zeros(12 * RATE, np.float32), noise(12), noise(0.01)],
    ids=["empty", "10 ms", "silence", "noise", "10 ms of noise"],
)
def test_without_speech_there_are_no_turns(diariser: Any, audio: np.ndarray) -> None:
    assert diariser.diarise(audio) == []


def test_a_tiny_piece_of_speech_is_somebody(diariser: Any, two_people: np.ndarray) -> None:
    assert {turn.speaker for turn in diariser.diarise(two_people[7 * RATE : 9 * RATE])} == {"SPEAKER_00"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(diariser: Any, value: float) -> None:
    audio = np.zeros(RATE, np.float32)
    audio[500] = value
    with pytest.raises(AudioUndecodable):
        diariser.diarise(audio)


def test_stereo_is_refused(diariser: Any) -> None:
    with pytest.raises(AudioUndecodable, match="mono"):
        diariser.diarise(np.zeros((RATE, 2), np.float32))


@pytest.mark.parametrize("bounds", [{"num_speakers": 0}, {"min_speakers": 3, "max_speakers": 2}, {"max_speakers": 101}])
def test_impossible_bounds_are_refused(diariser: Any, bounds: dict[str, int]) -> None:
    with pytest.raises(InvalidOption):
        diariser.diarise(np.zeros(RATE, np.float32), **bounds)


def test_the_segmentation_network_is_the_one_that_pyannote_loads(segmentation: Path, two_people: np.ndarray) -> None:
    """What is built from numbers alone must not differ from what unpickling the file gives."""
    import torch
    from pyannote.audio.models.segmentation import PyanNet

    from lfk.engine.diariser.checkpoints import load_segmentation

    # A file from a package that is installed anyway; this is the loading that the project itself never does.
    stored = torch.load(segmentation, map_location="cpu", weights_only=False)
    theirs = PyanNet(**{name: stored["hyper_parameters"][name] for name in ("sincnet", "lstm", "linear")})
    theirs.specifications = stored["pyannote.audio"]["specifications"]
    theirs.build()
    theirs.load_state_dict(stored["state_dict"])
    ours = load_segmentation(segmentation)
    chunk = torch.from_numpy(two_people[: 5 * RATE].copy())[None, None]
    with torch.inference_mode():
        assert torch.equal(ours(chunk), theirs.eval()(chunk))
    assert ours.specifications == theirs.specifications


class Payload:
    """Unpickled carelessly, it touches a file."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.touched,)


def poisoned(target: Path, touched: Path) -> None:
    import torch

    torch.save({"state_dict": {}, "pyannote.audio": Payload(touched), "model_state": {}}, target)


def poisoned_old_form(target: Path, touched: Path) -> None:
    target.write_bytes(pickle.dumps(Payload(touched)))


def truncated(target: Path, _: Path) -> None:
    target.write_bytes(in_package("whisperx", "assets/pytorch_model.bin").read_bytes()[:1_000_000])


def empty(target: Path, _: Path) -> None:
    target.write_bytes(b"")


def another_archive(target: Path, _: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("hello.txt", "hello")


def a_list(target: Path, _: Path) -> None:
    import torch

    torch.save([1, 2, 3], target)


def another_model(target: Path, _: Path) -> None:
    import torch

    torch.save({"state_dict": {"w": torch.zeros(3)}, "model_state": {"lstm.weight_ih_l0": torch.zeros(3)}}, target)


@pytest.mark.parametrize(
    "make", [poisoned, poisoned_old_form, truncated, empty, another_archive, a_list, another_model]
)
@pytest.mark.parametrize("loader", ["load_segmentation", "load_encoder"])
def test_what_is_no_model_of_ours_is_refused_and_never_run(
    tmp_path: Path, make: Callable[[Path, Path], None], loader: str
) -> None:
    from lfk.engine.diariser import checkpoints, encoder

    target, touched = tmp_path / "weights.bin", tmp_path / "touched"
    make(target, touched)
    load = getattr(checkpoints, loader, None) or getattr(encoder, loader)
    with pytest.raises(ModelInvalid):
        load(target)
    assert not touched.exists()


def test_the_payload_would_have_run() -> None:
    """The test above means nothing if the payload is harmless."""
    import tempfile

    import torch

    with tempfile.TemporaryDirectory() as folder:
        target, touched = Path(folder) / "weights.bin", Path(folder) / "touched"
        poisoned(target, touched)
        torch.load(target, weights_only=False)
        assert touched.exists()


def test_the_encoders_weights_are_no_segmentation(segmentation: Path, encoder: Path) -> None:
    from lfk.engine.diariser.checkpoints import load_segmentation
    from lfk.engine.diariser.encoder import load_encoder

    with pytest.raises(ModelInvalid):
        load_segmentation(encoder)
    with pytest.raises(ModelInvalid):
        load_encoder(segmentation)


def test_a_missing_file_is_a_missing_model(tmp_path: Path) -> None:
    from lfk.engine.diariser.checkpoints import load_segmentation

    with pytest.raises(ModelMissing):
        load_segmentation(tmp_path / "nowhere.bin")
