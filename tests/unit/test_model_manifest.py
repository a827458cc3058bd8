"""The manifest that travels with lfk, and what parsing refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lfk.core.approaches import KNOWN_MODELS
from lfk.core.errors import ModelInvalid, UnknownModel
from lfk.core.model_manifest import (
    Entry,
    Form,
    Kind,
    Locked,
    Manifest,
    Pin,
    content_revision,
    parse_lock,
    parse_manifest,
    render_lock,
)
from lfk.resources import resource

SHA = "ab" * 32


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return parse_manifest(resource("models/manifest.json").read_text(encoding="utf-8"))


def test_every_model_that_references_may_ask_for_has_weights_in_the_manifest(manifest: Manifest) -> None:
    assert {f"whisper/{exact}" for exact in KNOWN_MODELS.values()} == {
        name for name in manifest.entries if name.startswith("whisper/")
    }


def test_the_manifest_names_the_models_of_every_stage(manifest: Manifest) -> None:
    assert {"segmentation", "embedding", "diarisation", "alignment/en", "alignment/de"} < set(manifest.entries)


def test_what_needs_no_network_is_known_to_the_last_byte(manifest: Manifest) -> None:
    local = [source for entry in manifest.entries.values() for source in entry.sources if not source.kind.remote]
    assert len(local) == 4
    assert all(source.pinned for source in local)


def test_revisions_of_hub_models_are_commits_or_left_to_the_first_pull(manifest: Manifest) -> None:
    revisions = [s.revision for e in manifest.entries.values() for s in e.sources if s.kind is Kind.HUB]
    assert all(revision is None or re.fullmatch("[0-9a-f]{40}", revision) for revision in revisions)


def test_every_whisper_model_is_pinned_to_a_commit_and_its_weights_to_a_hash(manifest: Manifest) -> None:
    for name, entry in manifest.entries.items():
        if name.startswith("whisper/"):
            hub = entry.sources[-1]
            assert hub.revision is not None
            assert hub.files["model.bin"].sha256 is not None
            assert entry.size is not None


def test_the_aligner_that_travels_with_lfk_is_the_one_that_the_manifest_pins(manifest: Manifest) -> None:
    source = next(s for s in manifest.entries["alignment/en"].sources if s.kind is Kind.SHIPPED)
    folder = resource(source.at)
    import hashlib

    found = {
        path.name: Pin(path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
        if path.suffix != ".md"
    }
    assert found == dict(source.files), "models/aligner-en has changed: run `python -m training.pin`"


def test_notice_gathers_licence_and_credits_of_every_model(manifest: Manifest) -> None:
    notice = " ".join((Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8").split())
    for entry in manifest.entries.values():
        assert entry.credits in notice, f"{entry.name}: {entry.credits}"
        assert f"{entry.name} ({entry.licence})" in notice


def test_users_select_by_name_short_name_and_pattern(manifest: Manifest) -> None:
    assert [e.name for e in manifest.select("whisper/base")] == ["whisper/base"]
    assert [e.name for e in manifest.select("base")] == ["whisper/base"]
    assert [e.name for e in manifest.select("large")] == ["whisper/large-v3"]
    assert [e.name for e in manifest.select("*mentation")] == ["segmentation"]
    assert len(manifest.select("alignment/*")) > 30


@pytest.mark.parametrize("wanted", ["nosuch", "../whisper/base", "Systran/faster-whisper-base", "", "whisper"])
def test_other_names_are_unknown(manifest: Manifest, wanted: str) -> None:
    with pytest.raises(UnknownModel):
        manifest.select(wanted)


def test_a_lock_survives_writing_and_reading() -> None:
    locked = {
        "whisper/base": Locked("Systran/x", "c" * 40, Form.CTRANSLATE2, {"model.bin": Pin(3, SHA)}, licence="mit"),
        "embedding": Locked("adopted", None, Form.SPEAKER_ENCODER, {"a/b.pt": Pin(0, SHA)}, True, None, True),
    }
    assert parse_lock(render_lock(locked)) == locked


def test_equal_content_has_one_identity_and_other_content_another() -> None:
    one = content_revision({"a": Pin(1, SHA), "b": Pin(2, "cd" * 32)})
    assert one == content_revision({"b": Pin(2, "cd" * 32), "a": Pin(1, SHA)})
    assert one != content_revision({"a": Pin(1, "cd" * 32), "b": Pin(2, SHA)})
    assert re.fullmatch("[0-9a-f]{16}", one)


def lock_text(name: str = "whisper/base", file: str = "model.bin", **pin: Any) -> str:
    files = {file: {"size": 3, "sha256": SHA, **pin}}
    entry = {"source": "x", "form": "ctranslate2", "files": files}
    return json.dumps({"format": 1, "models": {name: entry}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"format": 2, "models": {}}',
        '{"format": 1, "models": []}',
        '{"format": 1, "models": {"whisper/base": {"source": "x", "form": "ctranslate2", "files": {}}}}',
        lock_text(name="../etc"),
        lock_text(name="/etc/passwd"),
        lock_text(name="whisper/../../x"),
        lock_text(name="whisper\\base"),
        lock_text(name="Whisper/Base"),
        lock_text(name="a/b/c"),
        lock_text(file="../../model.bin"),
        lock_text(file="/model.bin"),
        lock_text(file=".hidden"),
        lock_text(file="a/../b"),
        lock_text(file="model.bin\n"),
        lock_text(file="mödel.bin"),
        lock_text(sha256="xyz"),
        lock_text(sha256=None),
        lock_text(size=-1),
        lock_text(size="3"),
        lock_text(size=None),
    ],
)
def test_a_lock_from_outside_that_is_not_of_the_form_is_refused(text: str) -> None:
    with pytest.raises(ModelInvalid):
        parse_lock(text)


def test_a_good_lock_of_that_shape_is_taken() -> None:
    assert parse_lock(lock_text())["whisper/base"].size == 3


def test_a_manifest_without_licence_or_sources_is_refused() -> None:
    good = {
        "title": "t",
        "licence": "MIT",
        "credits": "c",
        "sources": [{"kind": "hub", "at": "a/b", "form": "ctranslate2"}],
    }
    parsed = parse_manifest(json.dumps({"format": 1, "models": {"a": good}}))
    assert isinstance(parsed.entries["a"], Entry)
    for missing in ({"licence": ""}, {"credits": ""}, {"sources": []}):
        with pytest.raises(ModelInvalid):
            parse_manifest(json.dumps({"format": 1, "models": {"a": good | missing}}))
