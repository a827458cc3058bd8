"""One file taken in: free names, races for them, and a broker that does not confirm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lfk.core.errors import AudioForgotten, BrokerUnreachable, ObjectMissing, SourceConflict
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.core.tombstone import Tombstone
from lfk.roles.batches import Batches
from lfk.roles.deposit import Depositor
from lfk.roles.forgotten import Forgotten
from lfk.roles.rolling import RollingRecorder
from lfk.roles.tombstones import Tombstones
from lfk.stores.base import SOURCE
from lfk.stores.memory import MemoryStore
from tests.roles.roots import ROOTS

SHA256_OF_ONE = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"


class Sender:
    """Confirms as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[tuple[Location, AudioReference]] = []

    def send(self, audio: Location, reference: AudioReference, confirmed: Callable[[Exception | None], None]) -> None:
        self.sent.append((audio, reference))
        confirmed(self.error)

    @contextmanager
    def opened(self) -> Iterator[Sender]:
        yield self


def take(store: MemoryStore, sender: Sender, path: Path, content: bytes, prefix: str = "") -> tuple[str, bool]:
    path.write_bytes(content)
    recorder = RollingRecorder(Batches(store, ROOTS.records), ROOTS, "web", {})
    depositor = Depositor(store, ROOTS, prefix, sender.opened, recorder)  # type: ignore[arg-type]
    done = depositor.take(path, depositor.check("x.wav", "simple", "tiny", {}), lambda: False)
    return done.key, done.known


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording.wav"


def test_what_others_brought_is_left_alone(path: Path) -> None:
    store, sender = MemoryStore(), Sender()
    store.put(ROOTS.audio.join("simple/tiny/x.wav"), b"by hand", content_type="audio/wav")
    store.put(ROOTS.audio.join("simple/tiny/x-2.wav"), b"s", content_type="audio/wav", metadata={SOURCE: "host:/dir"})
    assert take(store, sender, path, b"one") == ("simple/tiny/x-3.wav", False)
    assert take(store, sender, path, b"one") == ("simple/tiny/x-3.wav", True)
    assert [audio.name for audio, _reference in sender.sent] == ["x-3.wav", "x-3.wav"]
    assert sender.sent[0][1].sha256 == SHA256_OF_ONE
    assert take(store, sender, path, b"one", "/desk/") == ("simple/tiny/desk/x.wav", False)


def test_a_name_that_somebody_takes_at_the_same_moment(path: Path) -> None:
    taken = False

    def race(method: str, location: Location) -> None:
        nonlocal taken
        if method == "upload" and not taken:
            taken = True
            store.put(location, b"other", content_type="audio/wav")

    store = MemoryStore(on_call=race)
    assert take(store, Sender(), path, b"one") == ("simple/tiny/x-2.wav", False)
    assert store.read(ROOTS.audio.join("simple/tiny/x.wav"), limit=10)[0] == b"other"


def test_names_come_to_an_end(path: Path) -> None:
    store = MemoryStore()
    for name in ("x.wav", *(f"x-{number}.wav" for number in range(2, 101))):
        store.put(ROOTS.audio.join(f"simple/tiny/{name}"), b"other", content_type="audio/wav")
    with pytest.raises(SourceConflict):
        take(store, Sender(), path, b"one")


def test_a_reference_that_is_not_confirmed_is_an_error_and_the_next_try_sends_it(path: Path) -> None:
    store = MemoryStore()
    with pytest.raises(BrokerUnreachable):
        take(store, Sender(BrokerUnreachable("no broker answers")), path, b"one")
    again = Sender()
    assert take(store, again, path, b"one") == ("simple/tiny/x.wav", True)
    assert len(again.sent) == 1


def test_what_was_forgotten_is_not_stored_again(path: Path) -> None:
    store, sender = MemoryStore(), Sender()
    audio = ROOTS.audio.join("simple/tiny/x.wav")
    Forgotten(store, ROOTS.records).keep(audio, [SHA256_OF_ONE])
    with pytest.raises(AudioForgotten):
        take(store, sender, path, b"one")
    assert not sender.sent
    with pytest.raises(ObjectMissing):
        store.stat(audio)
    assert take(store, sender, path, b"two") == ("simple/tiny/x.wav", False)


def test_audio_that_was_deleted_on_request_is_not_stored_again(path: Path) -> None:
    store, sender = MemoryStore(), Sender()
    audio = ROOTS.audio.join("simple/tiny/x.wav")
    grave = Tombstone(str(audio), SHA256_OF_ONE, 3, "etag", 1.0, "job", "s3://bucket/transcripts/x.json", 1)
    Tombstones(store, ROOTS.records).put(audio, grave)
    assert take(store, sender, path, b"one") == ("simple/tiny/x.wav", True)
    assert sender.sent[0][1].etag == "etag"
    assert take(store, sender, path, b"two")[1] is False
