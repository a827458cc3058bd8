"""lfk with a Schema Registry through the command line: both forms, both ways of sending, a registry that is away."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from lfk.brokers.base import Delivered
from lfk.brokers.kafka import KafkaBroker
from lfk.brokers.registry_codec import own_schema
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings
from tests.conftest import StartServer
from tests.services import schema_registry as schema_registry_server
from tests.services.process import Running, free_ports
from tests.services.schema_registry import SchemaRegistry
from tests.services.toxiproxy import Toxiproxy
from tests.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

FILES = 3
USER, PASSWORD = "registry-key", "registry-secret-55"
#: A registry that is away is told of after its two tries, beside what a command takes to start.
SOON = 15.0


@pytest.fixture
def registry(own_server: StartServer) -> Running[SchemaRegistry]:
    """One of this test's own, which asks for credentials as Confluent Cloud's does."""
    return own_server(schema_registry_server, user=USER, password=PASSWORD)


def lfk_on(folder: Path, kafka: str, registry: SchemaRegistry, prefix: str, **more: str) -> Lfk:
    topics = {
        f"LFK_TOPIC_{name.upper()}": f"{prefix}.{name}"
        for name in ("audio", "bulk", "chunks", "transcripts", "retry", "dlq")
    }
    own = {"LFK_GROUP": f"{prefix}.hub", "LFK_CHUNKS_GROUP": f"{prefix}.chunks", "LFK_PARTITIONS": "2"}
    return Lfk(
        folder,
        BOOTSTRAP_SERVERS=kafka,
        LFK_STORE=str(folder / "store"),
        LFK_ENGINE="canned",
        SCHEMA_REGISTRY_URL=registry.url,
        SCHEMA_REGISTRY_KEY=registry.user,
        SCHEMA_REGISTRY_SECRET=registry.password,
        **own,
        **topics,
        **more,
    )


def values(kafka: str, topic: str) -> list[bytes]:
    return [record.value or b"" for record in records(kafka, topic)]


def records(kafka: str, topic: str) -> list[Delivered]:
    return list(KafkaBroker({"bootstrap.servers": kafka}).snapshot(topic))


@pytest.fixture
def client(registry: Running[SchemaRegistry]) -> Iterator[SchemaRegistryClient]:
    credentials = {"basic.auth.user.info": f"{USER}:{PASSWORD}"}
    with SchemaRegistryClient({"url": registry.address.url, **credentials}) as client:
        yield client


@pytest.mark.parametrize("kind", ["JSON", "Avro"])
def test_both_ways_of_sending(
    tmp_path: Path, kafka: str, registry: Running[SchemaRegistry], client: SchemaRegistryClient, topic_prefix: str,
    kind: str,
) -> None:  # fmt: skip
    lfk = lfk_on(tmp_path, kafka, registry.address, topic_prefix, SCHEMA_TYPE=kind)
    make_recordings(tmp_path / "recordings", FILES)
    made = expect_ok(lfk("init"))
    assert f"made schema {topic_prefix}.audio-value" in made.out
    assert len(client.get_subjects()) == 5
    expect_ok(lfk("sync", "recordings"))
    (tmp_path / "chunked").mkdir()
    (tmp_path / "chunked" / "talk.wav").write_bytes(next((tmp_path / "recordings").rglob("*.wav")).read_bytes())
    expect_ok(lfk("chunks", "send", "chunked/talk.wav", "--approach", "simple", "--model", "tiny"))
    expect_ok(lfk("chunks", "gateway", "--exit-when-idle", "2"))
    # A sender that knows of no registry, on the same topic.
    again = next((tmp_path / "recordings").rglob("*.wav")).relative_to(tmp_path / "recordings/simple/tiny").as_posix()
    publish(kafka, f"{topic_prefix}.audio", json.dumps({"path_to_audio": f"simple/tiny/{again}"}).encode())
    hub = expect_ok(lfk("hub", "--workers", "2", "--max-jobs", str(FILES + 2), "--exit-when-idle", "20"))
    assert hub.out.count("\ndone  ") == FILES + 2

    read = lfk("transcripts", "--json")
    assert len(read.of("transcript")) == FILES + 2
    sent = values(kafka, f"{topic_prefix}.audio")
    assert [value[0] for value in sent].count(0) == FILES + 1
    schema = client.get_schema(int.from_bytes(next(value for value in sent if value[0] == 0)[1:5], "big"))
    assert schema.schema_type == kind.upper()
    assert all(value[0] == 0 for value in values(kafka, f"{topic_prefix}.transcripts"))
    assert all(value[0] == 0 for value in values(kafka, f"{topic_prefix}.chunks"))


def test_init_registers_once_and_the_doctor_looks(
    tmp_path: Path, kafka: str, registry: Running[SchemaRegistry], client: SchemaRegistryClient, topic_prefix: str
) -> None:
    lfk = lfk_on(tmp_path, kafka, registry.address, topic_prefix, SCHEMA_TYPE="Avro")
    rehearsed = expect_ok(lfk("init", "--dry-run"))
    assert f"would make schema {topic_prefix}.audio-value" in rehearsed.out
    assert client.get_subjects() == []
    expect_ok(lfk("init"))
    assert f"there already: schema {topic_prefix}.audio-value" in expect_ok(lfk("init")).out
    doctor = lfk("doctor")
    assert "lfk's Avro schemas are registered under 5 subjects" in doctor.out
    assert PASSWORD not in doctor.out + doctor.err
    client.delete_subject(f"{topic_prefix}.chunks-value")
    (tmp_path / "recordings").mkdir()
    unready = lfk("sync", "recordings")
    assert unready.code == 2
    assert f"{topic_prefix}.chunks-value" in unready.err
    assert "lfk init" in unready.err


def test_a_hub_at_work_waits_for_a_registry_that_is_away(
    tmp_path: Path, kafka: str, registry: Running[SchemaRegistry], client: SchemaRegistryClient,
    toxiproxy: Toxiproxy, topic_prefix: str,
) -> None:  # fmt: skip
    make_recordings(tmp_path / "recordings", 1)
    recording = next((tmp_path / "recordings").rglob("*.wav")).relative_to(tmp_path / "recordings").as_posix()
    newer = json.loads(own_schema("audio-reference", avro=True).schema_str or "")
    newer["fields"].append({"name": "added", "type": "string", "default": ""})
    (port,) = free_ports(1)
    upstream = registry.address.url.removeprefix("http://")
    with toxiproxy.proxy(upstream, name=topic_prefix) as proxy:
        through = SchemaRegistry(f"http://{proxy.address}", USER, PASSWORD)
        health = f"127.0.0.1:{port}"
        lfk = lfk_on(tmp_path, kafka, through, topic_prefix, SCHEMA_TYPE="Avro", LFK_ATTEMPTS="1", LFK_HEALTH=health)
        expect_ok(lfk("init"))
        expect_ok(lfk("sync", "recordings"))
        number = client.register_schema(f"{topic_prefix}.audio-value", Schema(json.dumps(newer), "AVRO"))
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(newer), {"path_to_audio": recording, "added": "x"})
        with lfk.running("hub", "--workers", "1"):
            wait_until(lambda: len(values(kafka, f"{topic_prefix}.transcripts")) == 1)
            proxy.cut()
            publish(kafka, f"{topic_prefix}.audio", b"\0" + number.to_bytes(4, "big") + out.getvalue())
            wait_until(lambda: readiness(health) == 503)
            assert len(values(kafka, f"{topic_prefix}.transcripts")) == 1
            proxy.restore()
            wait_until(lambda: len(values(kafka, f"{topic_prefix}.transcripts")) == 2)
            assert readiness(health) == 200
        assert values(kafka, f"{topic_prefix}.dlq") == []
        assert values(kafka, f"{topic_prefix}.retry") == []


def readiness(address: str) -> int:
    """The status that a hub's /readyz answers with."""
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def publish(kafka: str, topic: str, *sent: bytes) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    for value in sent:
        producer.produce(topic, value, b"key")
    assert producer.flush(20) == 0


