"""Metrics: what is declared, what roles' events add up to, and that nothing from outside becomes a label."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from lfk.core import metrics
from lfk.core.errors import AudioEmpty, BrokerUnreachable, LfkError, StoreUnreachable
from lfk.core.messages import Announcement, Failure
from lfk.core.metrics import BY_ROLE, EVERYWHERE
from lfk.core.readings import OTHER, Metric, Reading, code_label, pair_labels, stage_label
from lfk.core.sync_plan import Stamp
from lfk.roles import backlog_watch, listen_readings, sync_readings
from lfk.roles.backlog import Load
from lfk.roles.backlog_watch import BacklogWatch
from lfk.roles.hub.readings import of_answer
from lfk.roles.listen_events import Done
from lfk.roles.listen_events import Outcome as Heard
from lfk.roles.sync_events import FileDone, Outcome, Paused
from lfk.telemetry.meter import Meter
from lfk.telemetry.page import Page
from tests.waiting import wait_until

DECLARED = [metric for role in (*BY_ROLE.values(), EVERYWHERE) for metric in role]
DONE = Announcement(
    "e1",
    status="done",
    timestamp=1,
    transcription_approach="diarisation.tiny",
    path_to_audio="s3://bucket/audio/x.wav",
    duration=120.0,
    timings={"queued": 3.0, "fetch": 0.1, "transcribe": 20.0, "align": 6.0, "diarise": 4.0, "write": 0.2},
)


def added(readings: Iterable[Reading]) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(one.metric.name, one.labels): float(one.value) for one in readings}


@pytest.mark.parametrize("metric", DECLARED, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"lfk_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|minutes|hours|kib|mb|percent)\b", metric.name)
    assert metric.help.endswith(".")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert not {"key", "file", "path", "audio", "location", "event", "event_id", "job_id", "message"} & {*metric.labels}


def test_each_is_declared_once() -> None:
    names = [metric.name for metric in DECLARED]
    assert len(names) == len(set(names))
    declared = {value for value in vars(metrics).values() if isinstance(value, Metric)}
    assert declared == set(DECLARED)


def test_an_answer_adds_its_job_its_audio_and_its_stages() -> None:
    told = added(of_answer(DONE))
    assert told["lfk_hub_jobs_total", ("diarisation", "tiny", "done")] == 1
    assert told["lfk_hub_jobs_total", ("diarisation", "tiny", "failed")] == 0
    assert told["lfk_hub_audio_seconds_total", ("diarisation", "tiny", "done")] == 120
    assert told["lfk_hub_stage_seconds", ("transcribe", "tiny")] == 20
    assert told["lfk_hub_rtfx", ("diarisation", "tiny")] == 4
    assert not any("failures" in name or "dead" in name for name, _labels in told)


def test_what_is_reused_is_no_speed() -> None:
    told = added(of_answer(replace(DONE, reused=True)))
    assert told["lfk_hub_jobs_total", ("diarisation", "tiny", "reused")] == 1
    assert "lfk_hub_rtfx" not in {name for name, _labels in told}


def test_a_failure_is_told_by_code_and_stage() -> None:
    failure = Failure("audio_empty", "no audio", "decode", 1, retryable=False)
    told = added(of_answer(replace(DONE, status="failed", error=failure, duration=None)))
    assert told["lfk_hub_failures_total", ("audio_empty", "decode")] == 1
    assert told["lfk_hub_dead_letters_total", ()] == 1
    assert told["lfk_hub_jobs_total", ("diarisation", "tiny", "failed")] == 1


@given(st.text(), st.text(), st.text())
def test_nothing_from_outside_becomes_a_label(pair: str, code: str, stage: str) -> None:
    known = {"simple", "segmentation", "diarisation", OTHER}
    assert pair_labels(pair)[0] in known
    hostile = Announcement("e", status="failed", timestamp=1, transcription_approach=pair, path_to_audio=None)
    meter = Meter()
    meter.declare(BY_ROLE["hub"], lambda: iter(()))
    meter.tell(of_answer(replace(hostile, error=Failure(code, "m", stage, 1, retryable=False), timings={stage: 1.0})))
    labels = re.findall(r'="([^"]*)"', meter.page().decode())
    assert all(re.fullmatch(r"[a-z0-9_.+-]*|\+Inf", label) for label in labels)


def test_labels_of_what_is_known_stay() -> None:
    assert pair_labels("simple.tiny.en") == ("simple", "tiny.en")
    assert (code_label("audio_empty"), code_label(LfkError.code), code_label("x" * 99)) == (
        "audio_empty",
        "internal",
        OTHER,
    )
    assert (stage_label("diarise"), stage_label("store/../..")) == ("diarise", OTHER)


def test_a_sync_s_events() -> None:
    stamp = Stamp(1000, 1, 1, 1)
    sent = FileDone("a.wav", Outcome.NEW, stamp, seconds=2.0, saved=400)
    assert added(sync_readings.of_event(sent)) == {
        ("lfk_sync_uploaded_bytes_total", ()): 600,
        ("lfk_sync_file_seconds", ()): 2,
    }
    assert added(sync_readings.of_event(replace(sent, outcome=Outcome.UNCHANGED))) == {}
    failed = FileDone("a.wav", Outcome.FAILED, stamp, error=AudioEmpty("no bytes"))
    assert added(sync_readings.of_event(failed)) == {("lfk_sync_failures_total", ("audio_empty",)): 1}
    away = Paused(BrokerUnreachable("no answer"), 1.0)
    assert added(sync_readings.of_event(away)) == {("lfk_sync_outages_total", ("broker_unreachable",)): 1}
    assert added(listen_readings.of_event(away)) == {("lfk_listen_outages_total", ("broker_unreachable",)): 1}
    refused = Done(Heard.FAILED, error=AudioEmpty("no bytes"))
    assert added(listen_readings.of_event(refused)) == {("lfk_listen_failures_total", ("audio_empty",)): 1}


def test_a_page_of_one_process_holds_what_it_was_told_and_nothing_of_another() -> None:
    first, second = Page("1.2.3", Meter()), Page("1.2.3", Meter())
    for page in (first, second):
        page.count("hub", lambda: iter([metrics.RETRIES.of(7)]))
    reported: list[Announcement] = []
    report = first.told(reported.append, of_answer)
    report(DONE)
    report(DONE)
    assert reported == [DONE, DONE]
    text = first.answer("/metrics")[2].decode()
    assert 'lfk_hub_jobs_total{approach="diarisation",model="tiny",outcome="done"} 2.0' in text
    assert "lfk_hub_retries_total 7.0" in text
    assert 'lfk_build_info{version="1.2.3"} 1.0' in text
    assert "_created" not in text
    assert "jobs_total{" not in second.answer("/metrics")[2].decode()
    assert {family.type for family in text_string_to_metric_families(text)} == {"counter", "gauge", "histogram"}


def test_a_number_that_cannot_be_told_costs_no_work(caplog: pytest.LogCaptureFixture) -> None:
    page = Page("1.2.3", Meter())
    page.count("hub", lambda: iter(()))
    reported: list[Announcement] = []

    def broken(_answer: Announcement) -> Iterable[Reading]:
        raise ZeroDivisionError

    page.told(reported.append, broken)(DONE)
    assert reported == [DONE]
    assert "an event is not counted" in caplog.text


class Measured:
    """A watch of a backlog with a broker that can be away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.leads = True
        self.away = False
        self.looks = 0
        monkeypatch.setattr(backlog_watch, "_SHARE", 1.0)
        self.watch = BacklogWatch(self._look, lambda: self.leads, 0.02)

    def _look(self) -> Mapping[str, Load]:
        if self.away:
            raise StoreUnreachable("no answer")
        self.looks += 1
        return {"fresh": Load(3, 90.0, time.time() - 60), "bulk": Load()}

    def told(self) -> dict[tuple[str, tuple[str, ...]], float]:
        return added(self.watch.readings())


def test_the_backlog_is_told_by_whoever_leads_and_while_it_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(monkeypatch)
    try:
        wait_until(measured.told, "nothing is measured")
        told = measured.told()
        assert told["lfk_backlog_audio_seconds", ("fresh",)] == 90
        assert told["lfk_backlog_references", ("bulk",)] == told["lfk_backlog_oldest_seconds", ("bulk",)] == 0
        assert 59 < told["lfk_backlog_oldest_seconds", ("fresh",)] < 70
        measured.away = True
        wait_until(lambda: not measured.told(), "what was true once is told for ever")
        measured.away = False
        wait_until(measured.told, "it is not measured again")
        measured.leads = False
        wait_until(lambda: not measured.told(), "two processes tell it")
        looks = measured.looks
        time.sleep(0.1)
        assert measured.looks == looks
    finally:
        measured.watch.close()
