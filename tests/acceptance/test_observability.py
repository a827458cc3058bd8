"""What an operator sees of all roles at work on a real Kafka and a real S3 server: metrics, health, logs, traces.

One set-up for all: a watching sync, a listener, a gateway, a hub that fails now and then, and a reader that follows.
"""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lfk.core.metrics import BY_ROLE, EVERYWHERE
from lfk.core.readings import Metric
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.acceptance.web import TOKEN, Web
from tests.conftest import fresh_bucket
from tests.services.otlp import Collector, Seen, collector
from tests.services.process import free_ports
from tests.services.s3 import S3Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.slow]

FILES = 6
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
#: Of Prometheus' own, and of the process collector's.
FOREIGN = {"up", "process_resident_memory_bytes", "process_start_time_seconds", "process_cpu_seconds_total"}


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and content; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Scrape:
    """The samples of one page, by name; histograms by the names of their parts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self.samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def sum(self, name: str, **labels: str) -> float:
        return sum(value for found, value in self.samples.get(name, []) if labels.items() <= found.items())


@dataclass
class Seenings:
    """What all roles told until they were stopped."""

    pages: dict[str, Scrape] = field(default_factory=dict)
    ready: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    spans: list[Seen] = field(default_factory=list)

    def all(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Samples of every page."""
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for page in self.pages.values():
            for name, samples in page.samples.items():
                found.setdefault(name, []).extend(samples)
        return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, kafka: str, minio: S3Server) -> Iterator[Seenings]:
    folder = tmp_path_factory.mktemp("observed")
    with fresh_bucket(minio) as bucket, collector() as traces:
        yield run_all(folder, on_servers(folder, kafka, minio, bucket, f"t{bucket}"), traces)


