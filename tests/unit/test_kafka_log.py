"""librdkafka's log lines: the same one seldom, and what is nobody's concern never."""

from __future__ import annotations

import pytest

from lfk.brokers.kafka_log import log


def test_what_is_said(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("CONFWARN [lfk@vm#producer-1] [thrd:app]: enable.partition.eof is a consumer property")
    log.warning("GETPID [lfk@vm#producer-1] [thrd:main]: Failed to acquire idempotence PID: retrying")
    for port in (9092, 9093):
        log.error("FAIL [lfk@vm#producer-1] [thrd:app]: broker:%d: Connect failed (after 0ms)", port)
    log.error("FAIL [lfk@vm#producer-1] [thrd:app]: broker: Failed to resolve")
    assert [record.getMessage().rpartition("broker")[2] for record in caplog.records] == [
        ":9092: Connect failed (after 0ms)",
        ": Failed to resolve",
    ]
