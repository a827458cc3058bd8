"""Every command of the pages for users, run on a real Kafka and a real S3 server, one page after the other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lfk.brokers.base import Record
from lfk.brokers.kafka import KafkaBroker
from tests.acceptance.command import Lfk
from tests.acceptance.test_bad_input import closed_port
from tests.acceptance.test_pipeline import expect_ok, on_servers
from tests.docs.pages import PAGES, ROOT, commands
from tests.docs.walk import Scene, walk
from tests.services.minio_roles import user_with
from tests.services.s3 import S3Server

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.slow]

_SPEECH = ROOT / "lfk" / "demo" / "speech"
_CONVERSATION = _SPEECH / "conversation.flac"


@pytest.fixture
def lfk(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> Lfk:
    return on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)


def tone(path: Path, number: int = 0, seconds: float = 0.2) -> None:
    """A recording whose content is the number's own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(16000)
        audio.writeframes(number.to_bytes(2, "little") * int(16000 * seconds))


def transcribed(lfk: Lfk, folder: str = "rec") -> None:
    """What is in a folder is in the store and has its transcripts."""
    expect_ok(lfk("init"))
    found = expect_ok(lfk("sync", folder, "--json")).of("summary")[0]["new"]
    answered(lfk, found)


def answered(lfk: Lfk, count: int) -> None:
    """A hub has answered so many references."""
    assert lfk("hub", "--max-jobs", str(count)).code in (0, 1)


def publish(lfk: Lfk, key: bytes, value: bytes, headers: dict[str, bytes] | None = None) -> None:
    broker = KafkaBroker({"bootstrap.servers": lfk.environ["BOOTSTRAP_SERVERS"]})
    publisher = broker.publisher()
    publisher.send(Record(lfk.environ["LFK_TOPIC_AUDIO"], key, value, headers or {}), lambda _error: None)
    assert publisher.flush(30) == 0
    publisher.close()
    broker.close()


def objects(lfk: Lfk) -> S3Server:
    return S3Server(
        "minio",
        lfk.environ["AWS_ENDPOINT_URL_S3"],
        lfk.environ["AWS_ACCESS_KEY_ID"],
        lfk.environ["AWS_SECRET_ACCESS_KEY"],
        lfk.environ["AWS_REGION"],
    )


def bucket_of(lfk: Lfk) -> str:
    return lfk.environ["LFK_STORE"].split("/")[2]


def remove(lfk: Lfk, *keys: str) -> None:
    client = objects(lfk).client()
    for key in keys:
        client.delete_object(Bucket=bucket_of(lfk), Key=f"lfk/{key}")


# --- scenes


def speech(lfk: Lfk) -> None:
    for name, folder in (
        ("sense-and-sensibility-1.flac", "simple/tiny"),
        ("sense-and-sensibility-2.flac", "simple/tiny"),
        ("conversation.flac", "diarisation/tiny/board"),
    ):
        target = lfk.folder / "recordings" / folder
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_SPEECH / name, target / ("2026-11.flac" if "board" in folder else name))


def misfits(lfk: Lfk) -> None:
    tone(lfk.folder / "recordings/simple/gigantic/x.flac")
    (lfk.folder / "recordings/simple/tiny/empty.wav").touch()


def no_misfits(lfk: Lfk) -> None:
    shutil.rmtree(lfk.folder / "recordings/simple/gigantic")
    (lfk.folder / "recordings/simple/tiny/empty.wav").unlink()


class Second:
    """Something that happens before the second of two commands that are the same."""

    def __init__(self, happens: object) -> None:
        self._happens = happens
        self._times = 0

    def __call__(self, lfk: Lfk) -> None:
        self._times += 1
        if self._times == 2:
            self._happens(lfk)  # type: ignore[operator]


def a_worn_store(lfk: Lfk) -> None:
    """Five recordings with their transcripts, and then something of everything goes wrong."""
    for number in range(5):
        tone(lfk.folder / f"rec/simple/tiny/talk{number}.wav", number)
    transcribed(lfk)
    tone(lfk.folder / "rec/simple/tiny/talk0.wav", 77)
    expect_ok(lfk("sync", "rec"))
    transcripts = "transcripts/simple/tiny"
    remove(lfk, *(f"{transcripts}/talk1.wav.{form}" for form in ("json", "txt", "srt", "vtt", "html")))
    remove(lfk, *(f"{transcripts}/talk2.wav.{form}" for form in ("json", "srt", "vtt", "html")))
    remove(lfk, "audio/simple/tiny/talk3.wav")


def latest_batch(lfk: Lfk) -> str:
    return str(expect_ok(lfk("status", "--json")).of("status")[0]["batches"][0]["batch_id"])


