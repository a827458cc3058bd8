"""Every registered format against its expected files; a new format is asked for its own the day it appears."""

from __future__ import annotations

import pytest

from lfk.core.formats import MANIFEST, formats
from tests.golden.cases import CASES, LONG
from tests.golden.expected import HERE, digests, path, rendered


@pytest.mark.parametrize("name", sorted(formats()))
@pytest.mark.parametrize("case", sorted(CASES))
def test_rendering_is_as_expected(case: str, name: str) -> None:
    expected = path(case, name)
    assert expected.exists(), "write it with python -m tests.golden.expected and read it"
    assert rendered(CASES[case](), name).decode() == expected.read_bytes().decode()


@pytest.mark.parametrize("case", sorted(LONG))
def test_long_rendering_is_as_expected(case: str) -> None:
    assert digests(LONG[case]()) == path(case, "sha256").read_text("utf-8")


def test_no_expected_file_is_left_over() -> None:
    wanted = {path(case, name) for case in CASES for name in formats()} | {path(case, "sha256") for case in LONG}
    assert set(HERE.glob("*/expected.*")) == wanted


@pytest.mark.parametrize("name", sorted(set(formats()) - {MANIFEST}))
def test_only_the_manifest_depends_on_the_manifest(name: str) -> None:
    page = CASES["diarisation"]()
    other = type(page)(page.transcript, page.approach, page.title, page.timestamps, {"event_id": "another"})
    assert formats()[name].render(page) == formats()[name].render(other)
