"""Notifications that are posted: what senders hear, and what happens to those who send something else."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from lfk.brokers.base import Record
from lfk.core.errors import BrokerUnreachable, UsageError
from lfk.roles.listen_events import Outcome
from lfk.stores.notifications import door, webhook
from lfk.stores.notifications.webhook import WebhookNotifications
from tests.integration.listening import Rig
from tests.integration.syncing import FakePublisher
from tests.unit.test_notifications import record
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(180)

TOKEN = "s3cret-tökén"


def event(*keys: str) -> bytes:
    records = [record(f"audio/{key}", userMetadata={}) | {"eventSource": "minio:s3"} for key in keys]
    for one in records:
        one["s3"]["bucket"]["name"] = "bucket"
    return json.dumps({"EventName": "s3:ObjectCreated:Put", "Key": "bucket/audio", "Records": records}).encode()


@contextlib.contextmanager
def listening(rig: Rig) -> Iterator[str]:
    """The address, once it takes notifications."""
    with rig.running():
        wait_until(lambda: rig.events)
        yield urlsplit(rig.source.address).netloc


@pytest.fixture
def rig() -> Rig:
    return Rig(WebhookNotifications("127.0.0.1:0", TOKEN))


def post(address: str, body: bytes, token: str | None = TOKEN, method: str = "POST", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        named["Authorization"] = f"Bearer {token}".encode().decode("latin-1")
    try:
        connection.request(method, "/", body, {"Content-Type": "application/json", **named})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def raw(address: str, data: bytes, seconds: float = 30) -> bytes:
    """What comes back for these bytes."""
    host, _colon, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while block := connection.recv(65536):
                answer += block
        return answer


class TestSenders:
    def test_hear_200_once_the_reference_is_confirmed(self, rig: Rig) -> None:
        with listening(rig) as address:
            status, text = post(address, event("a+b%2B.wav", "c.wav"))
            assert sorted(rig.sent) == ["a b+.wav", "c.wav"]
        assert (status, json.loads(text)) == (200, {"status": 200, "message": "done"})

    def test_hear_503_while_the_broker_is_away_and_200_when_it_is_back(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lfk.roles.outages._LONGEST_SECONDS", 0.05)
        with listening(rig) as address:
            rig.publisher.outcome = BrokerUnreachable("gone")
            assert post(address, event("a.wav"))[0] == 503
            assert post(address, event("a.wav"))[0] == 503
            rig.publisher.outcome = None
            wait_until(lambda: post(address, event("a.wav"))[0] == 200)
        assert rig.sent == ["a.wav"]

    def test_hear_503_where_it_takes_too_long(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        class Silent(FakePublisher):
            def send(self, record: Record, confirmed: Callable[[Exception | None], None]) -> None:
                self.records.append(record)

        monkeypatch.setattr(webhook, "_ANSWER_SECONDS", 0.3)
        monkeypatch.setattr("lfk.roles.referrals._LAST_SECONDS", 0.2)
        rig.publisher = Silent()
        with listening(rig) as address:
            assert post(address, event("a.wav"))[0] == 503

    def test_are_not_kept_waiting_for_what_is_no_audio(self, rig: Rig) -> None:
        with listening(rig) as address:
            assert post(address, event("notes.txt"))[0] == 200
            assert post(address, b'{"Records": null}')[0] == 200
            assert post(address, b'{"Event": "s3:TestEvent"}')[0] == 200
        assert rig.sent == []

    def test_may_ask_whether_it_works(self, rig: Rig) -> None:
        with listening(rig) as address:
            for method in ("GET", "HEAD"):
                assert raw(address, f"{method} /healthz HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 ")
            assert raw(address, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 ")

    def test_may_ask_before_they_send_the_body(self, rig: Rig) -> None:
        with listening(rig) as address:
            head = f"POST / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nExpect: 100-continue\r\n".encode()
            body = event("a.wav")
            answer = raw(address, head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")

    def test_a_thousand_at_once_are_all_answered(self, rig: Rig) -> None:
        statuses: Counter[int] = Counter()
        lock = threading.Lock()

        def send(number: int) -> None:
            status, _text = post(address, event(f"{number}.wav"))
            with lock:
                statuses[status] += 1

        most = 0
        with listening(rig) as address:
            threads = [threading.Thread(target=send, args=(number,)) for number in range(1000)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                most = max(most, sum(thread.name == "lfk-visit" for thread in threading.enumerate()))
                time.sleep(0.01)
        assert statuses == {200: 1000}
        assert sorted(rig.sent) == sorted(f"{number}.wav" for number in range(1000))
        assert 1 <= most <= door._VISITS


class TestAttackers:
    @pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "\xff" * 40])
    def test_without_the_token_nothing_is_read(self, rig: Rig, token: str | None) -> None:
        with listening(rig) as address:
            status, text = post(address, event("a.wav"), token)
            assert status == 401
            assert TOKEN not in text
            assert post(address, b"x" * (2 << 20), token)[0] == 401
        assert rig.sent == []

    def test_another_scheme_does_not_do(self, rig: Rig) -> None:
        with listening(rig) as address:
            assert (
                post(address, event("a.wav"), None, Authorization=f"Basic {TOKEN}".encode().decode("latin-1"))[0] == 401
            )

    def test_too_large_a_body_is_refused_unread(self, rig: Rig) -> None:
        with listening(rig) as address:
            assert post(address, b" " * ((1 << 20) + 1))[0] == 413
            assert post(address, event("a.wav") + b" " * ((1 << 20) - len(event("a.wav"))))[0] == 200

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ("", 411),
            ("Content-Length: \r\n", 411),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 411),
            ("Content-Length: -1\r\n", 400),
            ("Content-Length: five\r\n", 400),
            ("Content-Length: \u0665\r\n", 400),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
            (f"Content-Length: {'9' * 5000}\r\n", 413),
            (f"X: {'x' * 70_000}\r\n", 431),
            ("X: x\r\n" * 20_000, 431),
            ("\r\n".join(f"X{number}: x" for number in range(200)) + "\r\n", 431),
        ],
        ids=lambda value: str(value)[:30].strip(),
    )
    def test_bad_heads_are_refused(self, rig: Rig, headers: str, status: int) -> None:
        with listening(rig) as address:
            head = f"POST / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n{headers}\r\n".encode()
            assert raw(address, head + b"hello").split(b" ")[1] == str(status).encode()
            assert post(address, event("a.wav"))[0] == 200

    @pytest.mark.parametrize(
        "noise",
        [b"", b"\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"BREW / HTTP/1.1\r\n\r\n", b"x" * 200_000,
         b"POST / HTTP/9.9\r\n\r\n"],
        ids=range(7),
    )  # fmt: skip
    def test_noise_ends_by_itself(self, rig: Rig, noise: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(door, "_ARRIVAL_SECONDS", 0.5)
        with listening(rig) as address:
            answer = raw(address, noise)
            assert not answer.startswith(b"HTTP/1.1 2")
            assert post(address, event("a.wav"))[0] == 200

    @pytest.mark.parametrize(
        "body", [b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 500_000, b'{"Records": 5}'], ids=range(7)
    )
    def test_bad_json_is_refused_and_told_of(self, rig: Rig, body: bytes) -> None:
        with listening(rig) as address:
            assert post(address, body)[0] == 400
            wait_until(lambda: rig.of(Outcome.UNUSABLE))
            assert post(address, event("a.wav"))[0] == 200

    def test_a_body_that_ends_early_or_never_is_given_up(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(door, "_ARRIVAL_SECONDS", 0.5)
        head = f"POST / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\nshort".encode()
        with listening(rig) as address:
            began = time.monotonic()
            assert b" 200 " not in raw(address, head)
            assert time.monotonic() - began < 20
        assert rig.sent == []

    def test_slow_ones_make_room_for_others(self, rig: Rig) -> None:
        """A slowloris holds every place with a byte now and then."""
        with listening(rig) as address, contextlib.ExitStack() as stack:
            host, _colon, port = address.rpartition(":")
            slow = [
                stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
                for _one in range(2 * door._VISITS)
            ]
            done = threading.Event()

            def drip() -> None:
                while not done.wait(0.1):
                    for connection in slow:
                        with contextlib.suppress(OSError):
                            connection.send(b"X")

            dripping = threading.Thread(target=drip)
            dripping.start()
            try:
                began = time.monotonic()
                for number in range(5):
                    assert post(address, event(f"{number}.wav"))[0] == 200
                assert time.monotonic() - began < 60
            finally:
                done.set()
                dripping.join()
        assert len(rig.sent) == 5


class TestSettings:
    def test_without_a_token_only_this_machine_is_listened_to(self) -> None:
        for address in ("0.0.0.0:0", "[::]:0"):
            with pytest.raises(UsageError, match="anybody could"), WebhookNotifications(address, ""):
                pass
        with WebhookNotifications("127.0.0.1:0", ""), WebhookNotifications("localhost:0", ""):
            pass

    def test_without_a_token_a_page_in_a_browser_cannot_post(self) -> None:
        rig = Rig(WebhookNotifications("127.0.0.1:0", ""))
        with listening(rig) as address:
            for kind in ("text/plain", "application/x-www-form-urlencoded"):
                assert post(address, event("a.wav"), None, Content_Type=kind)[0] == 415
            assert post(address, event("a.wav"), None)[0] == 200

    @pytest.mark.parametrize(
        "address", ["", "8790", "host:", "host:port", "host:99999", "a b:1", "user@host:1", "h:1/x"]
    )
    def test_an_address_that_is_none(self, address: str) -> None:
        with pytest.raises(UsageError), WebhookNotifications(address, TOKEN):
            pass

    def test_an_address_that_is_taken(self) -> None:
        with WebhookNotifications("127.0.0.1:0", "") as first:
            port = urlsplit(first.address).port
            with pytest.raises(UsageError, match="cannot listen"), WebhookNotifications(f"127.0.0.1:{port}", ""):
                pass


def test_it_lets_go_of_everything() -> None:
    before = threading.active_count()
    rig: Any = Rig(WebhookNotifications("127.0.0.1:0", TOKEN))
    with listening(rig) as address:
        post(address, event("a.wav"))
    assert threading.active_count() == before
    with pytest.raises(OSError, match="refused"):
        post(address, event("b.wav"))
