"""Fetching from a hub, against a server on this machine that speaks the Hugging Face hub's protocol.

The hub itself cannot be reached from where these tests run; what is proven is the protocol as huggingface_hub speaks
it, what is asked for, and what is made of every answer.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lfk.core.errors import LfkError, ModelInvalid, ModelMissing, Unreachable
from lfk.core.model_manifest import Manifest
from lfk.engine.models.folder import ModelsFolder
from lfk.engine.models.hashes import HashMemory
from lfk.engine.models.hubs import ModelHubs
from lfk.engine.models.library import ModelLibrary
from tests.integration.model_samples import COMMIT, SOURCE, WHISPER, hub_source, manifest, pins

pytestmark = pytest.mark.engine

BASE, OPEN = "whisper/base", "alignment/de"
ALIGNER = {
    "config.json": b'{"architectures": ["Wav2Vec2ForCTC"]}',
    "vocab.json": b'{"a": 0}',
    "model.safetensors": b"tensors",
}
KNOWN = manifest(
    whisper__base=[hub_source(WHISPER)], alignment__de=[hub_source(at="somebody/aligner", form="wav2vec2")]
)
TOKEN = "hf_of_the_test"


@dataclass
class Shop:
    """What the server has, and what it was asked."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    #: Status and error code for everything.
    refuses: tuple[int, str] | None = None
    #: Bytes that are sent instead of a file's.
    sends: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    about = Shop({SOURCE: dict(WHISPER), "somebody/aligner": {**ALIGNER, "README.md": b"x", "optimizer.pt": b"x"}})

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET(body=False)

        def do_GET(self, body: bool = True) -> None:
            about.asked.append((self.command, self.path, self.headers.get("Authorization")))
            if about.refuses is not None:
                self.send_response(about.refuses[0])
                self.send_header("X-Error-Code", about.refuses[1])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data, headers = self._find()
            self.send_response(200)
            for name, value in {"Content-Length": str(len(data)), "X-Repo-Commit": COMMIT, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def _find(self) -> tuple[bytes, dict[str, str]]:
            path = self.path.partition("?")[0]
            if path.startswith("/api/models/"):
                repository = "/".join(path.split("/")[3:5])
                return json.dumps(_about(repository, about.files[repository])).encode(), {
                    "Content-Type": "application/json"
                }
            parts = path.strip("/").split("/")
            file = "/".join(parts[4:])
            data = about.sends.get(file, about.files["/".join(parts[:2])][file])
            return data, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"'}

        def log_message(self, *_arguments: Any) -> None:
            """Not into the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    about.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield about
    server.shutdown()
    server.server_close()
    thread.join()


def _about(repository: str, files: dict[str, bytes]) -> dict[str, Any]:
    siblings = [
        {
            "rfilename": name,
            "size": len(data),
            "blobId": "b" * 40,
            **(
                {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 1}}
                if name.startswith("model.")
                else {}
            ),
        }
        for name, data in files.items()
    ]
    return {"_id": "1", "id": repository, "sha": COMMIT, "siblings": siblings, "cardData": {"license": "apache-2.0"}}


def library(folder: Path, shop: Shop, token: str | None = None, known: Manifest = KNOWN) -> ModelLibrary:
    hub = ModelHubs(token, endpoint=shop.address)
    return ModelLibrary(known, ModelsFolder(folder / "models"), HashMemory(), hub=hub)


def test_a_pinned_model_is_fetched_at_its_commit(tmp_path: Path, shop: Shop) -> None:
    weights = library(tmp_path, shop).resolve(BASE)
    assert {name: (weights.path / name).read_bytes() for name in weights.files} == dict(WHISPER)
    assert (weights.source, weights.source_revision, weights.licence) == (SOURCE, COMMIT, "apache-2.0")
    assert shop.asked[0][1].startswith(f"/api/models/{SOURCE}/revision/{COMMIT}")
    assert all(f"/resolve/{COMMIT}/" in path for _, path, _ in shop.asked[1:])


def test_of_an_unpinned_aligner_only_what_loads_it_is_fetched(tmp_path: Path, shop: Shop) -> None:
    weights = library(tmp_path, shop).resolve(OPEN)
    assert set(weights.files) == set(ALIGNER)
    assert library(tmp_path, shop).folder.lock()[OPEN].revision == COMMIT


def test_no_token_is_sent_unless_one_is_given(tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_left_lying_about")
    library(tmp_path / "a", shop).resolve(BASE)
    assert {token for _, _, token in shop.asked} == {None}
    shop.asked.clear()
    library(tmp_path / "b", shop, TOKEN).resolve(BASE)
    assert {token for _, _, token in shop.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (403, "GatedRepo", ModelMissing, "accepted its terms"),
        (404, "RepoNotFound", ModelMissing, "has no somebody"),
        (404, "RevisionNotFound", ModelMissing, "has no somebody"),
        (500, "", Unreachable, "cannot be reached"),
    ],
)
def test_refusals_are_told_apart(
    tmp_path: Path, shop: Shop, status: int, code: str, kind: type[LfkError], said: str
) -> None:
    shop.refuses = (status, code)
    with pytest.raises(kind, match=said) as caught:
        library(tmp_path, shop, TOKEN).resolve(BASE)
    assert TOKEN not in str(caught.value) + caught.value.hint
    assert not (tmp_path / "models" / BASE).exists()


def test_nobody_at_the_address_is_an_outage(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        library(tmp_path, Shop(address="http://127.0.0.1:9")).resolve(BASE)


def test_bytes_that_are_not_what_the_hub_announced_are_refused(tmp_path: Path, shop: Shop) -> None:
    shop.sends = {"model.safetensors": b"tensorX"}
    with pytest.raises(ModelInvalid, match="not what the hub says it is"):
        library(tmp_path, shop).resolve(OPEN)
    assert not (tmp_path / "models" / OPEN).exists()
    assert not list((tmp_path / "models/.incoming").iterdir())


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/model.pth", "file:///etc/passwd"])
def test_an_address_is_https_or_nothing(tmp_path: Path, shop: Shop, address: str) -> None:
    source = {
        "kind": "address",
        "at": address,
        "form": "torchaudio",
        "revision": "x",
        "files": pins({"model.pth": b"x"}),
    }
    with pytest.raises(ModelInvalid, match="no https address"):
        library(tmp_path, shop, known=manifest(alignment__de=[source])).resolve(OPEN)


def test_an_address_that_nobody_serves_is_an_outage(tmp_path: Path, shop: Shop) -> None:
    source = {
        "kind": "address",
        "at": "https://127.0.0.1:9/model.pth",
        "form": "torchaudio",
        "revision": "x",
        "files": pins({"model.pth": b"x"}),
    }
    with pytest.raises(Unreachable):
        library(tmp_path, shop, known=manifest(alignment__de=[source])).resolve(OPEN)
