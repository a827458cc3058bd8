"""What the S3 store does on real servers beyond the contract of all stores: links, pages, refusals, versions."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from email.message import Message
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from lfk.core.errors import AccessDenied, BucketMissing, ContentChanged, InvalidKey, LfkError, ObjectMissing
from lfk.core.location import Location, parse_location
from lfk.stores.base import SOURCE, Capabilities, IfAbsent
from lfk.stores.s3 import S3Store
from lfk.stores.s3_connection import Connection, Endpoint
from lfk.stores.s3_lane import Lane
from lfk.stores.s3_listing import list_objects
from tests.services.s3 import S3Server

pytestmark = pytest.mark.s3

TEXT = "text/plain"


def fetch(link: str) -> tuple[bytes, Message]:
    """What anybody gets who has the link."""
    with urllib.request.urlopen(link) as answer:  # noqa: S310 - a link of our own server
        return answer.read(), answer.headers


def store_of(server: S3Server, **options: str | bool | None) -> S3Store:
    given = {
        "endpoint_url": server.endpoint_url,
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        **options,
    }
    return S3Store(**given)  # type: ignore[arg-type]


@pytest.fixture
def root(bucket: str) -> Location:
    return parse_location(f"s3://{bucket}/audio/")


# --- links


@pytest.mark.parametrize("name", ["x.wav", "a b/+%25#?&=.wav", "ünï/日本/😀.wav", "line\nbreak.wav", "'quoted\".wav"])
def test_a_link_fetches_the_object_and_names_the_file(s3_server: S3Server, root: Location, name: str) -> None:
    store = store_of(s3_server)
    store.put(root.join(name), b"found", content_type="audio/wav")
    body, headers = fetch(store.presign(root.join(name), seconds=60))
    assert (body, headers["Content-Disposition"]) == (b"found", None)
    link = store.presign(root.join(name), seconds=60, filename='../evil/é"\r\nX-Header: 1;.wav')
    body, headers = fetch(link)
    assert (body, headers["X-Header"]) == (b"found", None)
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"____X-Header_ 1_.wav\"; filename*=UTF-8''%C3%A9%22%0D%0AX-Header%3A%201%3B.wav"
    )


def test_a_link_is_signed_with_version_4_and_bounded(s3_server: S3Server, root: Location) -> None:
    store = store_of(s3_server)
    for asked, granted in ((60, 60), (0, 1), (-5, 1), (10**9, 604_800)):
        query = parse_qs(urlsplit(store.presign(root.join("x"), seconds=asked)).query)
        assert query["X-Amz-Expires"] == [str(granted)]
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]


def test_a_link_expires(s3_server: S3Server, root: Location) -> None:
    store = store_of(s3_server)
    store.put(root.join("x"), b"x", content_type=TEXT)
    link = store.presign(root.join("x"), seconds=1)
    time.sleep(2.1)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        fetch(link)


# --- listings


@pytest.mark.parametrize("short_way", [True, False], ids=["short", "general"])
@pytest.mark.parametrize("page", [1, 3, 1000])
def test_a_listing_goes_on_from_page_to_page(s3_server: S3Server, root: Location, page: int, short_way: bool) -> None:
    store = store_of(s3_server)
    names = [f"a/{number:02d} +%é" for number in range(7)] + ["a.b", "b"]
    for name in names:
        store.put(root.join(name), b"x", content_type=TEXT)
    names.sort()
    connection = Connection(
        Endpoint(endpoint_url=s3_server.endpoint_url, access_key=s3_server.access_key, secret_key=s3_server.secret_key)
    )
    lane = Lane(connection, is_open=short_way)
    for after in (None, "a/03 +%é", "a/", "zzz"):
        listed = list_objects(connection, lane, root, None if after is None else root.key + after, page)
        assert [root.relative(info.location) for info in listed] == [n for n in names if after is None or n > after]


def test_marks_of_folders_are_no_objects(s3_server: S3Server, bucket: str, root: Location) -> None:
    s3_server.client().put_object(Bucket=bucket, Key=f"{root.key}folder/", Body=b"")
    store = store_of(s3_server)
    store.put(root.join("folder/x"), b"x", content_type=TEXT)
    assert [root.relative(info.location) for info in store.list(root)] == ["folder/x"]


# --- refusals


@pytest.mark.parametrize("short_way", [True, False], ids=["short", "general"])
@pytest.mark.parametrize("wrong", ["access_key", "secret_key"])
def test_wrong_credentials_are_denied(
    s3_server: S3Server, root: Location, tmp_path: Path, wrong: str, short_way: bool
) -> None:
    right = store_of(s3_server)
    right.put(root.join("x"), b"x", content_type=TEXT)
    (tmp_path / "up").write_bytes(b"x")
    (tmp_path / "large").write_bytes(b"x" * (9 << 20))
    store = store_of(s3_server, short_way=short_way, **{wrong: "wrong-wrong-wrong"})
    for call in (
        lambda: store.check(root),
        lambda: store.ensure(root),
        lambda: store.stat(root.join("x")),
        lambda: list(store.list(root)),
        lambda: store.read(root.join("x"), limit=9),
        lambda: store.download(root.join("x"), tmp_path / "down", limit=9),
        lambda: store.put(root.join("y"), b"x", content_type=TEXT),
        lambda: store.put(root.join("y"), b"x", content_type=TEXT, condition=IfAbsent()),
        lambda: store.upload(tmp_path / "up", root.join("y"), content_type=TEXT),
        lambda: store.upload(tmp_path / "large", root.join("y"), content_type=TEXT),
        lambda: store.delete(root.join("x")),
    ):
        with pytest.raises(AccessDenied) as caught:
            call()
        assert "wrong-wrong-wrong" not in str(caught.value)
        assert s3_server.secret_key not in str(caught.value)
    assert [info.location for info in right.list(root)] == [root.join("x")]


def test_a_bucket_name_that_nobody_has(s3_server: S3Server) -> None:
    store = store_of(s3_server)
    nowhere = parse_location("s3://lfk-nobody-made-this-bucket/x")
    for call in (lambda: store.check(nowhere.as_prefix()), lambda: store.stat(nowhere)):
        with pytest.raises(BucketMissing) as caught:
            call()
        assert "lfk init" in caught.value.hint


def test_metadata_over_the_limit_is_refused_with_a_reason(s3_server: S3Server, root: Location) -> None:
    store = store_of(s3_server)
    longest = "host:/" + "ä" * 650
    info = store.put(root.join("x"), b"x", content_type=TEXT, metadata={SOURCE: longest})
    assert store.stat(root.join("x")).metadata == {SOURCE: longest} == info.metadata
    with pytest.raises(InvalidKey) as caught:
        store.put(root.join("y"), b"x", content_type=TEXT, metadata={SOURCE: "ä" * 2000})
    assert "source" in caught.value.hint


def test_what_a_server_cannot_hold_is_an_invalid_key(s3_server: S3Server, bucket: str) -> None:
    with pytest.raises(InvalidKey):
        store_of(s3_server).put(Location("s3", bucket, "n" * 300), b"x", content_type=TEXT)


# --- behaviour


def test_differences_of_servers_are_found_out(s3_server: S3Server, root: Location) -> None:
    found = store_of(s3_server).capabilities(root)
    deletes = s3_server.name == "versitygw"
    assert found == Capabilities(
        conditional_writes=True, conditional_deletes=deletes, verifies_checksums=True, etag_follows_content=True
    )


@pytest.mark.parametrize("addressing", ["auto", "path"])
def test_addressing(s3_server: S3Server, root: Location, addressing: str) -> None:
    store = store_of(s3_server, addressing=addressing)
    store.put(root.join("x"), b"x", content_type=TEXT)
    assert store.stat(root.join("x")).size == 1


def test_versions_can_be_fetched(s3_server: S3Server, bucket: str, root: Location, tmp_path: Path) -> None:
    s3_server.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = store_of(s3_server)
    at = root.join("x")
    first = store.put(at, b"first", content_type=TEXT)
    second = store.put(at, b"second", content_type=TEXT)
    assert first.version_id is not None
    assert first.version_id != second.version_id
    assert store.stat(at).version_id == second.version_id
    for info, data in ((first, b"first"), (second, b"second")):
        fetched, _sha256 = store.download(at, tmp_path / "down", limit=9, version_id=info.version_id, etag=info.etag)
        assert (tmp_path / "down").read_bytes() == data
        assert fetched.version_id == info.version_id
    with pytest.raises(ContentChanged):
        store.download(at, tmp_path / "down", limit=9, version_id=first.version_id, etag=second.etag)
    store.delete(at)
    with pytest.raises(ObjectMissing):
        store.stat(at)


def test_purging_removes_every_version_mark_and_unfinished_upload(
    s3_server: S3Server, bucket: str, root: Location
) -> None:
    client = s3_server.client()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = store_of(s3_server)
    at, other = root.join("x.wav"), root.join("x.wav.mp3")
    for data in (b"first", b"second"):
        store.put(at, data, content_type=TEXT)
        store.put(other, data, content_type=TEXT)
    store.delete(at)
    gone = root.join("never whole.wav")
    client.create_multipart_upload(Bucket=bucket, Key=gone.key)
    assert set(store.history(root)) == {at, other, gone}
    assert store.purge(at) == store.purge(gone) == 0
    assert set(store.history(root)) == {other}
    assert store.purge(other, keep_current=True) == 0
    versions = client.list_object_versions(Bucket=bucket, Prefix=other.key)["Versions"]
    assert [version["IsLatest"] for version in versions] == [True]


def test_settings_that_cannot_work_are_named(s3_server: S3Server, root: Location) -> None:
    for options in (
        {"endpoint_url": "not a url"},
        {"addressing": "sideways"},
        {"checksums": "maybe"},
        {"conditional": "perhaps"},
        {"secret_key": None},
    ):
        with pytest.raises(LfkError) as caught:
            store_of(s3_server, **options).check(root)
        assert caught.value.code == "usage"


def test_a_profile_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, root: Location) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(LfkError) as caught:
        S3Store(endpoint_url="http://127.0.0.1:1").check(root)
    assert caught.value.code == "usage"
    assert "nobody" in caught.value.message


_WITHOUT_CREDENTIALS = """
import sys, time
from lfk.core.errors import AccessDenied
from lfk.core.location import parse_location
from lfk.stores.s3 import S3Store

begun = time.monotonic()
try:
    S3Store(endpoint_url=sys.argv[1]).check(parse_location("s3://bucket/"))
except AccessDenied as error:
    print(time.monotonic() - begun, error.hint)
"""


def test_without_credentials_a_command_says_so_soon(s3_server: S3Server, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "none")}
    with socket.create_server(("127.0.0.1", 0)) as mute:  # where an instance role would answer, nobody does
        environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"http://127.0.0.1:{mute.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", _WITHOUT_CREDENTIALS, s3_server.endpoint_url],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    seconds, _blank, hint = done.stdout.partition(" ")
    assert float(seconds) < 8
    assert "AWS_ACCESS_KEY_ID" in hint


def test_one_machine_may_speak_to_two_servers(s3_server: S3Server, root: Location) -> None:
    here, nowhere = store_of(s3_server), store_of(replace(s3_server, endpoint_url="http://127.0.0.1:9"))
    here.put(root.join("x"), b"x", content_type=TEXT)
    with pytest.raises(LfkError):
        nowhere.stat(root.join("x"))
    assert here.stat(root.join("x")).size == 1
