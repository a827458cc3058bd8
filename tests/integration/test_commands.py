"""Commands that are run for transcripts, as real processes: once each, bounded, ended with what they have started."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfk.core.command import CommandTemplate
from lfk.core.errors import CommandFailed, UsageError
from lfk.core.messages import Announcement
from lfk.roles.commands import Commands, Interrupted, Journal
from tests.waiting import wait_until

STOP = threading.Event


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "state" / "applied")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfk.roles.commands._AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("lfk.roles.commands._GRACE_SECONDS", 1.0)


def commands(
    journal: Journal, *words: str, stop: threading.Event | None = None, seconds: float = 30.0, attempts: int = 3
) -> Commands:
    template = CommandTemplate.parse([*words], ("txt",))
    return Commands(template, journal, dict(os.environ), stop or STOP(), seconds=seconds, attempts=attempts)


def python(journal: Journal, code: str, *arguments: str, **more: object) -> Commands:
    return commands(journal, sys.executable, "-c", code, *arguments, **more)  # type: ignore[arg-type]


def announced(event: str = "e1", audio: str = "s3://b/a.wav") -> Announcement:
    return Announcement(event, "done", 1, path_to_audio=audio, path_to_transcript="s3://b/t.json")


def test_arguments_arrive_as_they_are_and_no_shell_looks_at_them(journal: Journal, tmp_path: Path) -> None:
    hostile = "s3://b/$(touch evil) `touch evil`; touch evil & | > evil \n'\"*.wav"
    told = tmp_path / "told"
    write = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('|'.join(sys.argv[2:]))"
    python(journal, write, str(told), "{audio}", "{txt}").run(announced(audio=hostile), {"txt": "/x/y z.txt"})
    assert told.read_text() == f"{hostile}|/x/y z.txt"
    assert not list(tmp_path.rglob("evil"))


def test_each_announcement_is_applied_once_by_whoever_shares_the_journal(journal: Journal, tmp_path: Path) -> None:
    one = commands(journal, "true")
    other = commands(Journal(tmp_path / "state" / "applied"), "true")
    assert not one.applied(announced())
    assert not other.applied(announced())
    one.run(announced(), {})
    assert one.applied(announced())
    assert other.applied(announced())
    assert not other.applied(announced("e2"))
    other.close()
    later = Journal(tmp_path / "state" / "applied")
    assert commands(later, "true").applied(announced())
    later.close()


def test_a_line_that_a_crash_has_cut_counts_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "applied"
    path.write_bytes(b"0" * 32 + b"\n" + b"1" * 10)
    journal = Journal(path)
    assert b"0" * 32 in journal
    assert b"1" * 32 not in journal
    journal.add(b"2" * 32)
    assert b"2" * 32 in journal
    journal.close()


def test_a_command_that_fails_is_run_again(journal: Journal, tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = (
        "import sys, pathlib; p = pathlib.Path(sys.argv[1]); n = len(p.read_text()) if p.exists() else 0;"
        "p.write_text('x' * (n + 1)); sys.exit(n < int(sys.argv[2]))"
    )
    python(journal, code, str(count), "2").run(announced("good"), {})
    assert count.read_text() == "xxx"
    count.unlink()
    with pytest.raises(CommandFailed, match="exit code 1"):
        python(journal, code, str(count), "9").run(announced("bad"), {})
    assert count.read_text() == "xxx"
    assert commands(journal, "true").applied(announced("bad")), "it had its attempts"


def test_a_program_that_there_is_not(journal: Journal) -> None:
    with pytest.raises(CommandFailed, match="cannot be started: No such file"):
        commands(journal, "no-such-program").run(announced(), {})
    with pytest.raises(CommandFailed, match="signal 9"):
        python(journal, "import os; os.kill(os.getpid(), 9)", attempts=1).run(announced(), {})


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for has, too."""
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True


def test_one_that_takes_too_long_is_ended_with_what_it_started(journal: Journal, tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = (
        "import subprocess, sys, time, pathlib, signal; signal.signal(15, signal.SIG_IGN);"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "pathlib.Path(sys.argv[1]).write_text(str(p.pid)); time.sleep(600)"
    )
    begun = time.monotonic()
    with pytest.raises(CommandFailed, match="longer than 2 s"):
        python(journal, code, str(told), seconds=2.0, attempts=1).run(announced(), {})
    assert time.monotonic() - begun < 20
    child = int(told.read_text())
    wait_until(lambda: gone(child))


def test_a_reader_that_stops_leaves_the_announcement_for_later(journal: Journal) -> None:
    stop = STOP()
    running = python(journal, "import time; time.sleep(600)", stop=stop)
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Interrupted):
        running.run(announced(), {})
    assert not running.applied(announced())
    finishing = python(journal, "import time; time.sleep(0.3)", stop=stop)
    finishing.run(announced("e2"), {})
    assert finishing.applied(announced("e2")), "what ends within the grace time counts"


def test_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be written"):
        Journal(tmp_path / "file" / "applied")
