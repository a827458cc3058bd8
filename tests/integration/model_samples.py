"""Small models that are no models, for tests of how weights are managed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfk.core.model_manifest import Entry, Form, Locked, Manifest, Pin, Source, parse_manifest

WHISPER: Mapping[str, bytes] = {
    "config.json": b"{}",
    "model.bin": b"weights of base" * 100,
    "tokenizer.json": b'{"model": {}}',
    "vocabulary.txt": b"a\nb\n",
}
SOURCE = "somebody/faster-whisper-base"
COMMIT = "c" * 40


def pins(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """As the manifest writes them."""
    return {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}


def locked(files: Mapping[str, bytes], source: str = SOURCE, form: Form = Form.CTRANSLATE2, **about: Any) -> Locked:
    """As a lock has them."""
    return Locked(source, COMMIT, form, {name: Pin(**pin) for name, pin in pins(files).items()}, **about)


def hub_source(files: Mapping[str, bytes] | None = None, at: str = SOURCE, form: str = "ctranslate2") -> dict[str, Any]:
    """A source at a hub; without files nothing of it is known."""
    source: dict[str, Any] = {"kind": "hub", "at": at, "form": form}
    return source | ({"revision": COMMIT, "files": pins(files)} if files else {})


def manifest(**models: list[dict[str, Any]]) -> Manifest:
    """Models by name (``__`` for ``/``), each with its sources."""
    entries = {
        name.replace("__", "/"): {"title": name, "licence": "MIT", "credits": "nobody", "sources": sources}
        for name, sources in models.items()
    }
    return parse_manifest(json.dumps({"format": 1, "models": entries}))


def lay(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


class Hub:
    """Stands where a hub would be: gives what it was told to, and counts."""

    def __init__(self, files: Mapping[str, bytes] = WHISPER, error: Exception | None = None, **about: Any) -> None:
        self.files = files
        self.error = error
        self.about = about
        self.asked: list[tuple[str, str, str | None]] = []

    def fetch(self, entry: Entry, source: Source, known: Locked | None, into: Path) -> Locked:
        """See :class:`lfk.engine.models.base.HubSupplier`."""
        self.asked.append((entry.name, source.at, known.revision if known else None))
        if self.error is not None:
            # Something has arrived before it failed.
            lay(into, dict(list(self.files.items())[:1]))
            raise self.error
        lay(into, self.files)
        return locked(self.files, source.at, source.form, **self.about)
