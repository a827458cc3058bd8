"""A whole hub in memory: what it answers where a reference is odd, or has cost attempts before."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfk.brokers.base import Partition, Progress
from lfk.core.ledger import Ledger
from tests.roles.hub_bench import LANES, HubBench


@pytest.fixture
def bench(tmp_path: Path) -> HubBench:
    return HubBench(tmp_path)


def test_half_a_character_in_a_path_is_answered(bench: HubBench) -> None:
    bench.add_audio("simple/tiny/x.wav")
    bench.send(b'{"path_to_audio": "simple/tiny/\\ud800.wav"}', b'{"path_to_audio": "simple/tiny/x.wav"}')
    answers = {one.status: one for one in bench.run(2)}
    assert set(answers) == {"done", "failed"}
    assert answers["failed"].error is not None
    assert answers["failed"].error.code == "malformed_message"


def test_attempts_that_died_with_their_hub_are_answered_with_all_that_the_reference_says(bench: HubBench) -> None:
    bench.add_audio("simple/tiny/x.wav")
    bench.send(b'{"path_to_audio": "simple/tiny/x.wav", "batch_id": "b1", "causation_id": "%s"}' % (b"a" * 32))
    (arrived,) = bench.broker.snapshot("lfk.audio")
    ledger = Ledger()
    ledger.deliver(0)
    for _ in range(3):
        ledger.begin(0)
    mark = ledger.progress()
    assert mark is not None
    member = bench.broker.member("hubs", list(LANES.values()), _Nobody())
    member.poll(0)
    member.settle([], {arrived.partition: Progress(*mark)})
    member.close()
    (answer,) = bench.run(1)
    assert answer.error is not None
    assert (answer.error.code, answer.error.attempts) == ("attempts_exhausted", 3)
    assert answer.path_to_audio == "s3://bucket/audio/simple/tiny/x.wav"
    assert answer.transcription_approach == "simple.tiny"
    assert (answer.batch_id, answer.causation_id, answer.topic) == ("b1", "a" * 32, None)


class _Nobody:
    """Starts everything at its beginning."""

    def assigned(self, committed: object) -> dict[Partition, int | None]:
        return {}

    def revoked(self, partitions: object, *, lost: bool) -> None:
        """Nothing is held."""
