"""Write sizes and hashes of the aligner that travels with lfk into the models manifest: ``python -m training.pin``.

To be run whenever models/aligner-en has changed; lfk refuses weights that are not those of its manifest.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_MANIFEST = _ROOT / "models" / "manifest.json"
#: What describes the weights is no part of them.
_NOT_WEIGHTS = ".md"
_PIN = re.compile(r'\{\s+"size": (\d+)(?:,\s+"sha256": "(\w+)")?\s+\}')


def main() -> None:
    """Rewrite the manifest if it is behind."""
    before = _MANIFEST.read_text(encoding="utf-8")
    manifest = json.loads(before)
    for model in manifest["models"].values():
        for source in model["sources"]:
            if source["kind"] == "shipped":
                source["files"] = _pins(_ROOT / source["at"])
    after = _render(manifest)
    if after != before:
        _MANIFEST.write_text(after, encoding="utf-8")
    print(f"{_MANIFEST.relative_to(_ROOT)}: {'as it was' if after == before else 'brought up to date'}")


def _pins(folder: Path) -> dict[str, dict[str, Any]]:
    files = (file for file in sorted(folder.iterdir()) if file.is_file() and file.suffix != _NOT_WEIGHTS)
    return {
        file.name: {"size": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in files
    }


def _render(manifest: dict[str, Any]) -> str:
    """One pin a line, so that a change shows as a line."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    return _PIN.sub(_one_line, text) + "\n"


def _one_line(match: re.Match[str]) -> str:
    size, sha256 = match.groups()
    return f'{{"size": {size}, "sha256": "{sha256}"}}' if sha256 else f'{{"size": {size}}}'


if __name__ == "__main__":
    main()
