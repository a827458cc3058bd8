"""The page's server on a real socket: slow clients, many clients, broken uploads, and its end."""

from __future__ import annotations

import http.client
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from lfk.core.errors import BrokerUnreachable, LfkError
from lfk.core.location import Location
from lfk.roles.backlog import Outlook
from lfk.roles.pulse import PulseTaker
from lfk.roles.status import Status
from lfk.web import server as serving
from lfk.web.server import WebServer
from tests.roles.roots import ROOTS
from tests.unit.web_site import KEY, TOKEN, Memory, site_in_memory
from tests.waiting import wait_until

PUT = "PUT /api/recordings?name=slow.wav&approach=simple&model=tiny HTTP/1.1\r\n"


@contextmanager
def served(memory: Memory) -> Iterator[tuple[str, int]]:
    server = WebServer(memory.site, "127.0.0.1:0")
    server.start()
    try:
        host, _colon, port = server.address.rpartition(":")
        yield host, int(port)
    finally:
        server.close()


@pytest.fixture
def memory() -> Iterator[Memory]:
    with site_in_memory(max_upload=64 << 20) as memory:
        yield memory


def ask(at: tuple[str, int], path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*at, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_slow_heads_are_let_go_and_hold_nobody_up(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_HEAD_SECONDS", 0.5)
    with served(memory) as at:
        slow = [socket.create_connection(at, 20) for _ in range(20)]
        slow[0].sendall(f"GET /healthz HTTP/1.1\r\nHost: {at[0]}\r\n\r\n".encode())
        assert received(slow[0], b"ok\n").startswith(
            b"HTTP/1.1 200"
        )  # a first request that was quick excuses no slow second one
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert ask(at, "/healthz") == (200, b"ok\n")
        assert [connection.recv(1) for connection in slow] == [b""] * len(slow)
        for connection in slow:
            connection.close()


def test_bodies_that_nobody_waits_for_are_let_go(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes now and then stop the keep-alive's clock; some hundred such connections would shut everybody out."""
    monkeypatch.setattr(serving, "_HEAD_SECONDS", 0.5)
    with served(memory) as at, socket.create_connection(at, 20) as slow:
        slow.sendall(f"GET /healthz HTTP/1.1\r\nHost: {at[0]}\r\nContent-Length: 10000\r\n\r\n".encode())
        assert received(slow, b"ok\n").startswith(b"HTTP/1.1 200")
        begun = time.monotonic()
        with pytest.raises(OSError):
            # Whichever byte is the one that nobody takes any more.
            while time.monotonic() - begun < 10.0:
                slow.sendall(b"x")
                time.sleep(0.05)
        # One that is sent in time excuses nothing and costs nothing.
        with socket.create_connection(at, 20) as quick:
            for _ in range(2):
                quick.sendall(f"GET /healthz HTTP/1.1\r\nHost: {at[0]}\r\nContent-Length: 3\r\n\r\n".encode())
                assert received(quick, b"ok\n").startswith(b"HTTP/1.1 200")
                quick.sendall(b"xyz")


def test_slow_readers_hold_no_threads(memory: Memory) -> None:
    memory.store.put(ROOTS.audio.join(KEY), bytes(30 << 20), content_type="audio/wav")
    with served(memory) as at:
        readers = []
        for _ in range(30):  # more than there are threads
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(at)
            path = "/audio/diarisation/tiny/week%201/talk%20%3C1%3E.wav"
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: {at[0]}\r\n\r\n".encode())
            assert received(reader, b"HTTP/1.1 200") == b"HTTP/1.1 200"
            readers.append(reader)
        assert ask(at, "/api/recordings")[0] == 200
        for reader in readers:
            reader.close()


def test_a_stuck_store_costs_a_bounded_number_of_threads(memory: Memory) -> None:
    stuck, before = threading.Event(), threading.active_count()

    def wait(method: str, _location: Location) -> None:
        if method == "read":
            stuck.wait(20)

    memory.store._on_call = wait
    with served(memory) as at:
        asking = [socket.create_connection(at, 30) for _ in range(120)]
        for connection in asking:
            connection.sendall(f"GET /t/x.wav HTTP/1.1\r\nHost: {at[0]}\r\nConnection: close\r\n\r\n".encode())
        # Those for whom there is no place are told so at once; the page itself and its health go on.
        assert received(asking[-1], b"HTTP/1.1 503")
        assert ask(at, "/healthz")[0] == 200
        assert threading.active_count() - before < 30
        stuck.set()
        assert received(asking[0], b"HTTP/1.1 404")
        for connection in asking:
            connection.close()


def test_how_the_page_is_follows_store_and_broker(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_BEAT_SECONDS", 0)
    away: list[LfkError] = [BrokerUnreachable("no broker answers")]

    def look() -> tuple[Status, Outlook]:
        if away:
            raise away[0]
        return Status({}, (), 0), Outlook()

    with closing(PulseTaker(look, seconds=0.05)) as pulse:
        server = WebServer(replace(memory.site, pulse=pulse), "127.0.0.1:0")
        server.start()
        try:
            wait_until(lambda: server.health.outage is away[0])
            assert (server.health.alive, server.health.ready, server.calls) == (True, False, 0)
            away.clear()
            wait_until(lambda: server.health.ready)
        finally:
            server.close()
        assert server.health.to_dict()["status"] == "stopping"


def test_an_upload_that_breaks_off_leaves_nothing(memory: Memory) -> None:
    scratch = memory.site.scratch
    head = f"{PUT}Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 5000000\r\n\r\n".encode()
    with served(memory) as at:
        connection = socket.create_connection(at, 20)
        connection.sendall(head + bytes(2_000_000))
        wait_until(lambda: any(scratch.iterdir()))
        connection.close()
        wait_until(lambda: not any(scratch.iterdir()))
        # Nor does one that is under way when the page is stopped.
        connection = socket.create_connection(at, 20)
        connection.sendall(head + bytes(2_000_000))
        wait_until(lambda: any(scratch.iterdir()))
    assert not any(scratch.iterdir())
    connection.close()
    assert not any("slow" in location.key for location in memory.store._objects)


def test_more_uploads_than_there_is_room_for_are_told_so(memory: Memory) -> None:
    head = f"{PUT}Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 5000000\r\n\r\n".encode()
    with served(memory) as at:
        sending = [socket.create_connection(at, 20) for _ in range(5)]
        for connection in sending:
            connection.sendall(head + b"RIFF")
        answers = [connection for connection in sending if is_answered(connection)]
        assert len(answers) == 1
        assert received(answers[0], b"HTTP/1.1 503")
        for connection in sending:
            connection.close()


def test_bytes_that_come_in_at_a_time_have_room_or_are_refused_before_they_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def put(size: int) -> bytes:
        told = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {size}\r\n\r\n"
        return f"{PUT}{told}".encode()

    with site_in_memory(max_upload=6_000_000, room=10_000_000) as memory, served(memory) as at:

        def status(size: int) -> bytes:
            """As it is told while not one byte of the body was sent."""
            with socket.create_connection(at, 20) as asking:
                asking.sendall(put(size))
                return received(asking, b"\r\n").split()[1]

        with socket.create_connection(at, 20) as first:
            first.sendall(put(6_000_000) + b"RIFF")
            wait_until(lambda: any(memory.site.scratch.iterdir()))
            assert status(5_000_000) == b"503", "together they would be too much"
            assert status(6_000_001) == b"413"
            # What the first has still to write is spoken for.
            free = shutil.disk_usage(memory.site.scratch)._replace(free=9_000_000)
            monkeypatch.setattr("shutil.disk_usage", lambda _path: free)
            assert status(4_000_000) == b"507"
        monkeypatch.undo()
        wait_until(lambda: not any(memory.site.scratch.iterdir()))
        with socket.create_connection(at, 20) as second:
            second.sendall(put(6_000_000) + bytes(6_000_000))
            assert received(second, b"\r\n").split()[1] == b"201"


def received(connection: socket.socket, end: bytes) -> bytes:
    """What comes up to ``end``, in as many pieces as it likes."""
    got = b""
    while not got.endswith(end):
        more = connection.recv(1)
        assert more, got
        got += more
    return got


def is_answered(connection: socket.socket) -> bool:
    connection.settimeout(1.0)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
