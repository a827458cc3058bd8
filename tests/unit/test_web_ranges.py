"""Parts of recordings: which bytes are meant, and what is answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lfk.web.ranges import Unsatisfiable, parse_range
from tests.roles.roots import ROOTS
from tests.unit.web_site import KEY, Visit, visiting

DATA = bytes(range(250)) * 4


@pytest.fixture(scope="module")
def visit() -> Iterator[Visit]:
    with visiting() as visit:
        yield visit


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=990-", (990, 1000)),
        ("bytes=990-5000", (990, 1000)),
        ("bytes=-10", (990, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("Bytes = 1 - 2", (1, 3)),
        ("bytes=0-1,5-6", None),
        ("bytes=5-1", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=\u0661-\u0662", None),
        (f"bytes=0-{'9' * 30}", None),
        ("", None),
    ],
)
def test_ranges(text: str, meant: tuple[int, int] | None) -> None:
    assert parse_range(text, 1000) == meant


@pytest.mark.parametrize(
    ("text", "size"), [("bytes=1000-", 1000), ("bytes=2000-3000", 1000), ("bytes=-0", 1000), ("bytes=0-", 0)]
)
def test_ranges_behind_the_end(text: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(text, size)


def test_the_whole_and_parts(visit: Visit) -> None:
    whole = visit("GET", f"/audio/{KEY}")
    assert (whole.status, whole.body) == (200, DATA)
    assert (whole.headers["accept-ranges"], whole.headers["content-type"]) == ("bytes", "audio/wav")
    assert "sandbox" in whole.headers["content-security-policy"]
    part = visit("GET", f"/audio/{KEY}", headers={"range": "bytes=100-299"})
    assert (part.status, part.body) == (206, DATA[100:300])
    assert part.headers["content-range"] == "bytes 100-299/1000"
    assert part.headers["content-length"] == "200"
    head = visit("HEAD", f"/audio/{KEY}", headers={"range": "bytes=-1"})
    assert (head.status, head.body, head.headers["content-length"]) == (206, b"", "1")
    none = visit("GET", f"/audio/{KEY}", headers={"range": "bytes=1000-"})
    assert (none.status, none.headers["content-range"]) == (416, "bytes */1000")


def test_parts_of_another_version_are_not_mixed(visit: Visit) -> None:
    etag = visit("HEAD", f"/audio/{KEY}").headers["etag"]
    assert visit("GET", f"/audio/{KEY}", headers={"if-none-match": etag}).status == 304
    same = visit("GET", f"/audio/{KEY}", headers={"range": "bytes=0-9", "if-range": etag})
    assert same.status == 206
    other = visit("GET", f"/audio/{KEY}", headers={"range": "bytes=0-9", "if-range": '"other"'})
    assert (other.status, len(other.body)) == (200, 1000)


def test_only_audio_of_transcripts_is_served(visit: Visit) -> None:
    visit.store.put(ROOTS.audio.join("simple/tiny/alone.wav"), b"RIFF", content_type="audio/wav")
    for key in ("simple/tiny/alone.wav", "../.lfk/owners/x", "..", "", "a\0b", "x/../../y"):
        assert visit("GET", f"/audio/{key}").status in (400, 404)
        assert visit("GET", f"/t/{key}").status in (400, 404)
        assert visit("GET", f"/files/{key}").status in (400, 404)
