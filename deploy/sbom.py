"""Prints what a lock file pins as a CycloneDX bill of materials: python deploy/sbom.py requirements/thin.txt

For the wheel, which itself pins nothing. Images carry one of their own, made from what is in them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from release import ROOT, read_version

_PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def document(lock: Path, version: str) -> dict[str, Any]:
    """CycloneDX 1.6: lfk, and each pin with every hash that its files may have."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "lfk", "version": version, "bom-ref": "lfk"}},
        "components": list(components(lock.read_text(encoding="utf-8"))),
    }


def components(text: str) -> Iterator[dict[str, Any]]:
    """One for each pin; a package that is pinned once for each range of Pythons appears as often."""
    for entry in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE):
        pin = _PIN.match(entry)
        if pin is None:
            continue
        url = f"pkg:pypi/{pin['name']}@{pin['version']}"
        # Each file of a release has a hash of its own, so they are not properties of one component.
        files = [{"type": "distribution", "url": url, "hashes": [_sha256(one)]} for one in _HASH.findall(entry)]
        made = {
            "type": "library",
            "bom-ref": url,
            "name": pin["name"],
            "version": pin["version"],
            "purl": url,
            "externalReferences": files,
        }
        if pin["marker"]:
            made["properties"] = [{"name": "lfk:marker", "value": pin["marker"].strip()}]
        yield made


def _sha256(content: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": content}


if __name__ == "__main__":
    print(json.dumps(document(Path(sys.argv[1]), read_version(ROOT)), indent=1))
