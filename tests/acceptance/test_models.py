"""`lfk models` as users run it: two machines, one store, files by hand, damage, and what each says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lfk.core.errors import ExitCode
from lfk.resources import resource
from tests.acceptance.command import Lfk

ALIGNER = "alignment/en"


@pytest.fixture
def lfk(tmp_path: Path) -> Iterator[Lfk]:
    yield Lfk(tmp_path)


def by_hand(folder: Path) -> Path:
    """The aligner that travels with lfk, as somebody would copy it."""
    target = folder / "alignment" / "en"
    target.mkdir(parents=True)
    for file in resource("models/aligner-en").iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_list_shows_every_model_without_loading_the_speech_stack(lfk: Lfk) -> None:
    done = lfk("models", "list", "--json")
    models = {event["name"]: event for event in done.of("model")}
    assert done.code == ExitCode.OK
    assert len(models) > 50
    assert models[ALIGNER]["state"] == "ready"
    assert models["whisper/large-v3"]["state"] == "out"
    assert all(event["licence"] and event["credits"] for event in models.values())


def test_verify_reads_what_is_here(lfk: Lfk) -> None:
    done = lfk("models", "verify", ALIGNER, "--json")
    assert done.code == ExitCode.OK, done.err
    assert [event["name"] for event in done.of("verified")] == [ALIGNER]


def test_what_is_missing_is_said_with_the_command_that_brings_it(lfk: Lfk) -> None:
    for action in ("verify", "pull", "push"):
        done = lfk("models", action, "base")
        assert done.code == ExitCode.SOME_FAILED
        assert "`lfk models pull whisper/base` where a hub may be reached (HF_HUB_OFFLINE=false)" in done.err
    assert not (lfk.folder / "models").exists()


def test_adopted_pushed_pulled_and_damaged(tmp_path: Path) -> None:
    one, two = (tmp_path / name for name in ("one", "two"))
    one.mkdir()
    two.mkdir()
    store = f"file://{tmp_path}/store"
    first, second = Lfk(one, LFK_STORE=store), Lfk(two, LFK_STORE=store)
    assert first("init").code == ExitCode.OK
    by_hand(one / "usb")

    assert "would look into" in first("models", "adopt", "usb", "--dry-run").out
    assert not (one / "models").exists()
    assert f"as {ALIGNER}" in first("models", "adopt", "usb").out
    assert (one / "models/lock.json").is_file()
    assert "pushed" in first("models", "push", ALIGNER).out
    assert "there already" in first("models", "push", ALIGNER).out

    listed = second("models", "list", ALIGNER, "--json").of("model")
    assert [event["place"] for event in listed] == ["lfk"]
    pulled = second("models", "pull", ALIGNER, "--json")
    assert [event["fetched"] for event in pulled.of("pull")] == [True]
    assert (two / "models/alignment/en/model.safetensors").is_file()

    (two / "models/alignment/en/model.safetensors").write_bytes(b"cut off")
    done = second("models", "verify")
    assert done.code == ExitCode.SOME_FAILED
    assert "model.safetensors has 7 of" in done.err
    assert "[model_invalid]" in done.err


def test_files_of_the_older_tool_that_cannot_be_used_are_named_and_the_others_taken(lfk: Lfk) -> None:
    by_hand(lfk.folder / "models")
    (lfk.folder / "models/whisper").mkdir()
    (lfk.folder / "models/whisper/base.pt").write_bytes(b"x")
    done = lfk("models", "adopt")
    assert done.code == ExitCode.SOME_FAILED
    assert "adopted" in done.out
    assert "base.pt is a checkpoint of OpenAI's Whisper [model_invalid]" in done.err
    assert (lfk.folder / "models/whisper/base.pt").read_bytes() == b"x"


@pytest.mark.parametrize(
    "arguments",
    [
        ("pull",),
        ("push",),
        ("list", "nosuch"),
        ("adopt", "nowhere"),
        ("adopt", "a", "b"),
        ("pull", "base", "--as", "whisper/base"),
        ("burn", "base"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(lfk: Lfk, arguments: tuple[str, ...]) -> None:
    done = lfk("models", *arguments)
    assert done.code in (ExitCode.USAGE, ExitCode.SOME_FAILED)
    assert "error: " in done.err
    assert "Traceback" not in done.err
