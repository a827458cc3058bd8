from __future__ import annotations

import pytest

from lfk.core.patterns import Selection


@pytest.mark.parametrize(
    ("include", "exclude", "relative", "wanted"),
    [
        ((), (), "a/x.wav", True),
        (("*.wav",), (), "a/x.wav", True),
        (("*.wav",), (), "a/x.mp3", False),
        (("a/*.wav",), (), "a/x.wav", True),
        (("a/*.wav",), (), "b/x.wav", False),
        (("a/",), (), "a/b/x.wav", True),
        (("a",), (), "b/a/x.wav", True),
        ((), ("drafts",), "a/drafts/x.wav", False),
        ((), ("drafts",), "a/drafts2/x.wav", True),
        ((), ("a/drafts",), "a/drafts/b/x.wav", False),
        ((), ("a/drafts",), "b/a/drafts/x.wav", True),
        (("*.wav",), ("x.*",), "x.wav", False),
        (("[ab].wav",), (), "a.wav", True),
    ],
)
def test_selection(include: tuple[str, ...], exclude: tuple[str, ...], relative: str, wanted: bool) -> None:
    assert Selection(include, exclude).wants(relative) is wanted
