"""The test servers themselves: each answers as its kind should, and none outlives its owner."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.conftest import StartServer
from tests.services import kafka as kafka_server
from tests.services import minio as minio_server
from tests.services.process import ServerEndedError, ServerProcess, free_ports
from tests.services.s3 import S3Server
from tests.services.toxiproxy import Toxiproxy
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(240)


@pytest.mark.kafka
def test_a_record_comes_back_from_kafka(kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.audio"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"value", b"key")
    producer.commit_transaction(30)
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([topic])
    record = consumer.poll(30)
    consumer.close()
    assert record is not None
    assert (record.key(), record.value()) == (b"key", b"value")


@pytest.mark.s3
def test_an_object_comes_back_and_is_never_overwritten_unasked(s3_server: S3Server, bucket: str) -> None:
    client = s3_server.client()
    client.put_object(Bucket=bucket, Key="a/ä %+.txt", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=bucket, Key="a/ä %+.txt", Body=b"second", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert client.get_object(Bucket=bucket, Key="a/ä %+.txt")["Body"].read() == b"first"


@pytest.mark.s3
def test_a_cut_proxy_is_an_outage_and_a_restored_one_is_none(minio: S3Server, toxiproxy: Toxiproxy) -> None:
    with toxiproxy.proxy(urlsplit(minio.endpoint_url).netloc, name="test-services") as proxy:
        client = replace(minio, endpoint_url=f"http://{proxy.address}").client()
        client.list_buckets()
        proxy.cut()
        with pytest.raises(BotoCoreError):
            client.list_buckets()
        proxy.restore()
        client.list_buckets()


@pytest.mark.kafka
@pytest.mark.slow
def test_clients_of_a_proxied_kafka_never_go_past_the_proxy(own_server: StartServer, toxiproxy: Toxiproxy) -> None:
    (port,) = free_ports(1)
    server = own_server(kafka_server, advertised=port)
    with toxiproxy.proxy(server.address.bootstrap, name="test-services-kafka", port=port) as proxy:
        brokers = AdminClient({"bootstrap.servers": proxy.address}).list_topics(timeout=30).brokers
        assert [(broker.host, broker.port) for broker in brokers.values()] == [("127.0.0.1", port)]


@pytest.mark.kafka
@pytest.mark.slow
def test_a_killed_kafka_comes_back_with_what_it_had(own_server: StartServer) -> None:
    server = own_server(kafka_server)
    admin = AdminClient({"bootstrap.servers": server.address.bootstrap, "log_level": 0})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(30)
    server.process.kill()
    server.process.start()
    assert "kept" in AdminClient({"bootstrap.servers": server.address.bootstrap}).list_topics(timeout=30).topics


@pytest.mark.s3
def test_a_paused_server_is_silent_until_it_is_resumed(own_server: StartServer) -> None:
    server = own_server(minio_server)
    listens = urlsplit(server.address.endpoint_url)
    server.process.pause()
    with socket.create_connection((str(listens.hostname), listens.port or 0), timeout=10) as asked:
        asked.sendall(b"GET /minio/health/live HTTP/1.0\r\n\r\n")
        asked.settimeout(1.0)
        with pytest.raises(TimeoutError):
            asked.recv(1)
        server.process.resume()
        asked.settimeout(30.0)
        assert asked.recv(4) == b"HTTP"


def test_a_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(pid_file), str(tmp_path / "log")])
    try:
        pid = int(_when_written(pid_file))
    finally:
        owner.kill()
        owner.wait()
    assert _gone(pid)


def test_a_server_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    broken = [sys.executable, "-c", "import sys; sys.exit('port taken')"]
    server = ServerProcess("broken", broken, log=tmp_path / "log", answers=lambda: False)
    with pytest.raises(ServerEndedError, match="port taken"):
        server.start()


@pytest.mark.parametrize(("required", "status", "word"), [("", 0, "SKIPPED"), ("1", 1, "ERROR")])
def test_a_missing_server_is_skipped_or_where_required_an_error(
    tmp_path: Path, required: str, status: int, word: str
) -> None:
    environ = {
        "PATH": str(tmp_path),
        "HOME": str(tmp_path),
        "LFK_CACHE": str(tmp_path),
        "LFK_REQUIRE_SERVICES": required,
        "DOCKER_HOST": f"unix://{tmp_path}/no.sock",
    }
    arguments = ["-p", "no:cacheprovider", "-n", "0", f"{__file__}::test_a_record_comes_back_from_kafka"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout
    assert word in done.stdout
    missing = ("LFK_TEST_KAFKA is not set", "no Docker engine answers", "java is not on the PATH")
    assert [part for part in missing if part not in done.stdout] == []


_OWNER = """
import sys, time
from pathlib import Path
from tests.services.process import ServerProcess
pid_file, log = map(Path, sys.argv[1:])
code = "import os, sys, time; open(sys.argv[1] + '.new', 'w').write(str(os.getpid())); "
code += "os.rename(sys.argv[1] + '.new', sys.argv[1]); time.sleep(600)"
ServerProcess("sleeper", [sys.executable, "-c", code, str(pid_file)], log=log, answers=pid_file.exists).start()
time.sleep(600)
"""


def _when_written(path: Path) -> str:
    wait_until(path.exists)
    return path.read_text()


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return False
