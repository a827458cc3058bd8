"""``lfk sync`` and ``lfk submit`` as users run them: what they print, what they exit with, how they stop."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.command import Done, Lfk
from tests.waiting import wait_until


def lfk_at(folder: Path, **environ: str) -> Lfk:
    """On a folder store, with nothing to wait for."""
    return Lfk(folder, **{"LFK_STORE": "store", "LFK_SETTLE": "0", **environ})


def record(folder: Path, *names: str, data: bytes = b"RIFF") -> None:
    for name in names:
        path = folder / "rec" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def outbox(folder: Path) -> int:
    return len(list((folder / "store" / ".lfk" / "outbox").glob("*.json")))


def errors(done: Done) -> list[str]:
    return [line for line in done.err.splitlines() if line.startswith("error: ")]


class TestOnePass:
    def test_one_line_sums_it_up(self, tmp_path: Path) -> None:
        lfk = lfk_at(tmp_path)
        record(tmp_path, *(f"simple/tiny/{number}.wav" for number in range(20)), data=b"x" * 100_000)
        done = lfk("sync", "rec")
        assert (done.code, done.err) == (0, "")
        summary, waiting = done.out.splitlines()
        assert summary.startswith("synced 20 files, 2.0 MB in ")
        assert summary.endswith(": 20 new, 0 changed, 0 unchanged, 0 failed")
        assert "references wait" in waiting
        assert outbox(tmp_path) == 20
        again = lfk("sync", "rec")
        assert again.out.splitlines()[0].endswith(": 0 new, 0 changed, 20 unchanged, 0 failed")
        assert len(again.out.splitlines()) == 1
        assert outbox(tmp_path) == 20

    def test_bad_files_are_named_each_on_one_line_and_the_rest_goes_on(self, tmp_path: Path) -> None:
        record(tmp_path, "good.wav", "simple/gigantic/x.wav", "folder.wav/notes.txt")
        record(tmp_path, "empty.wav", data=b"")
        (tmp_path / "rec" / "gone.wav").symlink_to("nowhere")
        (tmp_path / "rec" / "loop").symlink_to(".")
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/rec/bad\xff.wav")).write_bytes(b"x")
        Path(tmp_path / "rec" / "two\nlines.wav").write_bytes(b"")
        done = lfk_at(tmp_path)("sync", "rec")
        assert done.code == 1
        lines = errors(done)
        assert len(lines) == len(done.err.splitlines()) == 7
        for name, code in {
            "simple/gigantic/x.wav": "unknown_model",
            "folder.wav": "file_unreadable",
            "empty.wav": "audio_empty",
            "gone.wav": "file_unreadable",
            "loop": "file_unreadable",
            "bad\\xff.wav": "invalid_location",
            "two\\nlines.wav": "audio_empty",
        }.items():
            assert sum(line.startswith(f"error: {name}: ") and f"[{code}] - " in line for line in lines) == 1, name
        assert ": 1 new, 0 changed, 0 unchanged, 7 failed" in done.out

    def test_machines_get_an_object_a_file_and_a_summary(self, tmp_path: Path) -> None:
        record(tmp_path, "diarisation/base/ä 1%.mp4")
        record(tmp_path, "empty.wav", data=b"")
        done = lfk_at(tmp_path)("sync", "rec", "--json", "--option", "formats=txt,srt", "--option", "language=de")
        assert done.code == 1
        files = {event["name"]: event for event in done.of("file")}
        sent = files["diarisation/base/ä 1%.mp4"]
        assert (sent["outcome"], sent["size"]) == ("new", 4)
        assert sent["reference"]["path_to_audio"] == sent["location"]
        assert sent["location"] == f"file://{tmp_path}/store/audio/diarisation/base/ä 1%.mp4"
        assert (sent["reference"]["language"], sent["reference"]["options"]) == ("de", {"formats": "txt,srt"})
        assert files["empty.wav"]["error"]["code"] == "audio_empty"
        assert {name: done.of("summary")[0][name] for name in ("new", "failed", "bytes")} == {
            "new": 1, "failed": 1, "bytes": 4,
        }  # fmt: skip

    def test_two_at_once_in_one_folder_do_no_harm(self, tmp_path: Path) -> None:
        record(tmp_path, *(f"{number}.wav" for number in range(200)))
        lfk = lfk_at(tmp_path)
        both = [lfk.start("sync", "rec") for _one in range(2)]
        assert [process.communicate(timeout=60)[0].count("error") for process in both] == [0, 0]
        assert [process.returncode for process in both] == [0, 0]
        assert len(list((tmp_path / "store" / "audio").glob("*.wav"))) == 200
        assert 200 <= outbox(tmp_path) <= 400
        assert ": 0 new, 0 changed, 200 unchanged, 0 failed" in lfk("sync", "rec").out

    def test_a_dry_run_only_tells(self, tmp_path: Path) -> None:
        record(tmp_path, "a.wav")
        done = lfk_at(tmp_path)("sync", "rec", "--dry-run")
        assert done.code == 0
        assert done.out.startswith("would be new  a.wav")
        assert "would sync 1 files" in done.out
        assert not (tmp_path / "store").exists()

    def test_layouts_prefixes_and_patterns(self, tmp_path: Path) -> None:
        record(tmp_path, "a/x.wav", "a/x.mp3", "drafts/y.wav")
        flags = ("--layout", "free", "--approach", "Diarization", "--model", "BASE", "--prefix", "m1")
        done = lfk_at(tmp_path)("sync", "rec", *flags, "--include", "*.wav", "--exclude", "drafts")
        assert done.code == 0, done.err
        stored = {p.relative_to(tmp_path / "store/audio").as_posix() for p in (tmp_path / "store/audio").rglob("*.wav")}
        assert stored == {"diarisation/base/m1/a/x.wav"}

    def test_the_folder_may_come_from_the_environment(self, tmp_path: Path) -> None:
        record(tmp_path, "a.wav")
        assert lfk_at(tmp_path, SOURCE_FOLDER="rec")("sync").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("sync", "nowhere"), 2, "no such folder"),
        (("sync", "rec/a.wav"), 2, "not a folder"),
        (("sync",), 2, "no folder is named"),
        (("sync", "rec", "--approach", "fancy"), 2, "no approach is called 'fancy'"),
        (("sync", "rec", "--model", "gigantic"), 2, "no model is called 'gigantic'"),
        (("sync", "rec", "--option", "colour=red"), 2, "no option 'colour'"),
        (("sync", "rec", "--option", "colour"), 2, "expected name=value"),
        (("sync", "rec", "--watch", "--dry-run"), 2, "exclude each other"),
        (("sync", "rec", "--transfers", "many"), 2, "many"),
        (("sync", "store/audio"), 2, "the store's own audio folder"),
        (("submit",), 2, "nothing is named"),
        (("submit", "missing.wav"), 1, "[object_missing]"),
        (("submit", "/etc/passwd"), 1, "[forbidden_location]"),
        (("submit", "s3://elsewhere/x.wav"), 1, "[forbidden_location]"),
        (("submit", "a.wav", "--model", "gigantic"), 2, "no model is called"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    record(tmp_path, "a.wav")
    (tmp_path / "store" / "audio").mkdir(parents=True)
    done = lfk_at(tmp_path)(*arguments)
    assert done.code == code, done.err
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("verb", [("sync", "rec"), ("submit", "a.wav")], ids=" ".join)
class TestOutOfReach:
    def test_the_broker(self, tmp_path: Path, verb: tuple[str, ...]) -> None:
        record(tmp_path, "a.wav")
        began = time.monotonic()
        done = lfk_at(tmp_path, BOOTSTRAP_SERVERS="127.0.0.1:9")(*verb)
        assert done.code == 3
        assert "[broker_unreachable]" in done.err
        assert time.monotonic() - began < 30

    def test_the_store(self, tmp_path: Path, verb: tuple[str, ...]) -> None:
        record(tmp_path, *(f"{number}.wav" for number in range(50)))
        began = time.monotonic()
        done = lfk_at(
            tmp_path,
            LFK_STORE="s3://bucket/lfk",
            AWS_ENDPOINT_URL_S3="http://127.0.0.1:9",
            AWS_ACCESS_KEY_ID="key",
            AWS_SECRET_ACCESS_KEY="secret",
            AWS_REGION="us-east-1",
        )(*verb)
        assert done.code == 3, done.err
        assert "[store_unreachable]" in done.err
        assert len(errors(done)) == 1
        assert time.monotonic() - began < 30


class TestSubmit:
    def test_objects_and_prefixes(self, tmp_path: Path) -> None:
        record(tmp_path, "simple/tiny/a.wav", "simple/tiny/b.mp4", "c.wav")
        lfk = lfk_at(tmp_path)
        lfk("sync", "rec")
        (tmp_path / "store/audio/simple/tiny/notes.txt").write_text("no audio")
        done = lfk(
            "submit", "simple/tiny/", f"file://{tmp_path}/store/audio/c.wav", "--json", "--approach", "diarisation"
        )
        assert done.code == 0, done.err
        assert {event["reference"]["transcription_approach"] for event in done.of("reference")} == {"diarisation.tiny"}
        summary = done.of("summary")[0]
        assert (summary["sent"], summary["skipped"], summary["failed"]) == (3, 1, 0)
        assert outbox(tmp_path) == 6

    def test_what_fails_is_named_and_the_rest_goes_on(self, tmp_path: Path) -> None:
        record(tmp_path, "a.wav")
        lfk = lfk_at(tmp_path)
        lfk("sync", "rec")
        done = lfk("submit", "missing.wav", "a.wav", "--dry-run")
        assert done.code == 1
        assert len(errors(done)) == 1
        assert "would send 1 references" in done.out
        assert outbox(tmp_path) == 1


class TestService:
    def test_a_dropped_file_is_referred_to_within_moments(self, tmp_path: Path) -> None:
        record(tmp_path, "old.wav")
        lfk = lfk_at(tmp_path, LFK_SETTLE="30")
        os.utime(tmp_path / "rec" / "old.wav", (1, 1))
        with lfk.running("sync", "rec", "--watch") as service:
            wait_until(lambda: outbox(tmp_path) == 1, alive=[service])
            began = time.monotonic()
            record(tmp_path, "new.wav")
            wait_until(lambda: outbox(tmp_path) == 2, alive=[service])
            assert time.monotonic() - began < 5
        assert service.returncode == 0

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
    def test_a_stopped_pass_says_so_and_the_next_one_does_the_rest(self, tmp_path: Path, how: signal.Signals) -> None:
        record(tmp_path, *(f"{number}.wav" for number in range(300)))
        lfk = lfk_at(tmp_path, LFK_TRANSFERS="1", LFK_SETTLE="0")
        process = lfk.start("sync", "rec")
        wait_until(lambda: outbox(tmp_path) >= 5, alive=[process])
        process.send_signal(how)
        out, _none = process.communicate(timeout=60)
        assert process.returncode == 130, out
        assert "left for the next time" in out
        assert lfk("sync", "rec").code == 0
        stored = list((tmp_path / "store" / "audio").glob("*.wav"))
        assert len(stored) == 300
        assert outbox(tmp_path) >= 300
