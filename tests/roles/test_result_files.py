"""Results in a store: renderings go side by side, and the manifest only when all of them are there."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest

from lfk.core.addressing import resolve
from lfk.core.errors import ObjectMissing, StoreUnreachable
from lfk.core.location import Location
from lfk.core.manifest import AudioVersion, Rendering, StoredResult
from lfk.core.transcript import Segment, Transcript
from lfk.roles.results import Published, Results
from lfk.stores.base import Condition, ObjectInfo
from lfk.stores.memory import MemoryStore
from tests.roles.roots import ROOTS

FORMATS = ("txt", "srt", "vtt", "html", "json")
KEY = "simple/tiny/x.wav"


class Gate(MemoryStore):
    """Lets the writes of renderings through only all together; one of them may fail."""

    def __init__(self, fails: str = "nothing") -> None:
        super().__init__()
        self._together = threading.Barrier(len(FORMATS) - 1)
        self._fails = fails
        self.written: list[str] = []

    def put(
        self,
        location: Location,
        data: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        condition: Condition = None,
    ) -> ObjectInfo:
        suffix = location.key.rpartition(".")[2]
        if suffix != "json":
            self._together.wait(10.0)
        if suffix == self._fails:
            raise StoreUnreachable("no answer")
        info = super().put(location, data, content_type=content_type, metadata=metadata, condition=condition)
        self.written.append(suffix)
        return info


def publish(store: MemoryStore) -> Published:
    store.ensure(ROOTS.transcripts)
    address = resolve("s3://bucket/audio/simple/tiny/x.wav", None, ROOTS)
    version = AudioVersion("etag", 1, "0" * 64, 1.0)
    result = StoredResult("0" * 32, "1" * 64, Transcript("en", 1.0, (Segment(0.0, 1.0, "kept"),)), {}, {}, ())
    return Results(store, ROOTS).publish(KEY, address, version, result, Rendering(FORMATS, True, 0.5))


def test_renderings_are_written_side_by_side_and_the_manifest_last() -> None:
    store = Gate()
    published = publish(store)
    assert sorted(store.written[:-1]) == sorted(set(FORMATS) - {"json"})
    assert store.written[-1] == "json"
    assert list(published.manifest.files) == [name for name in FORMATS if name != "json"]
    for entry in published.manifest.files.values():
        assert store.stat(ROOTS.transcripts.join(entry.location.rpartition("transcripts/")[2])).size == entry.size


@pytest.mark.parametrize("fails", ["txt", "html"])
def test_no_manifest_where_a_rendering_is_missing(fails: str) -> None:
    store = Gate(fails)
    with pytest.raises(StoreUnreachable):
        publish(store)
    with pytest.raises(ObjectMissing):
        store.stat(ROOTS.transcripts.join(f"{KEY}.json"))
