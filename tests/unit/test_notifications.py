"""Notifications as MinIO, S3, SNS and EventBridge write them, and as they should not be."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.errors import InvalidLocation, MalformedMessage
from lfk.core.location import Location, check_key, parse_location
from lfk.core.notifications import Notification, Sighting, notification_of, read_notification


def record(key: str, **changes: Any) -> dict[str, Any]:
    """As AWS writes it (event version 2.1); ``changes`` go into the object."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2026-01-31T08:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDA"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D1", "x-amz-id-2": "FMyU"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "lfk",
            "bucket": {
                "name": "recordings",
                "ownerIdentity": {"principalId": "A3NL"},
                "arn": "arn:aws:s3:::recordings",
            },
            "object": {
                "key": key,
                "size": 1024,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
                "sequencer": "0055AED6DCD90281E5",
                **changes,
            },
        },
    }


def bridged(key: str, kind: str = "Object Created") -> dict[str, Any]:
    """As EventBridge writes it."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-01-31T08:00:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:s3:::recordings"],
        "detail": {
            "version": "0",
            "bucket": {"name": "recordings"},
            "object": {
                "key": key,
                "size": 5,
                "etag": "b1946ac92492d2347c6235b4d2611184",
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                "sequencer": "617f08299329d189",
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "reason": "PutObject",
        },
    }


def sns(message: object) -> dict[str, Any]:
    """As SNS delivers to a queue, where raw delivery is off."""
    return {
        "Type": "Notification",
        "MessageId": "1",
        "TopicArn": "arn:aws:sns:eu-central-1:1:uploads",
        "Subject": "Amazon S3 Notification",
        "Message": json.dumps(message),
        "Timestamp": "2026-01-31T08:00:00.000Z",
    }


def keys(notification: Notification) -> list[str]:
    return [sighting.location.key for sighting in notification.created]


def test_a_record_of_s3_with_all_it_tells() -> None:
    assert read_notification(json.dumps({"Records": [record("audio/simple/tiny/a.wav")]})) == Notification(
        (
            Sighting(
                location=Location("s3", "recordings", "audio/simple/tiny/a.wav"),
                size=1024,
                etag="d41d8cd98f00b204e9800998ecf8427e",
                version_id="096fKKXTRTtl3on89fVO.nfljtsv6qko",
                sequencer="0055AED6DCD90281E5",
            ),
        )
    )


def test_an_event_of_eventbridge_whose_key_is_not_encoded() -> None:
    notification = read_notification(json.dumps(bridged("audio/a+b %20.wav")))
    assert notification.created == (
        Sighting(
            location=Location("s3", "recordings", "audio/a+b %20.wav"),
            size=5,
            etag="b1946ac92492d2347c6235b4d2611184",
            version_id="IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
            sequencer="617f08299329d189",
        ),
    )


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("a+b.wav", "a b.wav"),
        ("a%2Bb.wav", "a+b.wav"),
        ("100%25.wav", "100%.wav"),
        ("a%2520b.wav", "a%20b.wav"),
        ("week1%2Flesson%201.wav", "week1/lesson 1.wav"),
        ("%C3%BC~%23%3F%26%3D.wav", "ü~#?&=.wav"),
        ("%7E.wav", "~.wav"),
        ("%F0%9F%8E%A7.wav", "🎧.wav"),
        ("ü.wav", "ü.wav"),
        ("100%.wav", "100%.wav"),
    ],
)
def test_keys_of_records_are_decoded_once(encoded: str, key: str) -> None:
    assert keys(notification_of({"Records": [record(encoded)]})) == [key]
    assert keys(notification_of({"Records": [record(encoded)]}, encoded=False)) == [encoded]


def storable(key: str) -> bool:
    try:
        return parse_location(f"s3://recordings/{check_key(key)}").key == key and not key.endswith("/")
    except InvalidLocation:
        return False


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80).filter(storable)


@given(KEYS)
def test_every_key_comes_out_as_it_went_in(key: str) -> None:
    # Go escapes slashes and leaves tildes; Java (AWS) leaves slashes and escapes tildes.
    for encoded in (quote_plus(key), quote_plus(key, safe="/"), quote(key), quote_plus(key).replace("~", "%7E")):
        assert keys(notification_of({"Records": [record(encoded)]})) == [key]
    assert keys(notification_of(bridged(key))) == [key]
    assert keys(notification_of({"Records": [record(key)]}, encoded=False)) == [key]
    assert keys(notification_of(sns({"Records": [record(quote_plus(key))]}))) == [key]
    assert keys(notification_of(sns(bridged(key)))) == [key]


NAMES = [
    "Records",
    "s3",
    "object",
    "bucket",
    "key",
    "name",
    "eventName",
    "eventSource",
    "userMetadata",
    "size",
    "eTag",
    "Type",
    "Message",
    "source",
    "detail-type",
    "detail",
    "Event",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner | st.sampled_from(["Notification", "aws.s3", "ObjectCreated:Put", "Object Created", "s3:TestEvent"]),
            max_size=6,
        )
    ),
    max_leaves=30,
)


@given(JSON)
def test_whatever_it_is_it_is_read_or_refused(data: object) -> None:
    try:
        notification = notification_of(data)
    except MalformedMessage:
        return
    for sighting in notification.created:
        assert check_key(sighting.location.key)


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_whatever_bytes_they_are_they_are_read_or_refused(body: bytes | str) -> None:
    with pytest.raises(MalformedMessage):
        read_notification(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"Records"',
        b'{"Records": {}}',
        b'{"Records": 1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"Records": ' + b"9" * 10_000 + b"}",
        json.dumps({"Type": "SubscriptionConfirmation", "SubscribeURL": "http://169.254.169.254/"}),
        json.dumps({"Type": "Notification", "Message": "hello"}),
        json.dumps({"Type": "Notification", "Message": "[" * 100_000}),
        json.dumps(sns(sns({"Records": []}))),
        json.dumps({"source": "aws.ec2", "detail-type": "Object Created"}),
        json.dumps({"Event": "s3:OtherEvent"}),
    ],
)
def test_what_is_of_no_known_form_is_refused(body: bytes | str) -> None:
    with pytest.raises(MalformedMessage) as refusal:
        read_notification(body)
    assert "docs/listen.md" in refusal.value.hint


@pytest.mark.parametrize(
    "data",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026", "Bucket": "recordings", "RequestId": "1"},
        sns({"Service": "Amazon S3", "Event": "s3:TestEvent"}),
        {"Records": None},
        {"Records": []},
    ],
)
def test_some_messages_tell_nothing(data: object) -> None:
    assert notification_of(data) == Notification()


def test_other_events_and_folder_marks_are_counted() -> None:
    removed = record("a.wav") | {"eventName": "ObjectRemoved:Delete"}
    restored = record("a.wav") | {"eventName": "s3:ObjectRestore:Completed"}
    copied = record("copy.wav") | {"eventName": "s3:ObjectCreated:Copy"}
    notification = notification_of({"Records": [removed, restored, copied, record("folder/")]})
    assert (keys(notification), notification.others, notification.unusable) == (["copy.wav"], 3, ())
    assert notification_of(bridged("a.wav", "Object Deleted")) == Notification(others=1)
    assert notification_of(bridged("folder/")) == Notification(others=1)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "text",
        {},
        {"eventName": "ObjectCreated:Put"},
        {"eventName": "ObjectCreated:Put", "s3": []},
        {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "a"}}},
        record(""),
        record("/abs.wav"),
        record("../../etc/passwd"),
        record("a/../b.wav"),
        record("%2E%2E/b.wav"),
        record("nul%00.wav"),
        record("%FF.wav"),
        record("\ud800.wav"),
        record("x" * 1025),
        record("x" * 1_000_000),
        record("a.wav") | {"s3": {"bucket": {"name": "a/b"}, "object": {"key": "c.wav"}}},
        record("a.wav") | {"s3": {"bucket": {"name": "UPPER"}, "object": {"key": "c.wav"}}},
        record("a.wav") | {"s3": {"bucket": {"name": 5}, "object": {"key": "c.wav"}}},
    ],
)
def test_one_bad_record_does_not_hold_the_others_up(bad: Any) -> None:
    notification = notification_of({"Records": [record("a.wav"), bad, record("b.wav")]})
    assert keys(notification) == ["a.wav", "b.wav"]
    assert len(notification.unusable) == 1
    assert len(notification.unusable[0]) < 300


def test_facts_that_no_reference_can_carry_are_left_out() -> None:
    changes = {"size": -1, "eTag": "x" * 300, "versionId": "new\nline", "sequencer": ["list"]}
    (sighting,) = notification_of({"Records": [record("a.wav", **changes)]}).created
    assert sighting == Sighting(Location("s3", "recordings", "a.wav"))
    for size in (True, 1.5, "7", 1 << 60):
        (sighting,) = notification_of({"Records": [record("a.wav", size=size)]}).created
        assert sighting.size is None


def test_minio_tells_the_metadata_too() -> None:
    told = {"X-Amz-Meta-Lfk-Referred": "abc", "content-type": "audio/wav", "x-amz-meta-number": 5}
    of_minio = {"eventSource": "minio:s3", "eventName": "s3:ObjectCreated:Put"}
    with_metadata = record("a.wav", userMetadata=told) | of_minio
    without = record("b.wav") | of_minio
    created = notification_of({"EventName": "s3:ObjectCreated:Put", "Key": "x", "Records": [with_metadata, without]})
    assert [sighting.metadata for sighting in created.created] == [{"lfk-referred": "abc"}, {}]
    (of_aws,) = notification_of({"Records": [record("a.wav")]}).created
    assert of_aws.metadata is None
