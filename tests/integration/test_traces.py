"""Spans as a collector gets them, and what a collector that is away, slow or absent costs: nothing."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lfk.brokers.base import Delivered, Partition
from lfk.brokers.codec import JsonCodec
from lfk.core.cloudevents import TRACEPARENT
from lfk.core.errors import EngineCrashed
from lfk.core.failure_record import OriginalRecord
from lfk.core.location import Location
from lfk.core.messages import AudioReference
from lfk.roles.failures import Failures
from lfk.roles.hub.answers import receive
from lfk.roles.hub.trace import trace_job
from lfk.roles.outbox import waiting_records
from lfk.roles.sender import ReferenceSender
from lfk.stores.folder import FolderStore
from lfk.telemetry.traces import FLUSH_SECONDS, OtlpTracer
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok
from tests.acceptance.web import TOKEN, serving
from tests.integration.syncing import FakePublisher
from tests.roles.failing import EVENT, failure_record
from tests.services.otlp import Collector, collector
from tests.services.process import free_ports

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
AUDIO = Location("s3", "bucket", "audio/simple/tiny/x.wav")


@pytest.fixture
def traces() -> Iterator[Collector]:
    with collector() as found:
        yield found


@contextmanager
def tracer(endpoint: str) -> Iterator[OtlpTracer]:
    made = OtlpTracer(f"{endpoint}/v1/traces", {}, "lfk-test", "1.2.3")
    try:
        yield made
    finally:
        made.close()


def test_a_span_names_its_parent_and_carries_itself_on(traces: Collector) -> None:
    with tracer(traces.endpoint) as one:
        span = one.begin(
            "process lfk.audio", "consumer", parent=PARENT, linked=True, at=100.0, attributes={"a": 1, "b": None}
        )
        span.end(error="engine_crashed", at=103.5)
    (seen,) = traces.spans
    assert (seen.trace, seen.parent) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert seen.linked == (seen.parent,)
    assert span.header == f"00-{seen.trace}-{seen.span}-01".encode()
    assert (seen.kind, seen.failed, seen.attributes) == ("consumer", True, {"a": 1, "error.type": "engine_crashed"})
    assert seen.end - seen.start == 3_500_000_000


@pytest.mark.parametrize(
    "parent", [b"", b"nonsense", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", b"\xff" * 400, b"a\r\nb: c"]
)
def test_a_parent_that_is_none_begins_a_trace_of_its_own(traces: Collector, parent: bytes) -> None:
    with tracer(traces.endpoint) as one:
        one.begin("send", "producer", parent=parent, linked=True).end()
    assert (traces.spans[0].parent, traces.spans[0].linked) == ("", ())


def test_who_sends_a_reference_is_its_parent(traces: Collector) -> None:
    publisher = FakePublisher()
    with tracer(traces.endpoint) as one:
        sender = ReferenceSender(publisher, JsonCodec(), "lfk.audio", "lfk/test", one)
        sender.send(AUDIO, AudioReference(str(AUDIO)), lambda _error: None)
    (seen,) = traces.spans
    assert publisher.records[0].headers[TRACEPARENT].startswith(f"00-{seen.trace}-{seen.span}-".encode())
    assert (seen.name, seen.kind) == ("send lfk.audio", "producer")
    assert seen.attributes["messaging.destination.name"] == "lfk.audio"


def test_a_job_s_stages_follow_one_another_and_the_one_that_failed_says_so(traces: Collector) -> None:
    record = Delivered(Partition("lfk.audio", 3), 17, 0, b"k", b"{}", {TRACEPARENT: PARENT})
    job, _due = receive(record)
    began = time.time() - 60
    job.started = began
    job.began = {"fetch": began, "queue": began + 2, "transcribe": began + 10, "align": began + 40}
    job.timings = {"queued": 1.0, "fetch": 1.5, "transcribe": 30.0}
    with tracer(traces.endpoint) as one:
        header = trace_job(one, job, EngineCrashed("it died"))
    spans = {span.name: span for span in traces.spans}
    whole = spans.pop("process lfk.audio")
    assert header == f"00-{whole.trace}-{whole.span}-01".encode()
    assert whole.attributes["messaging.kafka.offset"] == 17
    lengths = {name: round((span.end - span.start) / 1e9, 1) for name, span in spans.items()}
    assert lengths == {"fetch": 1.5, "queue": 8.0, "transcribe": 30.0, "align": 20.0}
    assert {name for name, span in spans.items() if span.failed} == {"align"}
    assert all(span.parent == whole.span for span in spans.values())


@pytest.mark.parametrize("away", ["refuses", "hangs"])
def test_a_collector_that_is_away_costs_neither_work_nor_a_stop(away: str, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        (port,) = free_ports(1)
        if away == "hangs":
            silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = silent.getsockname()[1]
        began = time.monotonic()
        with caplog.at_level(logging.WARNING), tracer(f"http://127.0.0.1:{port}") as one:
            for _ in range(5000):
                one.begin("send", "producer").end()
            assert time.monotonic() - began < 5
        assert time.monotonic() - began < 5 + FLUSH_SECONDS
    assert len(caplog.records) <= 1


def test_whatever_sends_a_reference_has_a_span_and_names_it_in_the_message(tmp_path: Path, traces: Collector) -> None:
    """The commands themselves; as no broker runs, what they sent lies in the store."""
    store = Location("file", "", f"{tmp_path}/store/")
    audio = store.join("audio/simple/tiny/x.wav")
    places = FolderStore(store)
    (tmp_path / "store").mkdir()
    places.put(audio, b"RIFF", content_type="audio/wav")
    failed = OriginalRecord.of(
        "lfk.audio", b"k", JsonCodec().encode_reference(AudioReference(str(audio))), {TRACEPARENT: PARENT}
    )
    Failures(places, store.join(".lfk")).save(failure_record(path=str(audio), original=failed))
    lfk = Lfk(tmp_path, LFK_STORE="store", OTEL_EXPORTER_OTLP_ENDPOINT=traces.endpoint, LFK_WEB_TOKEN=TOKEN)

    expect_ok(lfk("republish"))
    expect_ok(lfk("dlq", "retry", EVENT[:8]))
    with serving(lfk) as web:
        assert web.upload("y.wav", b"RIFF").status == 201
        assert web.ask("POST", f"/api/failures/{EVENT}/retry").status == 204

    sent = {f"00-{span.trace}-{span.span}": (span.service, span.name, span.parent) for span in traces.spans}
    headers = [record.headers[TRACEPARENT].decode() for record in waiting_records(places, store.join(".lfk"))]
    assert sorted(header.rpartition("-")[0] for header in headers) == sorted(sent)
    parent = PARENT.decode().split("-")[2]
    assert sorted(sent.values()) == [
        ("lfk-dlq", "send lfk.audio", parent),
        ("lfk-republish", "send lfk.audio.bulk", ""),
        ("lfk-web", "send lfk.audio", ""),
        ("lfk-web", "send lfk.audio", parent),
    ]
    assert len(traces.spans) == len(sent)


def test_without_the_extra_there_is_a_warning_and_no_trace(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "recordings").mkdir()
    lfk = Lfk(tmp_path, LFK_STORE="store", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    probe = (
        "import sys; sys.modules['opentelemetry'] = None; from lfk.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, "sync", "recordings"],
        cwd=tmp_path,
        env=dict(lfk.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "install lfk[otel]" in done.stderr