def test_what_no_schema_explains_becomes_a_dead_letter_byte_for_byte(
    tmp_path: Path, kafka: str, registry: Running[SchemaRegistry], client: SchemaRegistryClient, topic_prefix: str
) -> None:
    lfk = lfk_on(tmp_path, kafka, registry.address, topic_prefix, SCHEMA_TYPE="Avro")
    expect_ok(lfk("init"))
    bomb = {
        "type": "record",
        "name": "AudioReference",
        "namespace": "lfk",
        "fields": [{"name": "path_to_audio", "type": {"type": "array", "items": "null"}}],
    }
    number = client.register_schema("elsewhere-value", Schema(json.dumps(bomb), "AVRO"))
    own = client.get_latest_version(f"{topic_prefix}.audio-value").schema_id or 0
    hostile = [
        b"\0" + (4711).to_bytes(4, "big") + b"\x02a",
        b"\0" + number.to_bytes(4, "big") + b"\x80\x80\x80\x80\x80\x80\x01",
        b"\0" + own.to_bytes(4, "big") + b"\xff" * 50,
        b"\0",
        b"\x02a",
    ]
    publish(kafka, f"{topic_prefix}.audio", *hostile)
    count = str(len(hostile))
    hub = lfk("hub", "--workers", "1", "--max-jobs", count, "--exit-when-idle", "20")
    assert hub.code in (0, 1), hub.err
    letters = records(kafka, f"{topic_prefix}.dlq")
    assert sorted(letter.value or b"" for letter in letters) == sorted(hostile)
    assert {letter.headers["lfk.error.code"] for letter in letters} == {b"malformed_message"}
    assert {letter.headers["lfk.error.attempts"] for letter in letters} == {b"1"}
    answers = lfk("transcripts", "--json").of("transcript")
    assert len(answers) == len(hostile)


