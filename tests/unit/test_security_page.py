"""Every test that docs/security.md names is there, and every row of a threat names one."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def defined(path: str) -> frozenset[str]:
    return frozenset(re.findall(r"^\s*def (test_\w+)\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 40
    assert [f"{path}::{name}" for path, name in named if name not in defined(path)] == []


def test_every_threat_has_a_test() -> None:
    _before, _heading, threats = PAGE.partition("## Threats and tests")
    threats = threats.partition("\n## ")[0]
    rows = [row for row in threats.splitlines() if row.startswith("| ") and not row.startswith("| threat |")]
    assert len(rows) > 20
    assert [row for row in rows if not NAMED.search(row)] == []
