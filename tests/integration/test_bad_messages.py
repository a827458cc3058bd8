"""Messages that are none, on a real Kafka: each is answered once, dead-lettered byte for byte, and the rest goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lfk.brokers.base import Record, TopicPlan
from lfk.brokers.codec import JsonCodec
from lfk.brokers.kafka import KafkaBroker
from lfk.core.messages import Announcement
from tests.acceptance.command import Lfk

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

BAD = {
    b"not json": (b"{", "malformed_message"),
    b"no object": (b"[1, 2]", "malformed_message"),
    b"empty": (b"", "malformed_message"),
    b"binary": (bytes(range(256)), "malformed_message"),
    b"twice": (b'{"path_to_audio": "a.wav", "path_to_audio": "b.wav"}', "malformed_message"),
    b"deep": (
        b'{"path_to_audio": "a.wav", "options": ' + b'{"a":' * 9000 + b"1" + b"}" * 9000 + b"}",
        "malformed_message",
    ),
    b"traversal": (b'{"path_to_audio": "../../etc/passwd"}', "invalid_location"),
    b"absolute": (b'{"path_to_audio": "/etc/passwd"}', "forbidden_location"),
    b"foreign": (b'{"path_to_audio": "s3://elsewhere/simple/tiny/x.wav"}', "forbidden_location"),
    b"url": (b'{"path_to_audio": "http://127.0.0.1/x.wav"}', "invalid_location"),
    b"model": (b'{"path_to_audio": "simple/openai/x.wav"}', "unknown_model"),
    b"option": (b'{"path_to_audio": "simple/tiny/good.wav", "options": {"shell": "rm"}}', "invalid_option"),
    b"missing": (b'{"path_to_audio": "simple/tiny/none.wav"}', "object_missing"),
    b"large": (b'{"path_to_audio": "' + b"x" * 700_000 + b'"}', "message_too_large"),
    b"chunk": (json.dumps({"path_to_audio": "x.wav", "frames": "A" * 90_000}).encode(), "frames_not_allowed"),
}


def test_bad_messages_are_answered_and_good_ones_served(tmp_path: Path, kafka: str, topic_prefix: str) -> None:
    names = {role: f"{topic_prefix}.{role}" for role in ("audio", "bulk", "retry", "dlq", "transcripts")}
    audio = tmp_path / "store/audio/simple/tiny/good.wav"
    audio.parent.mkdir(parents=True)
    audio.write_bytes(b"speech")
    (tmp_path / "store/transcripts").mkdir()
    broker = KafkaBroker({"bootstrap.servers": kafka})
    broker.ensure_topics([TopicPlan(name, 2, 1) for name in names.values()])
    errors: list[Exception | None] = []
    publisher = broker.publisher()
    for key, (value, _code) in BAD.items():
        publisher.send(Record(names["audio"], key, value), errors.append)
    publisher.send(Record(names["audio"], b"good", b'{"path_to_audio": "simple/tiny/good.wav"}'), errors.append)
    publisher.close()
    assert errors == [None] * (len(BAD) + 1)

    environ = {f"LFK_TOPIC_{role.upper()}": name for role, name in names.items()}
    lfk = Lfk(
        tmp_path,
        LFK_STORE="store",
        LFK_ENGINE="canned",
        BOOTSTRAP_SERVERS=kafka,
        LFK_GROUP=f"{topic_prefix}.hub",
        **environ,
    )
    hub = lfk("hub", "--max-jobs", str(len(BAD) + 1))
    assert hub.code == 1, hub.err
    assert "Traceback" not in hub.err

    codec = JsonCodec()
    announced: dict[bytes, Announcement] = {}
    for record in broker.snapshot(names["transcripts"]):
        announcement = codec.decode_announcement(record.value)
        key = b"good" if announcement.status == "done" else record.key or b""
        announced[key] = announcement
    assert announced.pop(b"good").status == "done"
    codes = sorted(one.error.code for one in announced.values() if one.error)
    letters = {record.key: record for record in broker.snapshot(names["dlq"])}
    assert set(letters) == set(BAD)
    assert sorted(code for _value, code in BAD.values()) == sorted(
        letter.headers["lfk.error.code"].decode() for letter in letters.values()
    )
    assert len(codes) == len(announced)
    for key, (value, code) in BAD.items():
        assert letters[key].value in (value, value or None)
        assert letters[key].headers["lfk.error.code"].decode() == code, key
        assert letters[key].headers["lfk.error.original.topic"].decode() == names["audio"]
    unread = announced[b"not json"]
    assert unread.path_to_audio is None
    assert (unread.topic, unread.error and unread.error.stage) == (names["audio"], "parse")