def test_a_registry_that_refuses_or_is_away_is_told_of(
    tmp_path: Path, kafka: str, registry: Running[SchemaRegistry], client: SchemaRegistryClient, topic_prefix: str
) -> None:
    lfk = lfk_on(tmp_path, kafka, registry.address, topic_prefix, SCHEMA_TYPE="Avro")
    other = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "int"}]}
    client.register_schema(f"{topic_prefix}.audio-value", Schema(json.dumps(other), "AVRO"))
    for command in (("init", "--dry-run"), ("init",)):
        refused = lfk(*command)
        assert refused.code == 2
        assert "schema_refused" in refused.err
        assert f"{topic_prefix}.audio-value" in refused.err
    make_recordings(tmp_path / "recordings", 1)

    denied = lfk_on(tmp_path, kafka, SchemaRegistry(registry.address.url, USER, "wrong-77"), topic_prefix)
    for command in (("init",), ("sync", "recordings")):
        done = denied(*command)
        assert (done.code, "registry_denied" in done.err) == (2, True), done.err
        assert "wrong-77" not in done.out + done.err

    registry.process.kill()
    for command in (("sync", "recordings"), ("hub", "--exit-when-idle", "1")):
        began = time.monotonic()
        done = lfk(*command)
        assert (done.code, "registry_unreachable" in done.err) == (3, True), done.err
        assert "SCHEMA_REGISTRY_URL" in done.err
        assert time.monotonic() - began < SOON
    doctor = lfk("doctor")
    assert doctor.code == 3
    assert "fail  registry" in doctor.out
    assert PASSWORD not in doctor.out + doctor.err


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    for environ, said in (
        ({"SCHEMA_TYPE": "Avro"}, "needs a Schema Registry"),
        ({"SCHEMA_REGISTRY_URL": "mock://here"}, "no address of a Schema Registry"),
        ({"SCHEMA_REGISTRY_URL": "http://127.0.0.1:1", "SCHEMA_REGISTRY_KEY": "k"}, "SCHEMA_REGISTRY_SECRET"),
    ):
        done = Lfk(tmp_path, LFK_STORE=str(tmp_path / "store"), **environ)("submit", "simple/tiny/x.wav")
        assert (done.code, said in done.err) == (2, True), done.err