def dead_letters(lfk: Lfk) -> None:
    """A model that is not listed, a message that is none, and a recording that is not there."""
    expect_ok(lfk("init"))
    publish(lfk, b"simple/gigantic/intro.wav", b'{"path_to_audio": "simple/gigantic/intro.wav"}')
    publish(lfk, b"legacy-uploader", b"no JSON")
    path = "diarisation/base/week1/lesson2/video0.mp4"
    value = json.dumps({"path_to_audio": path, "options": {"max_speakers": 2}}).encode()
    traced = {"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    publish(lfk, f"s3://{bucket_of(lfk)}/lfk/audio/{path}".encode(), value, traced)
    answered(lfk, 3)


def failure_of(code: str) -> object:
    def find(lfk: Lfk) -> str:
        listed = expect_ok(lfk("dlq", "list", "--cause", code, "--json"))
        return str(listed.of("failure")[0]["event_id"])[:12]

    return find


def the_missing_comes(lfk: Lfk) -> None:
    tone(lfk.folder / "late.wav", 5)
    key = "lfk/audio/diarisation/base/week1/lesson2/video0.mp4"
    objects(lfk).client().upload_file(str(lfk.folder / "late.wav"), bucket_of(lfk), key)


def sources(lfk: Lfk) -> None:
    expect_ok(lfk("init"))


def recordings(folder: Path) -> None:
    for number in range(3):
        tone(folder / f"simple/tiny/talk{number}.wav", number)


def a_course_and_talks(lfk: Lfk) -> None:
    for name in ("week1/lesson1/video1.mp4", "week1/lesson2/video1.mp4", "week1/intro.mp4"):
        target = lfk.folder / "course" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"\0\0\0\x18ftypmp42" + name.encode())


