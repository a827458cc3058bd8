"""Who uploads, as kept with each object."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfk.roles.source import source_identity


@pytest.mark.parametrize("name", ["studio 2", "Müller", "tür\udce4", "a\nb"])
def test_a_name_is_ascii_whatever_it_holds(name: str) -> None:
    told = source_identity(name, "host", Path("/srv/rec"))
    assert told.isascii() and told.isprintable()
    assert told != source_identity(name + "x", "host", Path("/srv/rec"))


def test_without_a_name_it_is_machine_and_folder_and_tells_no_path() -> None:
    told = source_identity("", "host", Path("/srv/rec"))
    assert told.startswith("host:") and "srv" not in told
    assert told != source_identity("", "host", Path("/srv/rec2"))
