"""Where the short way to S3 sends a request, and when it does not: read off botocore, so the two never differ."""

from __future__ import annotations

import pytest

from lfk.core.location import parse_location
from lfk.stores.s3 import S3Store
from lfk.stores.s3_connection import Connection, Endpoint
from lfk.stores.s3_lane import Lane


@pytest.fixture(autouse=True)
def nobody_elses_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")


@pytest.mark.parametrize(
    ("endpoint_url", "region", "addressing", "bucket", "url", "signed_for"),
    [
        (None, "eu-west-1", "auto", "bucket", "https://bucket.s3.eu-west-1.amazonaws.com/", "eu-west-1"),
        (None, "us-east-1", "auto", "bucket", "https://bucket.s3.amazonaws.com/", "us-east-1"),
        (None, None, "auto", "bucket", "https://bucket.s3.amazonaws.com/", "us-east-1"),
        (None, "eu-west-1", "path", "bucket", "https://s3.eu-west-1.amazonaws.com/bucket/", "eu-west-1"),
        (None, "eu-west-1", "auto", "dotted.name", "https://s3.eu-west-1.amazonaws.com/dotted.name/", "eu-west-1"),
        ("http://minio:9000", None, "auto", "bucket", "http://minio:9000/bucket/", "us-east-1"),
        ("http://10.0.0.1:9000/", "here", "path", "bucket", "http://10.0.0.1:9000/bucket/", "here"),
        ("https://minio:9000", None, "virtual", "bucket", "https://bucket.minio:9000/", "us-east-1"),
        ("https://host/below", None, "path", "bucket", "https://host/below/bucket/", "us-east-1"),
    ],
)
def test_the_lane_goes_where_botocore_would(
    endpoint_url: str | None, region: str | None, addressing: str, bucket: str, url: str, signed_for: str
) -> None:
    endpoint = Endpoint(
        endpoint_url=endpoint_url, region=region, addressing=addressing, access_key="key", secret_key="secret"
    )
    place = Lane(Connection(endpoint))._place(bucket)
    assert place is not None
    assert (place.url, place.region) == (url, signed_for)


@pytest.mark.parametrize(
    ("region", "bucket", "begins"),
    [
        ("eu-west-1", "bucket", "https://bucket.s3.eu-west-1.amazonaws.com/k?"),
        ("cn-north-1", "bucket", "https://bucket.s3.cn-north-1.amazonaws.com.cn/k?"),
        ("us-east-1", "bucket", "https://bucket.s3.amazonaws.com/k?"),
        ("eu-west-1", "dotted.name", "https://s3.eu-west-1.amazonaws.com/dotted.name/k?"),
    ],
)
def test_links_name_the_region(region: str, bucket: str, begins: str) -> None:
    store = S3Store(region=region, access_key="key", secret_key="secret")
    assert store.presign(parse_location(f"s3://{bucket}/k"), seconds=60).startswith(begins)


def test_links_of_other_servers_name_them() -> None:
    store = S3Store(endpoint_url="http://minio:9000", access_key="key", secret_key="secret")
    assert store.presign(parse_location("s3://bucket/k"), seconds=60).startswith("http://minio:9000/bucket/k?")


def test_a_closed_lane_sends_nothing() -> None:
    endpoint = Endpoint(endpoint_url="http://127.0.0.1:9", access_key="key", secret_key="secret")
    connection = Connection(endpoint)
    assert Lane(connection, is_open=False).send("GET", "bucket", "key") is None
    assert connection._clients == {}


def test_secrets_are_not_shown() -> None:
    shown = repr(Endpoint(access_key="key", secret_key="very-secret", session_token="token-secret"))
    assert "secret" not in shown.replace("secret_key", "")
