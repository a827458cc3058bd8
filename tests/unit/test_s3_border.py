"""Answers and exceptions of botocore as lfk's errors, and metadata that has to survive HTTP headers."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as vendor
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.errors import (
    AccessDenied,
    BucketMissing,
    InvalidKey,
    Kind,
    LfkError,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
    StoreFull,
    StoreUnreachable,
    UsageError,
)
from lfk.core.location import parse_location
from lfk.stores.s3_errors import s3_border, s3_configuration
from lfk.stores.s3_objects import decode_metadata, encode_metadata, http_time, object_info

AT = parse_location("s3://bucket/a key")
URL = "http://user:password@store:9000/"


def answer(status: int, code: str, message: str = "") -> vendor.ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return vendor.ClientError(response, "GetObject")


def mapped(error: Exception) -> LfkError:
    with pytest.raises(LfkError) as caught, s3_border(AT):
        raise error
    assert caught.value.__cause__ is error
    assert str(AT) in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "cls"),
    [
        (404, "NoSuchKey", ObjectMissing),
        (404, "404", ObjectMissing),
        (404, "NoSuchVersion", ObjectMissing),
        (404, "NoSuchBucket", BucketMissing),
        (404, "XAdminUserNotFound", AccessDenied),
        (404, "SomethingElse", StoreError),
        (403, "AccessDenied", AccessDenied),
        (403, "403", AccessDenied),
        (401, "Whatever", AccessDenied),
        (403, "InvalidAccessKeyId", AccessDenied),
        (403, "SignatureDoesNotMatch", AccessDenied),
        (400, "ExpiredToken", AccessDenied),
        (403, "RequestTimeTooSkewed", AccessDenied),
        (412, "PreconditionFailed", PreconditionFailed),
        (412, "412", PreconditionFailed),
        (409, "ConditionalRequestConflict", PreconditionFailed),
        (404, "NoSuchUpload", PreconditionFailed),
        (400, "InvalidPart", PreconditionFailed),
        (507, "XMinioStorageFull", StoreFull),
        (507, "Whatever", StoreFull),
        (403, "QuotaExceeded", StoreFull),
        (400, "KeyTooLongError", InvalidKey),
        (400, "KeyTooLong", InvalidKey),
        (400, "XMinioInvalidObjectName", InvalidKey),
        (409, "ObjectParentIsFile", InvalidKey),
        (500, "InternalError", StoreUnreachable),
        (503, "SlowDown", StoreUnreachable),
        (502, "", StoreUnreachable),
        (429, "TooManyRequests", StoreUnreachable),
        (400, "RequestTimeout", StoreUnreachable),
        (400, "BadDigest", StoreUnreachable),
        (400, "InvalidArgument", StoreError),
        (409, "BucketNotEmpty", StoreError),
    ],
)
def test_answers_are_told_apart_by_code_then_status(status: int, code: str, cls: type[LfkError]) -> None:
    assert type(mapped(answer(status, code))) is cls


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        (vendor.NoCredentialsError(), AccessDenied),
        (vendor.PartialCredentialsError(provider="env", cred_var="x"), AccessDenied),
        (vendor.CredentialRetrievalError(provider="x", error_msg="y"), AccessDenied),
        (vendor.UnauthorizedSSOTokenError(), AccessDenied),
        (vendor.EndpointConnectionError(endpoint_url=URL), StoreUnreachable),
        (vendor.ConnectTimeoutError(endpoint_url=URL), StoreUnreachable),
        (vendor.ReadTimeoutError(endpoint_url=URL), StoreUnreachable),
        (vendor.ConnectionClosedError(endpoint_url=URL), StoreUnreachable),
        (vendor.ProxyConnectionError(proxy_url=URL), StoreUnreachable),
        (vendor.SSLError(endpoint_url=URL, error="x"), StoreUnreachable),
        (vendor.IncompleteReadError(actual_bytes=1, expected_bytes=2), StoreUnreachable),
        (vendor.ResponseStreamingError(error="x"), StoreUnreachable),
        (vendor.HTTPClientError(error="x"), StoreUnreachable),
        (ResponseParserError("x"), StoreUnreachable),
        (vendor.ParamValidationError(report="x"), StoreError),
    ],
)
def test_what_goes_wrong_on_the_way_is_told_apart_by_class(error: Exception, cls: type[LfkError]) -> None:
    assert type(mapped(error)) is cls
    assert "password" not in str(mapped(error))


def test_each_reason_has_its_own_hint() -> None:
    hints = [
        mapped(vendor.NoCredentialsError()).hint,
        mapped(vendor.SSLError(endpoint_url=URL, error="x")).hint,
        mapped(answer(403, "SignatureDoesNotMatch")).hint,
        mapped(answer(403, "InvalidAccessKeyId")).hint,
        mapped(answer(403, "RequestTimeTooSkewed")).hint,
        mapped(answer(400, "ExpiredToken")).hint,
        mapped(answer(301, "PermanentRedirect")).hint,
        mapped(answer(400, "MetadataTooLarge")).hint,
        mapped(ResponseParserError("x")).hint,
        mapped(answer(403, "AccessDenied")).hint,
    ]
    assert len(set(hints)) == len(hints)


def test_an_outage_is_transient_and_a_refusal_is_not() -> None:
    assert mapped(answer(503, "SlowDown")).kind is Kind.TRANSIENT
    assert mapped(answer(412, "PreconditionFailed")).kind is Kind.TRANSIENT
    assert mapped(answer(403, "AccessDenied")).kind is Kind.PERMANENT


@pytest.mark.parametrize(
    "error", [vendor.ProfileNotFound(profile="p"), ValueError("Invalid endpoint: x"), vendor.ConfigParseError(path="x")]
)
def test_settings_that_no_client_can_be_made_from(error: Exception) -> None:
    with pytest.raises(UsageError), s3_configuration():
        raise error


def test_other_exceptions_pass_through_the_border() -> None:
    with pytest.raises(KeyError), s3_border(AT):
        raise KeyError("x")


# --- metadata


@given(st.dictionaries(st.from_regex(r"lfk-[a-z0-9]{1,8}", fullmatch=True), st.text(), max_size=4))
def test_any_metadata_survives_headers(metadata: dict[str, str]) -> None:
    encoded = encode_metadata(metadata)
    for value in encoded.values():
        assert value.isascii()
        assert value == value.strip()
        assert value.isprintable()
        assert "  " not in value
    assert decode_metadata(encoded) == metadata


@pytest.mark.parametrize("value", ["host:/recordings/a b.wav", "100%", "", "a" * 64, "=?utf-8?q?x?="])
def test_plain_values_stay_readable(value: str) -> None:
    assert encode_metadata({"lfk-x": value}) == {"lfk-x": value}


@pytest.mark.parametrize("value", ["base64:", "base64:!!", "base64:/w==", "base64:w6k", "base64:\xe9"])
def test_values_that_others_wrote_come_back_as_they_are(value: str) -> None:
    assert decode_metadata({"X": value}) == {"x": value}


def test_bytes_of_names_that_are_no_utf8_survive() -> None:
    source = b"/recordings/caf\xe9.wav".decode("utf-8", "surrogateescape")
    assert decode_metadata(encode_metadata({"lfk-source": source})) == {"lfk-source": source}


def test_headers_tell_of_an_object() -> None:
    info = object_info(
        AT,
        {
            "content-length": "5",
            "etag": '"abc-2"',
            "last-modified": "Sat, 21 Nov 2026 10:05:12 GMT",
            "content-type": "audio/wav",
            "x-amz-version-id": "v1",
            "x-amz-meta-lfk-sha256": "00",
        },
    )
    assert (info.size, info.etag, info.content_type, info.version_id) == (5, "abc-2", "audio/wav", "v1")
    assert info.modified == 1_795_255_512.0
    assert info.metadata == {"lfk-sha256": "00"}


@pytest.mark.parametrize("text", ["", "yesterday", "Sat, 99 Nov 2026 10:05:12 GMT"])
def test_a_date_that_cannot_be_read_is_the_epoch(text: str) -> None:
    assert http_time(text) == 0.0
