"""A page over a store and broker in memory, asked without any network: what the tests of its rules share."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from lfk.brokers.codec import JsonCodec
from lfk.brokers.memory import MemoryBroker
from lfk.core.addressing import resolve
from lfk.core.errors import FailureMissing
from lfk.core.manifest import AudioVersion, Rendering, StoredResult
from lfk.core.transcript import Segment, Transcript, Turn, Word
from lfk.roles.backlog import Outlook
from lfk.roles.batches import Batches
from lfk.roles.catalogue import Catalogue
from lfk.roles.deposit import Depositor
from lfk.roles.failures import Failures
from lfk.roles.pulse import PulseTaker
from lfk.roles.results import Results
from lfk.roles.rolling import RollingRecorder
from lfk.roles.sender import ReferenceSender
from lfk.roles.speaker_names import NameRecords
from lfk.roles.status import Status
from lfk.stores.memory import MemoryStore
from lfk.web.app import make_app
from lfk.web.events import WebEvent
from lfk.web.site import Site
from lfk.web.threads import Threads
from tests.roles.roots import ROOTS

TOKEN = "a token of a good length"
HOST = "127.0.0.1:8080"
KEY = "diarisation/tiny/week 1/talk <1>.wav"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the refusal."""
        return str(self.json["error"]["code"])


@dataclass
class Visit:
    """Asks the application as a server would."""

    app: ASGIApp
    store: MemoryStore
    broker: MemoryBroker
    failures: Failures
    retried: list[str] = field(default_factory=list)
    events: list[WebEvent] = field(default_factory=list)

    def __call__(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Answer:
        given = {"host": HOST, **(headers or {})}
        if body and "content-length" not in given:
            given["content-length"] = str(len(body))
        return asyncio.run(self._ask(method, path, body, given, query))

    def bearing(self, method: str, path: str, body: bytes = b"", query: str = "", **headers: str) -> Answer:
        """With the token itself."""
        return self(method, path, body, {"authorization": f"Bearer {TOKEN}", **headers}, query)

    async def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str], query: str) -> Answer:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8"),
            "query_string": query.encode("ascii"),
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "server": ("127.0.0.1", 8080),
            "client": ("127.0.0.1", 5000),
            "scheme": "http",
            "root_path": "",
        }
        incoming = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Any] = []
        over = asyncio.Event()

        async def receive() -> Any:
            if incoming:
                return incoming.pop()
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        over.set()
        start = sent[0]
        told = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], told, b"".join(part.get("body", b"") for part in sent[1:]))


@dataclass(frozen=True)
class Memory:
    """A site, and what it stands on."""

    site: Site
    store: MemoryStore
    broker: MemoryBroker
    failures: Failures
    retried: list[str]
    events: list[WebEvent]


@contextmanager
def visiting(token: str = TOKEN, max_upload: int = 10_000) -> Iterator[Visit]:
    """A page over such a site, to be asked."""
    threads = Threads(2, 2)
    with site_in_memory(token, max_upload) as memory:
        app = make_app(memory.site, threads, threading.Event())
        yield Visit(app, memory.store, memory.broker, memory.failures, memory.retried, memory.events)
    threads.close()


@contextmanager
def site_in_memory(token: str = TOKEN, max_upload: int = 10_000, room: int = 1 << 30) -> Iterator[Memory]:
    """A site with one transcript of two speakers; ``room``: bytes that may come in at a time."""
    with tempfile.TemporaryDirectory(prefix="lfk-site-") as scratch:
        yield from _site(token, max_upload, Path(scratch), room)


def _site(token: str, max_upload: int, scratch: Path, room: int) -> Iterator[Memory]:
    store, broker = MemoryStore(clock=lambda: 1_700_000_000.0), MemoryBroker()
    broker.ensure_topics([])
    failures, retried = Failures(store, ROOTS.records), []
    events: list[WebEvent] = []

    @contextmanager
    def sender() -> Iterator[ReferenceSender]:
        yield ReferenceSender(broker.publisher(), JsonCodec(), "lfk.audio", "lfk/web")

    def retry(event: str) -> None:
        if event not in failures.events():
            raise FailureMissing(f"no failure is recorded under {event}")
        retried.append(event)

    pulse = PulseTaker(lambda: (Status({"lfk.audio": 3}, (), 0), Outlook()))
    site = Site(
        store=store,
        roots=ROOTS,
        catalogue=Catalogue(store, ROOTS, clock=iter(range(10**9)).__next__),
        names=NameRecords(store, ROOTS.records),
        depositor=Depositor(store, ROOTS, "", sender, RollingRecorder(Batches(store, ROOTS.records), ROOTS, "web", {})),
        pulse=pulse,
        retry=retry,
        discard=failures.forget,
        hosts=("transcripts.example",),
        token=token,
        max_upload=max_upload,
        scratch=scratch,
        room=room,
        link_seconds=60,
        report=events.append,
    )
    write_transcript(store)
    try:
        yield Memory(site, store, broker, failures, retried, events)
    finally:
        pulse.close()


def write_transcript(store: MemoryStore, key: str = KEY) -> None:
    """Audio of a thousand bytes, and what a hub would have written of it."""
    audio = ROOTS.audio.join(key)
    info = store.put(audio, bytes(range(250)) * 4, content_type="audio/wav")
    words = (Word("Hello", 0.0, 0.5, speaker="SPEAKER_00"), Word("<you>", 1.0, 1.5, speaker="SPEAKER_01"))
    transcript = Transcript(
        "en",
        2.0,
        (Segment(0.0, 1.5, "Hello <you>", words),),
        (Turn(0.0, 0.6, "SPEAKER_00"), Turn(0.9, 1.6, "SPEAKER_01")),
    )
    version = AudioVersion(info.etag, info.size, "0" * 64, info.modified)
    rendering = Rendering(("txt", "srt", "json"), timestamps=True, pause=0.5)
    result = StoredResult("e" * 32, "job", transcript, {"engine": "test"})
    Results(store, ROOTS).publish(key, resolve(str(audio), None, ROOTS), version, result, rendering)
