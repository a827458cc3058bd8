"""S3 servers that break off, lie, ignore conditions, hang or are no S3 servers at all: scripted byte for byte."""

from __future__ import annotations

import hashlib
import logging
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lfk.core.errors import (
    AccessDenied,
    AudioTooLarge,
    BucketMissing,
    ContentChanged,
    LfkError,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
    StoreUnreachable,
)
from lfk.core.location import parse_location
from lfk.stores import s3_connection, s3_lane
from lfk.stores.base import IfAbsent, IfMatch
from lfk.stores.s3 import S3Store
from lfk.stores.s3_download import BODY_ATTEMPTS
from tests.integration.scripted_server import Reply, Request, refusal, scripted

AT = parse_location("s3://bucket/audio/x.wav")
DATA = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(50_000))
ETAG = {"ETag": '"e1"', "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}
TEXT = "text/plain"
WAYS = pytest.mark.parametrize("short_way", [True, False], ids=["short", "general"])


def store_at(url: str, **options: Any) -> S3Store:
    return S3Store(endpoint_url=url, access_key="AKIDEXAMPLE", secret_key="very-secret", **options)


def is_general(request: Request) -> bool:
    """Whether botocore made it; the short way names no user agent of its own."""
    return request.headers.get("user-agent", "").startswith("Boto")


@pytest.fixture
def asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No repetitions, whose pauses would only make the test slow."""
    monkeypatch.setattr(s3_connection, "ATTEMPTS", 1)


# --- bodies that break off


def ranged(request: Request, sent: Callable[[int], int]) -> Reply:
    """Serve DATA from the asked offset on, but break off after ``sent(offset)`` bytes."""
    offset = int(request.headers.get("range", "bytes=0-")[6:].split("-")[0])
    if offset and request.headers.get("if-match") != '"e1"':
        return refusal(400, "InvalidRequest")
    body = DATA[offset:]
    span = {"Content-Range": f"bytes {offset}-{len(DATA) - 1}/{len(DATA)}"} if offset else {}
    return Reply(206 if offset else 200, body[: sent(offset)], {**ETAG, **span}, length=len(body))


def test_a_body_that_breaks_off_is_taken_up_where_it_ended(tmp_path: Path) -> None:
    moved: list[int] = []
    with scripted(lambda request: ranged(request, lambda _offset: 500_000)) as server:
        info, sha256 = store_at(server.url).download(AT, tmp_path / "x", limit=len(DATA), progress=moved.append)
    assert (tmp_path / "x").read_bytes() == DATA
    assert (info.size, info.etag, sha256) == (len(DATA), "e1", hashlib.sha256(DATA).hexdigest())
    assert sum(moved) == len(DATA)
    assert [request.headers.get("range") for request in server.requests] == [
        None, "bytes=500000-", "bytes=1000000-", "bytes=1500000-",
    ]  # fmt: skip


def test_a_body_that_never_ends_well_is_an_outage(tmp_path: Path) -> None:
    with (
        scripted(lambda request: ranged(request, lambda _offset: 10)) as server,
        pytest.raises(StoreUnreachable, match=f"broke off {BODY_ATTEMPTS} times"),
    ):
        store_at(server.url).download(AT, tmp_path / "x", limit=len(DATA))
    assert len(server.requests) == BODY_ATTEMPTS
    assert not (tmp_path / "x").exists()


def test_a_server_that_ignores_ranges_sends_everything_again(tmp_path: Path) -> None:
    lengths = iter([700_000, len(DATA)])
    with scripted(lambda _request: Reply(200, DATA[: next(lengths)], ETAG, length=len(DATA))) as server:
        _info, sha256 = store_at(server.url).download(AT, tmp_path / "x", limit=len(DATA))
    assert (tmp_path / "x").read_bytes() == DATA
    assert sha256 == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize(
    "then",
    [
        refusal(412, "PreconditionFailed"),
        refusal(416, "InvalidRange"),
        Reply(206, b"other", {"ETag": '"e2"', "Content-Range": "bytes 10-14/15"}),
    ],
    ids=["412", "416", "another ETag"],
)
def test_an_object_that_is_replaced_meanwhile_is_refused(tmp_path: Path, then: Reply) -> None:
    replies = iter([Reply(200, DATA[:10], ETAG, length=len(DATA)), then])
    with scripted(lambda _request: next(replies)) as server, pytest.raises(ContentChanged):
        store_at(server.url).download(AT, tmp_path / "x", limit=len(DATA))
    assert not (tmp_path / "x").exists()


def test_an_object_over_the_limit_is_refused_before_its_body(tmp_path: Path) -> None:
    with scripted(lambda _request: Reply(200, b"", ETAG, length=1 << 50)) as server, pytest.raises(AudioTooLarge):
        store_at(server.url).download(AT, tmp_path / "x", limit=1 << 30)
    assert len(server.requests) == 1
    assert not (tmp_path / "x").exists()


def test_a_body_of_unknown_length_is_refused(tmp_path: Path) -> None:
    reply = Reply(200, b"5\r\nhello\r\n0\r\n\r\n", {**ETAG, "Transfer-Encoding": "chunked"})
    with scripted(lambda _request: reply) as server, pytest.raises(StoreUnreachable):
        store_at(server.url).download(AT, tmp_path / "x", limit=99)


@WAYS
def test_a_small_read_that_breaks_off_is_never_taken_for_whole(short_way: bool) -> None:
    with scripted(lambda _request: Reply(200, b"hel", ETAG, length=5)) as server, pytest.raises(StoreUnreachable):
        store_at(server.url, short_way=short_way).read(AT, limit=99)


def test_a_small_read_that_broke_off_once_is_asked_for_again() -> None:
    lengths = iter([3, 5])
    with scripted(lambda _request: Reply(200, b"hello"[: next(lengths)], ETAG, length=5)) as server:
        assert store_at(server.url).read(AT, limit=99)[0] == b"hello"


# --- outages


@WAYS
@pytest.mark.parametrize("reply", [refusal(503, "SlowDown"), refusal(500, "InternalError"), Reply(silent=True)])
@pytest.mark.usefixtures("asks_once")
def test_a_server_in_trouble_is_an_outage(short_way: bool, reply: Reply, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"x")
    with scripted(lambda _request: reply) as server:
        store = store_at(server.url, short_way=short_way)
        for call in calls(store, tmp_path):
            with pytest.raises(StoreUnreachable):
                call()


@WAYS
def test_a_busy_moment_passes(short_way: bool) -> None:
    replies = iter([refusal(503, "SlowDown"), refusal(503, "SlowDown"), *[Reply(200, b"hello", ETAG)] * 3])
    with scripted(lambda _request: next(replies)) as server:
        assert store_at(server.url, short_way=short_way).read(AT, limit=9)[0] == b"hello"


@pytest.mark.usefixtures("asks_once")
def test_nobody_listens(tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"x")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    store = store_at(url)
    for call in calls(store, tmp_path):
        with pytest.raises(StoreUnreachable) as caught:
            call()
        assert caught.value.__cause__ is not None
        assert "very-secret" not in str(caught.value)


def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (s3_connection, s3_lane):
        monkeypatch.setattr(module, "READ_SECONDS", 0.2)
    with scripted(lambda _request: Reply(hang=True)) as server:
        begun = time.monotonic()
        with pytest.raises(StoreUnreachable, match="in time"):
            store_at(server.url).stat(AT)
        assert time.monotonic() - begun < 8


@WAYS
@pytest.mark.parametrize("status", [200, 404, 403, 500])
@pytest.mark.usefixtures("asks_once")
def test_something_else_than_s3(short_way: bool, status: int) -> None:
    page = Reply(status, b"<!doctype html><p>It works!", {"Content-Type": "text/html"})
    with scripted(lambda _request: page) as server:
        store = store_at(server.url, short_way=short_way)
        for call in (lambda: store.check(AT.as_prefix()), lambda: list(store.list(AT.as_prefix()))):
            with pytest.raises((StoreUnreachable, StoreError, AccessDenied)):
                call()


@WAYS
def test_a_body_never_waits_for_its_headers_to_be_confirmed(short_way: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes 40 ms on most systems: more than a nearby store needs for the whole request."""
    sent_at_once: list[socket.socket] = []
    set_option = socket.socket.setsockopt

    def note(self: socket.socket, *option: Any) -> None:
        if option == (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1):
            sent_at_once.append(self)
        set_option(self, *option)

    monkeypatch.setattr(socket.socket, "setsockopt", note)
    with scripted(lambda _request: Reply(200, headers=ETAG)) as server:
        store_at(server.url, short_way=short_way).put(AT, b"hello", content_type="text/plain")
        assert is_general(server.requests[-1]) is not short_way
    assert len(sent_at_once) == len(server.requests)


def calls(store: S3Store, folder: Path) -> list[Callable[[], object]]:
    return [
        lambda: store.check(AT.as_prefix()),
        lambda: store.stat(AT),
        lambda: store.read(AT, limit=9),
        lambda: list(store.list(AT.as_prefix())),
        lambda: store.download(AT, folder / "down", limit=9),
        lambda: store.put(AT, b"x", content_type=TEXT),
        lambda: store.put(AT, b"x", content_type=TEXT, condition=IfAbsent()),
        lambda: store.upload(folder / "up", AT, content_type=TEXT),
        lambda: store.delete(AT),
    ]


# --- conditions


class Bucket:
    """A server of one bucket that does with conditions what it is told to."""

    def __init__(self, conditions: str) -> None:
        self.objects: dict[str, bytes] = {}
        self.seen: list[str] = []
        self._conditions = conditions

    def __call__(self, request: Request) -> Reply:
        body = self.objects.get(request.path)
        headers = {} if body is None else {"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'}
        if request.method in ("GET", "HEAD"):
            return Reply(200, body, headers) if body is not None else refusal(404, "NoSuchKey")
        condition = request.headers.get("if-none-match") or request.headers.get("if-match")
        if condition:
            self.seen.append(f"{request.method} {condition}")
            if self._conditions == "refused":
                return refusal(501, "NotImplemented")
            fails = body is not None if condition == "*" else condition != headers.get("ETag")
            if self._conditions == "honoured" and fails:
                return refusal(412, "PreconditionFailed")
        if request.method == "DELETE":
            self.objects.pop(request.path, None)
            return Reply(204)
        self.objects[request.path] = request.body
        return Reply(200, headers={"ETag": f'"{hashlib.md5(request.body, usedforsecurity=False).hexdigest()}"'})


@WAYS
@pytest.mark.parametrize("conditions", ["honoured", "ignored", "refused"])
def test_conditions_hold_whatever_the_server_makes_of_them(
    short_way: bool, conditions: str, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = Bucket(conditions)
    with scripted(bucket) as server, caplog.at_level(logging.WARNING, "lfk"):
        store = store_at(server.url, short_way=short_way)
        first = store.put(AT, b"first", content_type=TEXT, condition=IfAbsent())
        for condition in (IfAbsent(), IfMatch("0" * 32)):
            with pytest.raises(PreconditionFailed):
                store.put(AT, b"second", content_type=TEXT, condition=condition)
        assert store.read(AT, limit=9)[0] == b"first"
        second = store.put(AT, b"second", content_type=TEXT, condition=IfMatch(first.etag))
        with pytest.raises(PreconditionFailed):
            store.delete(AT, condition=IfMatch(first.etag))
        store.delete(AT, condition=IfMatch(second.etag))
        with pytest.raises(ObjectMissing):
            store.stat(AT)
    warnings = [record.getMessage() for record in caplog.records if "conditional writes" in record.getMessage()]
    assert len(warnings) == (conditions != "honoured")


def test_a_store_that_overwrites_the_first_time_is_looked_at_first() -> None:
    bucket = Bucket("ignored")
    bucket.objects["/bucket/audio/x.wav"] = b"precious"
    with scripted(bucket) as server:
        with pytest.raises(PreconditionFailed):
            store_at(server.url).put(AT, b"mine", content_type=TEXT, condition=IfAbsent())
        assert bucket.objects["/bucket/audio/x.wav"] == b"precious"


def test_conditional_writes_can_be_switched_off() -> None:
    bucket = Bucket("refused")
    with scripted(bucket) as server:
        store = store_at(server.url, conditional="off")
        store.put(AT, b"first", content_type=TEXT, condition=IfAbsent())
        with pytest.raises(PreconditionFailed):
            store.put(AT, b"second", content_type=TEXT, condition=IfAbsent())
    assert bucket.seen == []


def test_conditional_writes_that_are_relied_on_are_never_left_out() -> None:
    bucket = Bucket("refused")
    bucket.objects["/bucket/audio/x.wav"] = b"precious"
    with scripted(bucket) as server, pytest.raises(LfkError):
        store_at(server.url, conditional="on").put(AT, b"mine", content_type=TEXT, condition=IfAbsent())
    assert bucket.objects["/bucket/audio/x.wav"] == b"precious"


# --- the short way


def test_the_short_way_closes_where_it_is_refused() -> None:
    def script(request: Request) -> Reply:
        return Reply(200, b"hello", ETAG) if is_general(request) else refusal(403, "AccessDenied")

    with scripted(script) as server:
        store = store_at(server.url)
        for _call in range(5):
            assert store.read(AT, limit=9)[0] == b"hello"
    assert [is_general(request) for request in server.requests] == [False, True] * 3 + [True] * 2


def test_no_credentials_means_no_short_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with scripted(lambda _request: Reply(200, b"hello", ETAG)) as server:
        with pytest.raises(AccessDenied, match="credentials") as caught:
            S3Store(endpoint_url=server.url).read(AT, limit=9)
        assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    assert server.requests == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@WAYS
def test_only_trusted_servers_are_spoken_to(short_way: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    asked = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=store"]
    asked += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *asked], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with scripted(lambda _request: Reply(200, b"hello", ETAG), tls) as server:
        with pytest.raises(StoreUnreachable) as caught:
            store_at(server.url, short_way=short_way).read(AT, limit=9)
        assert "AWS_CA_BUNDLE" in caught.value.hint
        assert server.requests == []
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        assert store_at(server.url, short_way=short_way).read(AT, limit=9)[0] == b"hello"
        assert [is_general(request) for request in server.requests] == [not short_way]


@WAYS
def test_temporary_credentials_carry_their_token(short_way: bool) -> None:
    with scripted(lambda _request: Reply(200, b"hello", ETAG)) as server:
        store_at(server.url, short_way=short_way, session_token="the-token").read(AT, limit=9)
    assert [request.headers["x-amz-security-token"] for request in server.requests] == ["the-token"]


# --- hostile listings


def listing(keys: list[str], more: str = "") -> bytes:
    entries = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
        "<Size>3</Size></Contents>"
        for key in keys
    )
    end = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{entries}{end}</ListBucketResult>"
    ).encode()


@WAYS
def test_keys_that_nobody_can_address_are_left_out_and_counted(
    short_way: bool, caplog: pytest.LogCaptureFixture
) -> None:
    body = listing(
        ["..%2Fup", "%2Fabsolute", "a%2F..%2Fb", "a%2F.%2Fb", "x" * 1100, "folder%2F", "good+one%2B%25.wav", "n%00"]
    )
    with scripted(lambda _request: Reply(200, body)) as server, caplog.at_level(logging.WARNING, "lfk"):
        found = list(store_at(server.url, short_way=short_way).list(parse_location("s3://bucket/")))
    assert [info.location.key for info in found] == ["good one+%.wav"]
    assert (found[0].size, found[0].etag) == (3, "e")
    assert "address them: 6," in caplog.text


@WAYS
def test_pages_follow_each_other(short_way: bool) -> None:
    def script(request: Request) -> Reply:
        token = request.query.get("continuation-token")
        assert request.query["prefix"] == "audio & more/"
        assert request.query["start-after"] == "audio & more/0"
        if token is None:
            return Reply(200, listing(["1", "2"], more="a+/b=&amp;c").replace(b"<IsTruncated>false</IsTruncated>", b""))
        assert token == "a+/b=&c"
        return Reply(200, listing(["3"]))

    with scripted(script) as server:
        store = store_at(server.url, short_way=short_way)
        found = list(store.list(parse_location("s3://bucket/audio & more/"), after="audio & more/0"))
    assert [info.location.key for info in found] == ["1", "2", "3"]


@WAYS
@pytest.mark.usefixtures("asks_once")
def test_a_bomb_in_an_answer_does_not_go_off(short_way: bool) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 20))
    bomb = f'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY e0 "boom">{entities}]><b>&e19;</b>'.encode()
    with scripted(lambda _request: Reply(200, bomb)) as server, pytest.raises(LfkError):
        list(store_at(server.url, short_way=short_way).list(parse_location("s3://bucket/")))


def test_a_refusal_is_shown_without_secrets_and_control_characters() -> None:
    reply = refusal(403, "SignatureDoesNotMatch", "bad &#x9b;31m" + "x" * 1000)
    with scripted(lambda _request: reply) as server, pytest.raises(AccessDenied) as caught:
        store_at(server.url).check(parse_location("s3://bucket/"))
    assert "SignatureDoesNotMatch" in str(caught.value)
    assert "AWS_SECRET_ACCESS_KEY" in caught.value.hint
    assert "\x9b" not in str(caught.value)
    assert "very-secret" not in str(caught.value)
    assert len(str(caught.value)) < 400


@WAYS
def test_a_missing_bucket_is_told_from_a_missing_object(short_way: bool) -> None:
    with scripted(lambda _request: refusal(404, "NoSuchBucket")) as server:
        store = store_at(server.url, short_way=short_way)
        for call in (lambda: store.stat(AT), lambda: store.read(AT, limit=9)):
            with pytest.raises(BucketMissing):
                call()
