from __future__ import annotations

import pytest

from lfk.core.media_types import MEDIA_TYPES, content_type, is_media


@pytest.mark.parametrize("name", ["a.wav", "A.WAV", "lecture.one.Mp4", "ünï 1%+#?.flac", "-lfkn0t1m3.mp3"])
def test_recordings_are_told_by_suffix_without_case(name: str) -> None:
    assert is_media(name)


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt", "wav", ".wav", ".hidden.wav", "._x.mp3", ".x.wav.Ab12Cd",
        "x.wav.part", "x.wav~", "x.mp4.tmp", "x.mp3.crdownload", "x.wav.", "done.txt", "",
    ],
)  # fmt: skip
def test_hidden_temporary_and_other_names_are_no_recordings(name: str) -> None:
    assert not is_media(name)


def test_types_are_media_types_of_lower_case_suffixes() -> None:
    assert content_type("x.MP4") == "video/mp4"
    assert content_type("x.txt") is None
    for suffix, kind in MEDIA_TYPES.items():
        assert suffix == suffix.lower()
        assert kind.split("/")[0] in {"audio", "video", "application"}