def with_audio_of(lfk: Lfk) -> None:
    """A folder with films that the engine's libraries can read, their audio a small part of them."""
    import av
    import numpy

    target = lfk.folder / "talks" / "lecture.mp4"
    target.parent.mkdir()
    with av.open(str(target), "w") as film:
        pictures = film.add_stream("mpeg4", rate=5, width=640, height=480, bit_rate=4_000_000)
        sound = film.add_stream("aac", rate=48000)
        random = numpy.random.default_rng(1)
        for number in range(25):
            noise = random.integers(0, 255, (480, 640, 3), dtype=numpy.uint8)
            film.mux(pictures.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
            wave_form = (numpy.sin(numpy.arange(9600) / 20)[None] * 8000).astype(numpy.int16)
            heard = av.AudioFrame.from_ndarray(wave_form, format="s16", layout="mono")
            heard.sample_rate, heard.pts = 48000, number * 9600
            film.mux(sound.encode(heard))
        film.mux(pictures.encode(None))
        film.mux(sound.encode(None))


def work_and_a_hub(lfk: Lfk) -> None:
    transcribed(lfk)


def setting(**environ: str) -> Callable[[Lfk], None]:
    """From here on these settings are in force."""

    def happens(lfk: Lfk) -> None:
        lfk.environ = {**lfk.environ, **environ}

    return happens


def at_a_free_address(lfk: Lfk) -> None:
    setting(LFK_WEB=f"127.0.0.1:{closed_port()}")(lfk)


def cut_off(lfk: Lfk) -> None:
    """Weights that were fetched are damaged."""
    weights = lfk.folder / "second" / "models" / "whisper" / "tiny.en" / "model.bin"
    with weights.open("r+b") as file:
        file.truncate(1_000_000)


def a_program(lfk: Lfk, name: str) -> None:
    program = lfk.folder / ".venv" / "bin" / name
    program.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    program.chmod(0o755)


def a_talk_to_forget(lfk: Lfk) -> None:
    tone(lfk.folder / "rec/simple/tiny/a.wav", 1)
    transcribed(lfk)


class ThreeMachines:
    """Machines that know broker, store and keys from their own ``.env``, and from nothing else."""

    def __init__(self) -> None:
        #: What the files on the page say, and what is said here instead; known once there are keys.
        self.stands_for: dict[str, Callable[[Lfk], str]] = {}

    @contextmanager
    def around(self, lfk: Lfk) -> Iterator[None]:
        server, bucket = objects(lfk), bucket_of(lfk)
        server.client().delete_bucket(Bucket=bucket)
        real = {
            "central:9094": lfk.environ["BOOTSTRAP_SERVERS"],
            "http://central:9000": server.endpoint_url,
            "s3://recordings/lfk": lfk.environ["LFK_STORE"],
            "KEY_ID=lfk": f"KEY_ID={server.access_key}",
            "ADMIN_SECRET": server.secret_key,
        }
        files_say = ("BOOTSTRAP_SERVERS", "LFK_STORE", *server.environment())
        lfk.environ = {name: value for name, value in lfk.environ.items() if name not in files_say}
        with ExitStack() as stack:
            for role, policy in policies(lfk.folder, bucket):
                keys = stack.enter_context(user_with(server, policy))
                real |= {f"KEY_ID={role}": f"KEY_ID={keys.access_key}", f"{role.upper()}_SECRET": keys.secret_key}
            self.stands_for |= {shown: lambda _lfk, value=value: value for shown, value in real.items()}
            yield

    def recordings(self, lfk: Lfk) -> None:
        """They lie in the home of who has the producer."""
        home = lfk.folder / "producer"
        home.mkdir()
        for name in ("sense-and-sensibility-1.flac", "conversation.flac"):
            shutil.copyfile(_SPEECH / name, home / name)


def policies(folder: Path, bucket: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """What the page's ``access.py`` writes for the roles whose machines it sets up."""
    written = folder / "policies"
    script = [sys.executable, str(ROOT / "deploy" / "access.py"), f"s3://{bucket}/lfk", str(written)]
    subprocess.run(script, check=True, capture_output=True, timeout=60)
    for role in ("producer", "hub", "consumer"):
        yield role, json.loads((written / f"{role}.json").read_text(encoding="utf-8"))


_MACHINES = ThreeMachines()

SCENES: Mapping[str, Scene] = {
    "docs/access.md": Scene(
        elsewhere={
            "lfk check": "tests/integration/test_access.py::test_a_right_that_is_missing_is_named",
            "lfk doctor": (
                "tests/integration/test_access.py::test_the_doctor_tells_a_hub_that_is_set_up_from_one_that_is_not"
            ),
            "mc admin": "tests/integration/test_access.py::test_every_role_can_do_its_work",
            "python deploy/access.py": "tests/integration/test_access.py::test_policies_for_another_store",
        },
    ),
    "README.md": Scene(
        prepare=lambda lfk: (speech(lfk), objects(lfk).client().delete_bucket(Bucket=bucket_of(lfk))),
        before={
            "lfk doctor": setting(LFK_ENGINE="whisperx"),
            "lfk sync recordings": Second(misfits),
            "lfk hub": lambda lfk: (no_misfits(lfk), setting(LFK_ENGINE="canned")(lfk)),
        },
        some_fail=("lfk sync recordings",),
        elsewhere={
            "make demo": "tests/acceptance/test_demo.py::test_the_demo_on_bundled_speech",
            ".venv/bin/lfk up": "tests/acceptance/test_demo.py::test_up_transcribes_what_is_dropped_into_its_folder",
        },
    ),
    "docs/batch-work.md": Scene(
        prepare=a_worn_store,
        some_fail=("lfk check",),
        stands_for={"20261125-233906-cda686ac": latest_batch},
        before={"lfk status --batch": lambda lfk: answered(lfk, 4)},
    ),
    "docs/chunks.md": Scene(
        prepare=lambda lfk: (expect_ok(lfk("init")), tone(lfk.folder / "diarisation/base/talk.wav")),
    ),
    "docs/cleanup-and-report.md": Scene(
        prepare=lambda lfk: (recordings(lfk.folder / "recordings"), transcribed(lfk, "recordings")),
        elsewhere={
            "aws s3api": "tests/acceptance/test_cleanup.py",
            "CENTRAL_BACKUPS=false LFK_BACKUPS_GRACE": "tests/acceptance/test_backups.py",
            "lfk cleanup --uploads": "tests/integration/test_s3_sweep.py",
        },
    ),
    "docs/dead-letters.md": Scene(
        prepare=dead_letters,
        some_fail=("lfk dlq retry --all",),
        stands_for={"533c04fb8f7d": failure_of("object_missing"), "8bad76401009": failure_of("unknown_model")},
        before={"lfk dlq retry --all": the_missing_comes},
    ),
    "docs/deploy.md": Scene(
        elsewhere={
            "docker build": "tests/deploy/test_docker.py",
            "docker compose": "tests/deploy/test_compose.py",
            "cd deploy/compose": "tests/deploy/test_compose.py",
            "./prepare": "tests/deploy/test_compose.py",
            "cp ~/talk.mp4": "tests/deploy/test_compose.py",
            "kubectl": "tests/deploy/test_chart.py",
            "helm": "tests/deploy/test_chart.py",
            "sudo": "tests/deploy/test_systemd.py",
            "journalctl": "tests/deploy/test_systemd.py",
        },
    ),
    "docs/forget.md": Scene(
        prepare=a_talk_to_forget,
        elsewhere={"kafka-configs.sh": "tests/acceptance/test_forget.py"},
    ),
    "docs/hub.md": Scene(elsewhere={"curl": "tests/acceptance/test_hub_life.py"}),
    "docs/kafka.md": Scene(
        elsewhere={
            "lfk doctor -q": "tests/acceptance/test_secured_kafka.py"
            "::test_the_doctor_goes_on_where_the_broker_lets_nobody_in",
            "lfk doctor": "tests/acceptance/test_schema_registry.py::test_init_registers_once_and_the_doctor_looks",
        },
    ),
    "docs/listen.md": Scene(
        prepare=lambda lfk: expect_ok(lfk("init")),
        environ={"LFK_WEBHOOK_TOKEN": "0123456789abcdef0123456789abcdef"},
        elsewhere={
            "lfk listen --source sqs": "tests/integration/test_listen_sqs.py",
            "mc admin config set": "tests/integration/test_listen_webhook.py",
            "mc admin service": "tests/integration/test_listen_webhook.py",
            "mc event": "tests/integration/test_listen_webhook.py",
            "aws sqs": "tests/integration/test_listen_sqs.py",
            "aws s3api": "tests/integration/test_listen_sqs.py",
        },
    ),
    "docs/models.md": Scene(
        before={
            "lfk models push": setting(LFK_MODELS_FOLDER="first/models"),
            "lfk models pull tiny.en segmentation": setting(LFK_MODELS_FOLDER="second/models"),
            "lfk models verify": cut_off,
        },
        some_fail=("lfk models pull", "lfk models verify"),
        elsewhere={
            "lfk models pull tiny.en$": "tests/integration/test_model_library.py",
            "lfk models adopt usb": "tests/integration/test_model_adoption.py",
        },
    ),
    "docs/observability.md": Scene(
        elsewhere={
            "curl": "tests/acceptance/test_observability.py",
            "lfk status --serve": "tests/acceptance/test_observability.py",
        },
    ),
    "docs/receiving.md": Scene(
        prepare=lambda lfk: (recordings(lfk.folder / "rec"), transcribed(lfk), a_program(lfk, "notify")),
    ),
    "docs/syncing.md": Scene(
        prepare=a_course_and_talks,
        before={
            "lfk sync rec  ": lambda lfk: recordings(lfk.folder / "rec"),
            "lfk sync rec --move-to": lambda lfk: shutil.copy(_CONVERSATION, lfk.folder / "rec/simple/tiny"),
            "lfk sync talks": with_audio_of,
        },
        some_fail=("lfk sync course",),
        elsewhere={"lfk status": "tests/integration/test_backlog.py"},
    ),
    "docs/three-machines.md": Scene(
        around=_MACHINES.around,
        prepare=_MACHINES.recordings,
        stands_for=_MACHINES.stands_for,
        before={
            "lfk doctor --role hub": setting(LFK_ENGINE="whisperx"),
            "lfk hub": setting(LFK_ENGINE="canned"),
        },
        lingers=("lfk hub", "lfk sync --watch", "lfk transcripts --follow"),
        elsewhere={
            "lfk/deploy/compose/prepare": "tests/deploy/test_compose.py",
            "sed -i": "tests/deploy/test_compose.py",
            "docker compose": "tests/deploy/test_compose.py",
            "python3 -m venv": "tests/deploy/test_distributions.py",
            "pip install": "tests/deploy/test_distributions.py::test_every_thin_role_works_in_a_base_installation",
            "mc alias": "tests/integration/test_access.py::test_every_role_can_do_its_work",
            "python lfk/deploy/access.py": "tests/integration/test_access.py::test_policies_for_another_store",
            "for role in": "tests/integration/test_access.py::test_every_role_can_do_its_work",
            "head -n 6": "tests/acceptance/test_demo.py::test_the_demo_on_bundled_speech",
        },
    ),
    "docs/upgrading.md": Scene(elsewhere={"make release": "tests/deploy/test_release.py"}),
    "docs/web.md": Scene(
        prepare=lambda lfk: (expect_ok(lfk("init")), tone(lfk.folder / "talk.wav")),
        environ={"LFK_WEB_TOKEN": "0123456789abcdef0123456789abcdef"},
        before={
            "lfk web": at_a_free_address,
            "curl -sS 'http://127.0.0.1:8080/api/looks": lambda lfk: answered(lfk, 1),
        },
        stands_for={"127.0.0.1:8080": lambda lfk: lfk.environ["LFK_WEB"]},
        lingers=("lfk web",),
    ),
}


def test_every_page_with_commands_has_a_scene() -> None:
    assert sorted(SCENES) == [page for page in PAGES if commands(page)]


@pytest.mark.parametrize("test", sorted({test for one in SCENES.values() for test in one.elsewhere.values()}))
def test_what_runs_elsewhere_is_there(test: str) -> None:
    file, _colons, name = test.partition("::")
    assert f"def {name}" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted(SCENES))
def test_the_commands_of_a_page_do_what_it_shows(page: str, lfk: Lfk) -> None:
    walk(page, SCENES[page], lfk)