def run_all(folder: Path, lfk: Lfk, traces: Collector) -> Seenings:
    roles = ("sync", "listen", "gateway", "hub", "transcripts", "status", "webhook", "web", "page")
    ports = dict(zip(roles, free_ports(len(roles)), strict=True))
    lfk.environ = {
        **lfk.environ,
        "LFK_PARTITIONS": "2",
        "LFK_ATTEMPTS": "2",
        "LFK_BACKOFF": "0.1",
        "LFK_BACKLOG_INTERVAL": "0.5",
        "LFK_LOG_FORMAT": "json",
        "LFK_LOG_LEVEL": "info",
        "LFK_WEB_TOKEN": TOKEN,
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces.endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20let-me-in",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    expect_ok(lfk("init"))
    recordings = folder / "recordings"
    make_recordings(recordings, FILES)
    (recordings / "simple" / "tiny" / "empty.wav").write_bytes(b"")
    (folder / "chunked.wav").write_bytes((recordings / "simple/tiny/week 1/talk 0 100%+#?.wav").read_bytes() + b"more")
    commands = {
        "sync": ("sync", "recordings", "--watch"),
        # No notification comes: what it finds is what its first look finds.
        "listen": ("listen", "--source", "webhook", "--address", f"127.0.0.1:{ports['webhook']}", "--reconcile", "0"),
        "gateway": ("chunks", "gateway"),
        "transcripts": ("transcripts", "--follow", "--out", "out"),
        "status": ("status", "--serve"),
        "web": ("web", "--bind", f"127.0.0.1:{ports['page']}"),
    }
    told = Seenings()

    def look(role: str) -> Scrape:
        return Scrape(ask(ports[role], "/metrics")[1])

    with ExitStack() as stack:
        running = {}
        for role, arguments in commands.items():
            running[role] = lfk.start(*arguments, "--health", f"127.0.0.1:{ports[role]}")
            stack.callback(running[role].kill)
        wait_until(lambda: look("sync").sum("lfk_sync_references_total") == FILES, "sync sends no references")
        expect_ok(lfk("chunks", "send", "chunked.wav", "--approach", "segmentation", "--model", "tiny"))
        expect_ok(lfk("submit", "--from-file", str(missing(folder)), "--trust"))
        # Before there is a hub, the backlog is told by who was asked to.
        wait_until(lambda: look("status").sum("lfk_backlog_references", lane="fresh") >= FILES + 2, "nothing waits")
        told.pages["before"] = look("status")
        running["hub"] = lfk.start("hub", "--workers", "2", "--health", f"127.0.0.1:{ports['hub']}")
        stack.callback(running["hub"].kill)
        wait_until(lambda: look("hub").sum("lfk_hub_jobs_total") >= FILES + 2, "the hub answers too little")
        wait_until(lambda: look("hub").sum("lfk_backlog_looked_timestamp_seconds") > 0, "no hub measures the backlog")
        wait_until(lambda: look("hub").sum("lfk_backlog_references") == 0, "something waits for ever")
        wait_until(lambda: look("transcripts").sum("lfk_transcripts_announcements_total") >= FILES + 2, "not received")
        wait_until(lambda: look("listen").sum("lfk_listen_rounds_total") > 0, "the listener never looks")
        visit(Web(f"127.0.0.1:{ports['page']}"))
        wait_until(lambda: ask(ports["web"], "/readyz")[0] == 200, "the page never sees store and broker")
        for role in running:
            told.pages[role] = look(role)
            told.ready[role] = (ask(ports[role], "/readyz"), ask(ports[role], "/healthz"))
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        for role, process in running.items():
            told.outputs[role] = process.communicate(timeout=60)[0]
            assert process.returncode in (0, 1), told.outputs[role]
    told.spans = list(traces.spans)
    assert {headers.get("authorization") or headers.get("Authorization") for headers in traces.headers} == {
        "Bearer let-me-in"
    }
    return told


def visit(web: Web) -> None:
    """What people and programs do with the page, for better or worse."""
    assert web.ask("GET", "/").status == 200
    assert web.upload("shown.exe", b"no recording").status == 400
    assert web.ask("GET", "/t/simple/tiny/talk of nobody.wav".replace(" ", "%20")).status == 404
    assert web.ask("GET", "/talk.php").status == 404


def missing(folder: Path) -> Path:
    """A list that names audio that is not there, which a hub answers with a failure."""
    path = folder / "list.txt"
    path.write_text("simple/tiny/not there \u2028 ever.wav\n", encoding="utf-8")
    return path


def test_every_declared_metric_is_exported_and_no_other_of_ours(seen: Seenings) -> None:
    pages = {
        "hub": "hub",
        "sync": "sync",
        "listen": "listen",
        "gateway": "chunks",
        "transcripts": "transcripts",
        "web": "web",
    }
    for page, role in pages.items():
        found = set(re.findall(r"^# TYPE (\S+)", seen.pages[page].text, re.M))
        ours = {metric.name for metric in (*BY_ROLE[role], *EVERYWHERE)}
        if role == "hub":
            ours |= {metric.name for metric in BY_ROLE["backlog"]}
        assert {name for name in found if name.startswith("lfk_")} == ours


def test_labels_are_the_declared_ones_and_come_from_lists(seen: Seenings) -> None:
    declared: dict[str, Metric] = {
        metric.name: metric for metrics in (*BY_ROLE.values(), EVERYWHERE) for metric in metrics
    }
    series = 0
    for name, samples in seen.all().items():
        metric = declared.get(name) or declared.get(re.sub(r"_(bucket|sum|count)$", "", name))
        if metric is None:
            assert name.startswith("process_")
            continue
        series += len(samples)
        for labels, _value in samples:
            assert set(labels) - {"le"} == set(metric.labels), name
            assert all(re.fullmatch(r"[a-z0-9_.+/{}-]*|\+Inf", value) for value in labels.values()), labels
    assert "talk" not in "".join(page.text for page in seen.pages.values())
    assert series < 1000


def test_what_was_done_is_counted(seen: Seenings) -> None:
    hub, sync = seen.pages["hub"], seen.pages["sync"]
    done = hub.sum("lfk_hub_jobs_total", approach="simple", model="tiny", outcome="done")
    assert done + hub.sum("lfk_hub_jobs_total", approach="simple", outcome="reused") == FILES
    assert hub.sum("lfk_hub_jobs_total", approach="segmentation", outcome="done") == 1
    assert hub.sum("lfk_hub_jobs_total", outcome="failed") == hub.sum("lfk_hub_dead_letters_total") == 1
    assert hub.sum("lfk_hub_failures_total", code="object_missing", stage="fetch") == 1
    assert hub.sum("lfk_hub_audio_seconds_total", outcome="done") > 0
    assert hub.sum("lfk_hub_stage_seconds_count", stage="transcribe", model="tiny") == done + 1
    assert 0.05 < hub.sum("lfk_hub_stage_seconds_sum", stage="transcribe") < 60
    assert hub.sum("lfk_hub_rtfx_count") == done + 1
    assert hub.sum("lfk_hub_engines", state="ready") == 2
    assert hub.sum("lfk_hub_partitions", lane="fresh") == 2
    assert hub.sum("lfk_hub_trouble") == 0
    assert abs(hub.sum("lfk_last_poll_timestamp_seconds", role="hub") - time.time()) < 120
    assert hub.sum("process_resident_memory_bytes") > 1 << 20
    assert sync.sum("lfk_sync_files_total", outcome="new") == sync.sum("lfk_sync_file_seconds_count") == FILES
    assert sync.sum("lfk_sync_failures_total", code="audio_empty") >= 1
    assert sync.sum("lfk_sync_uploaded_bytes_total") == FILES * 3244
    assert sync.sum("lfk_sync_last_scan_timestamp_seconds") > 0
    gateway, transcripts = seen.pages["gateway"], seen.pages["transcripts"]
    assert gateway.sum("lfk_chunks_audios_total", outcome="joined") == 1
    assert transcripts.sum("lfk_transcripts_announcements_total", status="done") == FILES + 1
    assert transcripts.sum("lfk_transcripts_files_total", outcome="fetched") == 5 * (FILES + 1)
    web = seen.pages["web"]
    assert web.sum("lfk_web_requests_total", method="put", route="/api/recordings", status="4xx") == 1
    assert web.sum("lfk_web_requests_total", route="/t/{key}", status="4xx") == 1
    assert web.sum("lfk_web_requests_total", route="other") == 1
    assert web.sum("lfk_web_request_seconds_count", route="/") == 1
    assert web.sum("lfk_web_upload_failures_total", code="invalid_location") == 1


def test_what_waits_is_measured_in_seconds_of_audio_also_before_there_is_a_hub(seen: Seenings) -> None:
    before = seen.pages["before"]
    assert before.sum("lfk_backlog_references", lane="fresh") >= FILES + 2
    # One of them names audio of which nothing is known; it is taken to be like the others.
    assert 0.1 < before.sum("lfk_backlog_audio_seconds", lane="fresh") < 10
    assert 0 < before.sum("lfk_backlog_oldest_seconds", lane="fresh") < 120
    assert before.sum("lfk_backlog_references", lane="bulk") == 0


def test_every_role_is_alive_and_ready(seen: Seenings) -> None:
    for role, answers in seen.ready.items():
        for status, body in answers:
            assert (status, json.loads(body)["status"]) == (200, "ready"), role


def test_log_lines_are_json_and_say_which_job_they_are_about(seen: Seenings) -> None:
    lines = [json.loads(line) for line in seen.outputs["hub"].splitlines() if line.startswith("{")]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    answered = [line for line in lines if line["message"].startswith("answered")]
    assert len(answered) == FILES + 1
    assert all(len(line["job_id"]) == 64 and line["event_id"] for line in answered)
    failed = [line for line in lines if line["level"] == "error"]
    assert [line["message"].partition(" ")[0] for line in failed] == ["object_missing"]
    assert failed[0]["event_id"]


def test_one_file_is_one_trace_from_sender_to_reader(seen: Seenings) -> None:
    by_trace: dict[str, list[Seen]] = {}
    for span in seen.spans:
        by_trace.setdefault(span.trace, []).append(span)
    whole = [spans for spans in by_trace.values() if any(span.service == "lfk-sync" for span in spans)]
    assert len(whole) == FILES
    for spans in whole:
        by_kind = {(span.service, span.kind): span for span in spans}
        sent, read = by_kind["lfk-sync", "producer"], by_kind["lfk-transcripts", "consumer"]
        worked = by_kind["lfk-hub", "consumer"]
        assert sent.parent == ""
        assert worked.parent == sent.span
        assert read.parent == worked.span
        assert read.linked == (worked.span,)
        stages = sorted((span for span in spans if span.parent == worked.span and span.kind == "internal"), key=start)
        names = [span.name for span in stages]
        assert names in (["fetch", "queue", "transcribe", "write"], ["fetch", "write"], [])
        assert all(worked.start <= span.start <= span.end <= worked.end for span in stages)
        assert all(a.end <= b.start for a, b in pairwise(stages))
        assert not any(span.failed for span in spans)
        assert worked.attributes["lfk.event_id"] == read.attributes["lfk.event_id"]
        assert worked.attributes["lfk.approach"] == "simple.tiny"
    failed = [span for span in seen.spans if span.failed]
    assert {(span.service, span.attributes["error.type"]) for span in failed} == {("lfk-hub", "object_missing")}
    assert {span.service for span in by_trace[failed[0].trace]} == {"lfk-submit", "lfk-hub", "lfk-transcripts"}


def start(span: Seen) -> int:
    return span.start


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of the dashboard and of the rules, with where it is from."""
    board = json.loads((DEPLOY / "grafana" / "lfk.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


@pytest.mark.parametrize(("where", "expression"), [*expressions()], ids=lambda text: text[:40])
def test_what_dashboard_and_alerts_ask_for_is_there(seen: Seenings, where: str, expression: str) -> None:
    exported = seen.all()
    names = set(re.findall(r"\b(?:lfk|process)_[a-z_]+|\bup\b", expression))
    assert names
    for name in names - FOREIGN:
        assert name in exported, f"{where}: nobody exports {name}"
    for name, matchers in re.findall(r"\b((?:lfk|process)_[a-z_]+)\{([^}]*)\}", expression):
        asked = dict(re.findall(r'(\w+)\s*[=!]~?\s*"([^"]*)"', matchers))
        labels = {label for found, _value in exported[name] for label in found}
        assert set(asked) <= labels | {"job", "instance"}, f"{where}: {name} has no {set(asked) - labels}"
    for asked in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", expression):
        labels = {label for name in names - FOREIGN for found, _value in exported[name] for label in found}
        assert {one.strip() for one in asked.split(",") if one.strip()} <= labels | {"job", "instance", "le"}, where
