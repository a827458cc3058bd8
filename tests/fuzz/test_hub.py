"""Hostile messages and media through a real hub on a real Kafka: one typed answer each, and the rest is served."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from tests.acceptance.bad_media import tone
from tests.acceptance.command import Done
from tests.fuzz.hubs import Rig, Sent, between
from tests.fuzz.media import bombs, disguises, media
from tests.fuzz.messages import DONE, GOOD, Hostile, messages, tricks
from tests.fuzz.trial import canary

SEED = 20261125
RANDOM = 120
GOOD_ONES = 40

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def reference(path: str, allowed: frozenset[str]) -> Hostile:
    """A message that is as it should be."""
    return Hostile(path, json.dumps({"path_to_audio": path}).encode(), allowed, path.encode())


def check(rig: Rig, sent: list[Sent], hub: Done) -> None:
    """Exactly one answer each, none of them a fault of lfk itself, nothing in the log that says otherwise."""
    strangers = rig.collect(sent)
    wrong = [f"{one.message.name}: {fault}" for one in sent for fault in one.wrong]
    assert (wrong, strangers) == ([], [])
    failed = {one.event: one.announcements[0].error.code for one in sent if one.announcements[0].error}
    assert rig.failures() == failed
    for one in (one.announcements[0] for one in sent):
        unread = one.error is not None and one.error.stage == "parse"
        assert (one.path_to_audio is None, one.topic) == (unread, rig.topics["audio"] if unread else None)
    assert hub.code == 1, hub.err
    for text in ("Traceback", "a fault of lfk itself", "[internal]"):
        assert text not in hub.err
    # Nothing that moves a cursor, or hides or reorders text.
    shown = set(hub.out + hub.err) - {"\n", "\t"}
    assert [char for char in shown if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")] == []


def test_hostile_messages_are_answered_and_good_ones_served(tmp_path: Path, kafka: str, topic_prefix: str) -> None:
    rig = Rig(tmp_path, kafka, topic_prefix, LFK_ENGINE="canned")
    rig.audio(GOOD, b"speech")
    for number in range(GOOD_ONES):
        rig.audio(f"simple/tiny/{number}.wav", b"speech %d" % number)
    with canary() as server:
        bad = list(messages(SEED, len(tricks(server.address)) + RANDOM, server.address))
        good = [reference(f"simple/tiny/{number}.wav", DONE) for number in range(GOOD_ONES)]
        sent = rig.send(between(bad, good))
        hub = rig.lfk("hub", "--workers", "2", "--max-jobs", str(len(sent)))
        assert server.calls == 0
    check(rig, sent, hub)


@pytest.mark.engine
def test_hostile_media_are_answered_and_good_ones_served(tmp_path: Path, kafka: str, topic_prefix: str) -> None:
    """The whole way, with the real engine: what a decoder of its own meets by the hundred, in test_media."""
    with canary() as server:
        # What may turn out to be fine would be transcribed, which is not the point here.
        chosen = [one for one in (*bombs(), *disguises(server.address)) if "done" not in one.allowed]
        chosen += [
            one for one in media(SEED, 100) if one.name.startswith(("a film", "2^28", "5000", "65535", "declares"))
        ]
        rig = Rig(tmp_path, kafka, topic_prefix, LFK_MAX_DURATION="600", LFK_JOB_TIMEOUT_BASE="60")
        sent_ones = []
        for number, medium in enumerate(chosen):
            name = f"simple/tiny/{number:03}{Path(medium.name).suffix}"
            rig.audio(name, medium.content)
            sent_ones.append(reference(name, medium.allowed))
        good = []
        for number in range(3):
            path = rig.store / f"audio/simple/tiny/good {number}.wav"
            tone(path, 0.5 + number / 10)
            good.append(reference(f"simple/tiny/{path.name}", DONE))
        sent = rig.send(between(sent_ones, good))
        hub = rig.lfk("hub", "--workers", "1", "--max-jobs", str(len(sent)))
        assert server.calls == 0
    check(rig, sent, hub)
    assert "engine process" not in hub.err
