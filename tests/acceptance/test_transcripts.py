"""``lfk transcripts`` from outside: print, download, link, follow, and stop, on embedded and on real servers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from lfk.brokers.base import Record
from lfk.brokers.kafka import KafkaBroker
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers, run_hubs
from tests.services.s3 import S3Server
from tests.waiting import wait_until

_PATIENCE = 60.0


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".lfk-" not in str(path)}


def stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """The exit code and what was printed, after a signal."""
    process.send_signal(number)
    out, _err = process.communicate(timeout=_PATIENCE)
    return process.returncode, out


def with_two_transcripts(folder: Path) -> Lfk:
    """A store with two transcripts, made by a hub that hosted the embedded broker; none runs any more."""
    lfk = Lfk(folder, LFK_STORE="store", LFK_ENGINE="canned")
    expect_ok(lfk("init"))
    make_recordings(folder / "recordings", 2)
    expect_ok(lfk("sync", "recordings"))
    expect_ok(lfk("hub", "--max-jobs", "2"))
    return lfk


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Lfk:
    """For tests that only read."""
    return with_two_transcripts(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def local(tmp_path: Path) -> Lfk:
    """For tests that change something."""
    return with_two_transcripts(tmp_path)


def test_the_store_alone_is_read(shared: Lfk) -> None:
    plain = expect_ok(shared("transcripts"))
    assert plain.out.count("done  ") == 2
    assert "talk 0 100%+#?.wav.{" in plain.out
    as_json = expect_ok(shared("transcripts", "--json"))
    assert [one["status"] for one in as_json.of("transcript")] == ["done", "done"]
    assert all(one["files"]["txt"].startswith("file://") for one in as_json.of("transcript"))
    assert expect_ok(shared("transcripts", "--from", "end")).out.startswith("0 done")
    links = expect_ok(shared("transcripts", "--links", "--format", "srt", "--json")).of("link")
    assert [one["format"] for one in links] == ["srt", "srt"]


@pytest.mark.parametrize(
    "formats", [("txt,srt",), ("txt", "srt"), ("txt", "--format", "srt"), ("txt", "--format=srt")], ids=" ".join
)
def test_formats_may_be_named_as_one_likes(shared: Lfk, formats: tuple[str, ...]) -> None:
    links = expect_ok(shared("transcripts", "--links", "--json", "--format", *formats)).of("link")
    assert {one["format"] for one in links} == {"txt", "srt"}


def test_texts_alone_are_printed_where_formats_are_named(shared: Lfk) -> None:
    done = expect_ok(shared("transcripts", "--format", "txt"))
    assert done.out.startswith("TRANSCRIPT OF file talk 0")
    assert "done  " not in done.out
    manifest = json.loads(expect_ok(shared("transcripts", "--format", "json")).out.splitlines()[0])
    assert manifest["lfk"]["path_to_audio"].endswith("talk 0 100%+#?.wav")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--format", "docx"), 2, "no format is called docx"),
        (("--from", "tuesday"), 2, "is no time"),
        (("--links", "--link-seconds", "0"), 2, "for a second at least"),
        (("--out", "recordings/simple/tiny/week 1/talk 0 100%+#?.wav"), 2, "cannot write into"),
        (("--follow",), 3, "lfk up"),
        (("--store", "nowhere"), 2, "lfk init"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(shared: Lfk, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = shared("transcripts", *arguments)
    assert done.code == code
    assert says in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_downloads_that_fail_are_told_of_and_the_rest_goes_on(local: Lfk) -> None:
    transcripts = local.folder / "store" / "transcripts" / "simple" / "tiny" / "week 1"
    (transcripts / "talk 0 100%+#?.wav.txt").write_text("tampered with")
    done = local("transcripts", "--out", "out", "--json")
    assert done.code == 1
    assert [json.loads(line)["code"] for line in done.err.splitlines()] == ["content_changed", "content_changed"]
    there = files_below(local.folder / "out")
    assert "simple/tiny/week 1/talk 0 100%+#?.wav.txt" not in there
    assert "simple/tiny/week 1/talk 0 100%+#?.wav.json" not in there
    assert len([name for name in there if "talk 1" in name]) == 5
    assert done.of("summary")[0]["problems"] == 2


def test_what_was_before_the_embedded_broker_is_shown_too(local: Lfk) -> None:
    with local.running("hub") as hub:
        assert hub.stdout is not None
        assert "hub ready" in hub.stdout.readline()
        make_recordings(local.folder / "more", 1, "segmentation")
        expect_ok(local("sync", "more"))
        wait_until((local.folder / "store/transcripts/segmentation").exists, alive=[hub])
        # The same recordings again are announced again, as reused; each transcript is still shown once.
        expect_ok(local("submit", f"file://{local.folder}/store/audio/simple/"))
        shown: list[dict[str, Any]] = []

        def both_reused() -> bool:
            shown[:] = expect_ok(local("transcripts", "--json")).of("transcript")
            return sum(one["reused"] for one in shown) == 2

        wait_until(both_reused, alive=[hub])
    assert len({one["path_to_transcript"] for one in shown}) == len(shown) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_follower_fills_a_folder_and_stops_when_told(local: Lfk, number: signal.Signals) -> None:
    out = local.folder / "out"
    with local.running("hub") as hub:
        assert hub.stdout is not None
        assert "hub ready" in hub.stdout.readline()
        follower = local.start("transcripts", "--follow", "--out", "out", "--format", "txt")
        # What was transcribed before this broker came into being is in the store alone.
        wait_until(lambda: len(files_below(out)) == 2, alive=[follower])
        make_recordings(local.folder / "more", 3, "segmentation")
        expect_ok(local("sync", "more"))
        wait_until(lambda: len(files_below(out)) == 5, alive=[follower])
        code, printed = stop(follower, number)
    assert code == 0, printed
    assert "5 done, 0 failed, 5 files fetched" in printed
    assert {path.name for path in out.iterdir()} == {"simple", "segmentation"}


def test_a_follower_outlives_the_embedded_broker(local: Lfk) -> None:
    out = local.folder / "out"
    hub = local.start("hub")
    assert hub.stdout is not None
    assert "hub ready" in hub.stdout.readline()
    follower = local.start("transcripts", "--follow", "--out", "out", "--format", "txt")
    wait_until(lambda: len(files_below(out)) == 2, alive=[follower])
    hub.kill()
    hub.communicate()
    make_recordings(local.folder / "more", 1, "segmentation")
    expect_ok(local("sync", "more"))
    with local.running("hub"):
        wait_until(lambda: len(files_below(out)) == 3, alive=[follower])
        code, printed = stop(follower, signal.SIGTERM)
    assert code == 0, printed


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_on_kafka_and_s3(tmp_path: Path, kafka: str, s3_server: S3Server, bucket: str, topic_prefix: str) -> None:
    lfk = on_servers(tmp_path, kafka, s3_server, bucket, topic_prefix)
    make_recordings(tmp_path / "recordings", 3)
    expect_ok(lfk("init"))
    expect_ok(lfk("sync", "recordings"))
    run_hubs(lfk, 1)

    links = expect_ok(lfk("transcripts", "--links", "--format", "txt", "--link-seconds", "60", "--json")).of("link")
    assert len(links) == 3
    for one in links:
        with urllib.request.urlopen(one["link"]) as answer:  # noqa: S310 - the server of this test
            assert answer.read().startswith(b"TRANSCRIPT OF file talk")

    # Hostile announcements cost themselves and nothing else.
    announced = expect_ok(lfk("transcripts", "--json")).of("transcript")[0]
    _publish_hostile(kafka, f"{topic_prefix}.transcripts", announced, bucket)
    snapshot = lfk("transcripts", "--out", "once", "--json")
    assert snapshot.code == 1
    codes = sorted(json.loads(line)["code"] for line in snapshot.err.splitlines())
    assert codes == ["forbidden_location", "forbidden_location", "invalid_location", "malformed_message"]
    assert len(files_below(tmp_path / "once")) == 15
    assert files_below(tmp_path) >= {"once/simple/tiny/week 1/talk 0 100%+#?.wav.txt"}
    assert not (tmp_path / "evil.txt").exists()

    # A place of its own: what was applied does not come again, what was announced meanwhile does.
    follower = lfk.start("transcripts", "--follow", "--out", "kept")
    wait_until(lambda: len(files_below(tmp_path / "kept")) == 15, alive=[follower])
    code, printed = stop(follower, signal.SIGTERM)
    assert code == 1, printed
    assert "3 done" in printed
    make_recordings(tmp_path / "more", 2, "segmentation")
    expect_ok(lfk("sync", "more"))
    run_hubs(lfk, 1)
    follower = lfk.start("transcripts", "--follow", "--out", "kept")
    wait_until(lambda: len(files_below(tmp_path / "kept")) == 25, alive=[follower])
    code, printed = stop(follower, signal.SIGTERM)
    assert code == 0, printed
    assert "2 done" in printed
    assert len(expect_ok(lfk("transcripts", "--from", "end", "--json")).of("transcript")) == 0

    # A command as a service: each announcement once, and none again after it was stopped.
    told = tmp_path / "told"
    command = ("--exec", sys.executable, "-c", _TELL, str(told), "{json}")
    for expected in (5, 5):
        follower = lfk.start("transcripts", "--follow", *command)
        wait_until(lambda: told.exists() and len(told.read_text().splitlines()) >= 5, alive=[follower])
        stop(follower, signal.SIGTERM)
        assert len(told.read_text().splitlines()) == expected


def _publish_hostile(kafka: str, topic: str, good: dict[str, object], bucket: str) -> None:
    good = {name: value for name, value in good.items() if name != "event"}

    def with_file(event: str, location: str) -> bytes:
        return json.dumps({**good, "event_id": event, "files": {"txt": location}}).encode()

    broker = KafkaBroker({"bootstrap.servers": kafka})
    publisher = broker.publisher()
    outcomes: list[Exception | None] = []
    for value in (
        b"\x00\xff",
        with_file("h1", "s3://someone-elses/secret.txt"),
        with_file("h2", f"s3://{bucket}/lfk/transcripts/../../../evil.txt"),
        with_file("h3", "file:///etc/passwd"),
    ):
        publisher.send(Record(topic, b"hostile", value), outcomes.append)
    publisher.close()
    broker.close()
    assert outcomes == [None] * 4


_TELL = "import sys; open(sys.argv[1], 'a').write('|'.join(sys.argv[2:]) + chr(10))"


def test_a_command_runs_once_for_each_transcript(local: Lfk) -> None:
    told = local.folder / "told"
    # A `--` among the arguments is the program's.
    command = ("--exec", sys.executable, "-c", _TELL, str(told), "{status}", "{audio}", "{txt}", "--")
    planned = expect_ok(local("transcripts", "--dry-run", *command))
    assert "2 done" in planned.out
    assert not told.exists()
    first = expect_ok(local("transcripts", "--json", "--filter", "path=talk 0*", *command))
    assert first.of("summary")[0]["ran"] == 1
    again = expect_ok(local("transcripts", "--json", *command))
    assert again.of("summary")[0]["ran"] == 1, "the other one, and only that"
    assert expect_ok(local("transcripts", "--json", *command)).of("summary")[0]["ran"] == 0
    lines = [line.split("|") for line in told.read_text().splitlines()]
    assert [line[0] for line in lines] == ["done", "done"]
    assert all(line[1].startswith("file:///") and line[2].startswith("/") for line in lines)
    assert not any(Path(line[2]).exists() for line in lines), "without --out the files are there for the command alone"
    kept = expect_ok(local("transcripts", "--out", "out", "--format", "srt", *command))
    assert "2 commands run" in kept.out, "another folder is another reader"
    assert {path.rpartition(".")[2] for path in files_below(local.folder / "out")} == {"srt", "txt"}
    # As settings alone, for a service.
    service = Lfk(
        local.folder, **{**local.environ, "LFK_EXEC": "sh -c 'test -s \"$1\"' x {srt}", "LFK_FILTER": "status=done"}
    )
    assert expect_ok(service("transcripts", "--json")).of("summary")[0]["ran"] == 2
    failing = {"LFK_EXEC": "false", "LFK_EXEC_ATTEMPTS": "2", "LFK_LOG_FORMAT": "json", "LFK_FILTER": "path=talk 0*"}
    ended = Lfk(local.folder, **{**local.environ, **failing})("transcripts", "--json")
    logged = [one for line in ended.err.splitlines() if "level" in (one := json.loads(line))]
    (announced,) = ended.of("transcript")
    assert [(one["event_id"], one["job_id"]) for one in logged] == [(announced["event_id"], announced["job_id"])]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--exec",), 2, "LFK_EXEC"),
        (("--exec", "cat", "{docx}"), 2, "no placeholder {docx}"),
        (("--filter", "colour=blue"), 2, "no condition"),
        (("--exec", "no-such-program", "{txt}"), 1, "command_failed"),
        (("--exec", "cat", "{rttm}"), 1, "no rttm of this transcript"),
        (("--exec-timeout", "0.2", "--exec", "sleep", "60"), 1, "longer than 0.2 s"),
    ],
)
def test_commands_that_cannot_be(local: Lfk, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = local("transcripts", "--exec-attempts", "1", *arguments)
    assert done.code == code
    assert says in done.err


def test_a_broker_that_is_away(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", BOOTSTRAP_SERVERS="127.0.0.1:9")
    done = lfk("transcripts")
    assert done.code == 3
    assert "BOOTSTRAP_SERVERS" in done.err
